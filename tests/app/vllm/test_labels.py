"""Options get labels that are single tokens of the served model, whatever its tokenizer."""

from __future__ import annotations

import pytest

from app.vllm.client import VllmClient
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from tests.fakes.tokenizers import Kind, make_tokenizer
from tests.fakes.vllm import MODEL, FakeVllm, serve

NUMBERS, LETTERS = LabelScheme.NUMBERS, LabelScheme.LETTERS
# Kind, options, number of the first. Only the third Llama's kind has tokens of two digits, and
# Mistral's writes even one digit in two tokens, for the space before it is one.
CHOICES = [
    (Kind.LLAMA, 4, 1, NUMBERS),
    (Kind.LLAMA, 10, 1, NUMBERS),
    (Kind.LLAMA, 11, 0, NUMBERS),
    (Kind.QWEN, 9, 1, NUMBERS),
    (Kind.QWEN, 10, 0, NUMBERS),
    (Kind.QWEN, 10, 1, LETTERS),
    (Kind.QWEN, 11, 0, LETTERS),
    (Kind.SMOLLM, 4, 1, NUMBERS),
    (Kind.SMOLLM, 10, 1, LETTERS),
    (Kind.SMOLLM, 11, 0, LETTERS),
    (Kind.SMOLLM, 20, 1, LETTERS),
    (Kind.MISTRAL, 2, 1, LETTERS),
    (Kind.MISTRAL, 11, 0, LETTERS),
    (Kind.GEMMA, 4, 0, NUMBERS),
    (Kind.GEMMA, 10, 1, LETTERS),
    (Kind.THINKING, 9, 1, NUMBERS),
    (Kind.THINKING, 11, 0, LETTERS),
]


def question(n_options: int, first_number: int = 1) -> AskedQuestion:
    return AskedQuestion("?", tuple(f"option {i}" for i in range(n_options)), first_number)


@pytest.mark.parametrize(("kind", "n_options", "first_number", "scheme"), CHOICES)
async def test_numbers_are_chosen_where_each_is_one_token_else_letters(
    kind: Kind, n_options: int, first_number: int, scheme: LabelScheme
) -> None:
    tokenizer = make_tokenizer(kind)
    asked = question(n_options, first_number)
    with serve(FakeVllm(tokenizer=tokenizer).app) as url:
        async with VllmClient([url]) as client:
            chosen = await client.choose_labels(MODEL, asked)
            labels = asked.labelled(scheme).labels
            ids = await client.label_token_ids(MODEL, labels)

    assert chosen is scheme
    assert ids is not None
    assert [tokenizer.decode([token]).strip() for token in ids] == list(labels)


async def test_after_thoughts_that_cannot_be_switched_off_there_are_no_labels() -> None:
    with serve(FakeVllm(tokenizer=make_tokenizer(Kind.REASONING)).app) as url:
        async with VllmClient([url]) as client:
            assert await client.choose_labels(MODEL, question(2)) is None


async def test_more_options_than_letters_have_numbers_or_nothing() -> None:
    with serve(FakeVllm(tokenizer=make_tokenizer(Kind.QWEN)).app) as url:
        async with VllmClient([url]) as client:
            assert await client.choose_labels(MODEL, question(26)) is LETTERS
            assert await client.choose_labels(MODEL, question(27)) is None


async def test_a_model_is_asked_about_each_label_once() -> None:
    fake = FakeVllm(tokenizer=make_tokenizer(Kind.QWEN))
    with serve(fake.app) as url:
        async with VllmClient([url]) as client:
            for n_options in (10, 11, 10, 4):
                await client.choose_labels(MODEL, question(n_options))

    # The prompt with and without thoughts, 1 to 11 and A to K.
    assert len(fake.received) == 2 + 11 + 11


async def test_thoughts_are_switched_off_where_they_can_be() -> None:
    fake = FakeVllm(tokenizer=make_tokenizer(Kind.THINKING))
    asked = (Message("user", "1 or 2?"),)
    with serve(fake.app) as url:
        async with VllmClient([url]) as client:
            scores = await client.score(asked, ("1", "2"), model=MODEL)
            n_tokens = await client.count_tokens(asked, model=MODEL)
            with_thoughts = await client.tokenize(asked, model=MODEL)

    assert scores is not None
    assert fake.chats[0].body["chat_template_kwargs"] == {"enable_thinking": False}
    # The closed thoughts that the label comes after take up room.
    assert n_tokens > len(with_thoughts)


@pytest.mark.parametrize("kind", [Kind.LLAMA, Kind.QWEN, Kind.MISTRAL])
async def test_a_template_without_thoughts_is_told_nothing(kind: Kind) -> None:
    fake = FakeVllm(tokenizer=make_tokenizer(kind))
    with serve(fake.app) as url:
        async with VllmClient([url]) as client:
            await client.score((Message("user", "A or B?"),), ("A", "B"), model=MODEL)

    assert "chat_template_kwargs" not in fake.chats[0].body
