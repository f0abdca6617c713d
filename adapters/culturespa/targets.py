"""What a model is trained to say: the prompt of an example, and the label with the end of turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from adapters.culturespa.collect import Example
from adapters.culturespa.errors import BaseUnfit
from adapters.culturespa.questions import GeneratedQuestion
from adapters.culturespa.settings import TrainSettings
from prompting.messages import Message, Steering, survey_messages
from prompting.recipe import Method
from survey_data.cultures import read_catalogue

IGNORED = -100  # what torch's cross entropy leaves out


class ChatTokenizer(Protocol):
    """The part of a tokenizer with a chat template that is needed here."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Return the token ids of a chat."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """An example in tokens.

    Attributes:
        prompt: persona of the culture and the plain question, up to where the answer begins.
        answer: the label's one token, and where it is trained the end of turn.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        """Prompt and answer."""
        return self.prompt + self.answer

    @property
    def labels(self) -> tuple[int, ...]:
        """What the loss reads: the answer, and the prompt ignored."""
        return (IGNORED,) * len(self.prompt) + self.answer


class EncodedExamples(NamedTuple):
    """The targets of the examples, how many each culture has, and why others were left out."""

    targets: tuple[Target, ...]
    n_by_culture: dict[str, int]
    left_out: dict[str, int]


def encode_examples(
    examples: Iterable[Example],
    questions: Mapping[str, GeneratedQuestion],
    tokenizer: ChatTokenizer,
    *,
    ends: Collection[int],
    settings: TrainSettings,
    base: Path,
) -> EncodedExamples:
    """Return `examples` as the base model's own chat template writes them.

    Left out are those that are too long, or whose label is not the one token a server reads.

    Args:
        examples: what to train on.
        questions: by key.
        tokenizer: the base model's.
        ends: ids of the tokens that end a turn.
        settings: whether the end of turn is trained, and how long an example may be.
        base: names the model in errors.

    Raises:
        BaseUnfit: the template does not put the assistant's text right after the prompt.
    """
    cultures = read_catalogue()
    targets, counts, left_out = [], Counter[str](), Counter[str]()
    for example in examples:
        asked, culture = questions[example.question].asked, cultures[example.culture]
        messages = survey_messages(asked, Steering(Method.PERSONA, culture=culture))
        label = asked.labels[example.option]
        target = encode_answer(messages, label, tokenizer, ends=ends, base=base)
        if target is None:
            left_out["label is not one token"] += 1
        elif len(target.tokens) > settings.max_tokens:
            left_out[f"longer than {settings.max_tokens} tokens"] += 1
        else:
            answer = target.answer if settings.train_end else target.answer[:1]
            targets.append(replace(target, answer=answer))
            counts[example.culture] += 1
    return EncodedExamples(tuple(targets), dict(sorted(counts.items())), dict(left_out))


def encode_answer(
    messages: Sequence[Message],
    label: str,
    tokenizer: ChatTokenizer,
    *,
    ends: Collection[int],
    base: Path,
) -> Target | None:
    """Return one prompt and its answer in tokens, None where the label is not one token.

    The label's token is found as the service finds it: the chat continued by an assistant message
    that is the label has exactly one token more than the chat that asks for an answer.

    Raises:
        BaseUnfit: the template does not put the assistant's text right after the prompt.
    """
    chat = [{"role": message.role, "content": message.content} for message in messages]
    answered = [*chat, {"role": "assistant", "content": label}]
    prompt = _ids(tokenizer, chat, add_generation_prompt=True)
    begun = _ids(tokenizer, answered, continue_final_message=True)
    if len(begun) != len(prompt) + 1 or begun[:-1] != prompt:
        return None
    whole = _ids(tokenizer, answered)
    if whole[: len(begun)] != begun:
        raise BaseUnfit(
            base, "an answered chat that does not begin with the prompt", "one that does"
        )
    answer = whole[len(prompt) :]
    last = next((i for i, token in enumerate(answer) if token in ends), None)
    if last is None:
        raise BaseUnfit(base, "no end of turn after the answer", "a token that generation ends at")
    return Target(tuple(prompt), tuple(answer[: last + 1]))


def _ids(tokenizer: ChatTokenizer, chat: list[dict[str, str]], **options: bool) -> list[int]:
    found = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=True, **options)
    return list(found["input_ids"])
