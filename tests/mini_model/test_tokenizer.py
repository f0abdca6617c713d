from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from mini_model.tokenizer import ANSWER, ASSISTANT, MAX_LABEL, find_label_ids, train_tokenizer
from mini_model.weights import WEIGHTS


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))


def test_every_label_is_one_token_of_its_own(tokenizer: Tokenizer) -> None:
    ids = find_label_ids(tokenizer)

    assert len(set(ids.values())) == MAX_LABEL + 1


@pytest.mark.parametrize("number", range(MAX_LABEL + 1))
def test_an_answer_in_an_exemplar_and_a_reply_have_the_same_token(
    tokenizer: Tokenizer, number: int
) -> None:
    label = find_label_ids(tokenizer)[str(number)]

    assert tokenizer.encode(f"{ANSWER}{number} (Yes)").ids[1] == label
    assert tokenizer.encode(f"{ASSISTANT}{number}").ids[1:] == [label]


@pytest.mark.parametrize("text", ["1. Yes", "\n1. Yes", "Shares: 1. 61%, 2. 39%", "from 1, never"])
def test_other_numbers_are_never_label_tokens(tokenizer: Tokenizer, text: str) -> None:
    labels = set(find_label_ids(tokenizer).values())

    assert not labels.intersection(tokenizer.encode(text).ids)


def test_any_text_comes_back_as_it_was(tokenizer: Tokenizer) -> None:
    text = "Wie wichtig ist 宗教 — in your life?\n\n1. “Very” (61%)…"

    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_training_refuses_a_vocabulary_without_labels() -> None:
    tiny = train_tokenizer(["a"], vocab_size=270)

    with pytest.raises(ValueError, match="larger vocabulary"):
        find_label_ids(tiny)
