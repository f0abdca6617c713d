"""What a model is trained to say: the prompt of an example, and the label with the end of turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from adapters.culturespa.collect import Example
from adapters.culturespa.errors import BaseUnfit
from adapters.culturespa.questions import GeneratedQuestion
from adapters.culturespa.settings import TrainSettings
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, Steering, survey_messages
from prompting.recipe import Method
from survey_data.cultures import read_catalogue

IGNORED = -100  # what torch's cross entropy leaves out
_ASKED = Message("user", "?")


class ChatTokenizer(Protocol):
    """The part of a tokenizer with a chat template that is needed here."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Return the token ids of a chat."""


@dataclass(frozen=True, slots=True)
class Target:
    """An example in tokens.

    Attributes:
        prompt: persona of the culture and the plain question, up to where the answer begins.
        answer: the label's one token, and the end of turn if that is trained.
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
    """Return `examples` as the base model's template writes them, labelled as a server reads them.

    Left out are those that are too long, or whose label is not one token. `ends` are the ids of the
    tokens that end a turn; `base` names the model in errors.

    Raises:
        BaseUnfit: the template does not put the assistant's text right after the prompt.
    """
    cultures, labels = read_catalogue(), _Labels(tokenizer)
    targets, counts, left_out = [], Counter[str](), Counter[str]()
    for example in examples:
        asked = labels.choose(questions[example.question].asked)
        steering = Steering(Method.PERSONA, culture=cultures[example.culture])
        messages, label = survey_messages(asked, steering), asked.labels[example.option]
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
    """Return one prompt and its answer in tokens, None if the label is not one token.

    The label's token is found as the service finds it: the chat continued by an assistant message
    that is the label has exactly one token more than the chat that asks for an answer.

    Raises:
        BaseUnfit: the template does not put the assistant's text right after the prompt.
    """
    begun = _begin_answer(tokenizer, messages, label)
    if begun is None:
        return None
    prompt = begun[:-1]
    whole = _encode(tokenizer, [*messages, Message("assistant", label)])
    if whole[: len(begun)] != begun:
        raise BaseUnfit(
            base, "an answered chat that does not begin with the prompt", "one that does"
        )
    answer = whole[len(prompt) :]
    last = next((i for i, token in enumerate(answer) if token in ends), None)
    if last is None:
        raise BaseUnfit(base, "no end of turn after the answer", "a token that generation ends at")
    return Target(tuple(prompt), tuple(answer[: last + 1]))


class _Labels:
    """Chooses labels by the same rule as `app.vllm.labels`, with the tokenizer at hand."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._token = cache(self._find_token)

    def choose(self, asked: AskedQuestion) -> AskedQuestion:
        """Return the question under the first scheme with a token per label, or under numbers."""
        for scheme in asked.schemes:
            labelled = asked.labelled(scheme)
            tokens = {self._token(label) for label in labelled.labels}
            if None not in tokens and len(tokens) == len(asked.options):
                return labelled
        return asked.labelled(LabelScheme.NUMBERS)

    def _find_token(self, label: str) -> int | None:
        begun = _begin_answer(self._tokenizer, (_ASKED,), label)
        return None if begun is None else begun[-1]


def _begin_answer(
    tokenizer: ChatTokenizer, messages: Sequence[Message], label: str
) -> list[int] | None:
    """Return the tokens of the prompt with the label after it, None if it is not one token."""
    prompt = _encode(tokenizer, messages, add_generation_prompt=True)
    begun = _encode(
        tokenizer, [*messages, Message("assistant", label)], continue_final_message=True
    )
    is_one_token = len(begun) == len(prompt) + 1 and begun[:-1] == prompt
    return begun if is_one_token else None


def _encode(tokenizer: ChatTokenizer, messages: Sequence[Message], **options: bool) -> list[int]:
    chat = [{"role": message.role, "content": message.content} for message in messages]
    # Thoughts are off if a template has a switch for them, as when labels are read.
    options |= {"tokenize": True, "return_dict": True, "enable_thinking": False}
    found = tokenizer.apply_chat_template(chat, **options)
    return list(found["input_ids"])
