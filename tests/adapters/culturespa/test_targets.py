"""What is trained is the token that a server reads as the label, and the end of turn."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from adapters.culturespa.collect import Example
from adapters.culturespa.errors import BaseUnfit
from adapters.culturespa.settings import TrainSettings
from adapters.culturespa.targets import EncodedExamples, Target, encode_answer, encode_examples
from app.vllm.client import VllmClient
from prompting.messages import Message
from tests.adapters.culturespa.survey import question
from tests.fakes.tokenizers import Kind, make_tokenizer
from tests.fakes.vllm import MODEL, FakeVllm, serve
from tests.tiny_llama import END, tiny_chat_llama

ASK = (Message("system", "Be German."), Message("user", "Which?"))
BASE = Path("base")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(tiny_chat_llama(), local_files_only=True)


class PaperTokenizer:
    """One token per character; `before` and `after` surround a finished answer."""

    def __init__(self, *, before: str = "", after: str = "$") -> None:
        self.before, self.after = before, after

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        text = ""
        for message in conversation:
            is_answer = message["role"] == "assistant"
            done = is_answer and not options.get("continue_final_message")
            text += f">{self.before if done else ''}{message['content']}"
            text += self.after if done or not is_answer else ""
        text += ">" if options.get("add_generation_prompt") else ""
        return {"input_ids": [ord(letter) for letter in text]}


def answer_of(tokenizer: Any, label: str, *, end: int = ord("$")) -> Target | None:
    return encode_answer(ASK, label, tokenizer, ends={end}, base=BASE)


def encoded(
    tokenizer: Any, examples: list[Example], *, max_tokens: int = 1024, train_end: bool = True
) -> EncodedExamples:
    questions = {
        "generated:0": question(0),
        "generated:1": replace(question(1), options=tuple(f"option {i}" for i in range(30))),
    }
    return encode_examples(
        examples,
        questions,
        tokenizer,
        ends={END},
        settings=TrainSettings(train_end=train_end, max_tokens=max_tokens),
        base=BASE,
    )


def test_every_digit_and_letter_is_trained_as_its_own_token(tokenizer: Any) -> None:
    ids = tokenizer.get_vocab()

    for label in string.digits + string.ascii_uppercase:
        target = answer_of(tokenizer, label, end=END)
        assert target is not None
        assert target.answer == (ids[label], END)


def test_the_prompt_is_the_persona_and_the_plain_question(tokenizer: Any) -> None:
    (target,), counts, left_out = encoded(tokenizer, [Example("DEU", "generated:0", 2)])

    text = tokenizer.decode(target.tokens)
    assert "with a German cultural background" in text
    assert "Question: Question 0?\nOptions:\n1. Agree\n2. Neither\n3. Disagree" in text
    assert text.endswith("<|im_start|>assistant\n3<|im_end|>")
    assert (counts, left_out) == ({"DEU": 1}, {})


def test_the_loss_reads_the_answer_only(tokenizer: Any) -> None:
    (target,), *_ = encoded(tokenizer, [Example("DEU", "generated:0", 2)])

    assert set(target.labels[: len(target.prompt)]) == {-100}
    assert target.labels[len(target.prompt) :] == target.answer
    assert len(target.labels) == len(target.tokens)


def test_the_end_of_turn_can_be_left_untrained(tokenizer: Any) -> None:
    example = [Example("DEU", "generated:0", 2)]

    (whole,), *_ = encoded(tokenizer, example)
    (label,), *_ = encoded(tokenizer, example, train_end=False)

    assert label.answer == whole.answer[:1]


def test_what_cannot_be_read_or_is_too_long_is_left_out_and_counted(tokenizer: Any) -> None:
    examples = [Example("DEU", "generated:1", 24), Example("DEU", "generated:1", 0)]

    targets, counts, left_out = encoded(tokenizer, examples)
    short = encoded(tokenizer, examples[1:], max_tokens=50)

    assert (len(targets), counts) == (1, {"DEU": 1})
    assert left_out == {"label is not one token": 1}
    assert short.left_out == {"longer than 50 tokens": 1}


@pytest.mark.parametrize(
    ("kind", "n_options", "label"),
    [
        (Kind.LLAMA, 11, "11"),
        (Kind.QWEN, 9, "9"),
        (Kind.QWEN, 11, "K"),
        (Kind.SMOLLM, 11, "K"),
        (Kind.MISTRAL, 4, "D"),
        (Kind.GEMMA, 10, "J"),
        (Kind.THINKING, 11, "K"),
    ],
)
async def test_what_is_trained_is_the_token_that_the_service_reads(
    kind: Kind, n_options: int, label: str
) -> None:
    tokenizer = make_tokenizer(kind)
    asked = replace(question(0), options=tuple(f"option {i}" for i in range(n_options)))

    (target,), _, left_out = encode_examples(
        [Example("DEU", asked.key, n_options - 1)],
        {asked.key: asked},
        tokenizer,
        ends={tokenizer.eos_token_id},
        settings=TrainSettings(),
        base=BASE,
    )

    with serve(FakeVllm(tokenizer=tokenizer).app) as url:
        async with VllmClient([url]) as client:
            read = await client.label_token_ids(MODEL, (label,))
    assert read == target.answer[:1]
    assert f"{label}. option {n_options - 1}" in tokenizer.decode(target.prompt)
    assert left_out == {}


def test_what_a_template_adds_after_the_end_of_turn_is_not_trained() -> None:
    target = answer_of(PaperTokenizer(after="$\n"), "2")

    assert target is not None
    assert target.answer == (ord("2"), ord("$"))


def test_a_label_of_two_tokens_is_none() -> None:
    assert answer_of(PaperTokenizer(), "12") is None


def test_a_template_that_puts_thoughts_before_the_answer_is_refused() -> None:
    with pytest.raises(BaseUnfit, match="does not begin with the prompt"):
        answer_of(PaperTokenizer(before="<think>"), "2")


def test_a_template_without_an_end_of_turn_is_refused() -> None:
    with pytest.raises(BaseUnfit, match="no end of turn"):
        answer_of(PaperTokenizer(after=" "), "2")
