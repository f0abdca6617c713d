from __future__ import annotations

import pytest

from retrieval.encoders.unigram import UnigramTokenizer

PIECES = ("<s>", "</s>", "<unk>", "▁", "▁a", "a", "b", "ab", "▁ab", "é")
SCORES = (0.0, 0.0, 0.0, -3.0, -2.0, -2.0, -2.0, -2.5, -5.0, -2.0)
FIRST, LAST, UNKNOWN = range(3)


@pytest.fixture
def tokenizer() -> UnigramTokenizer:
    return UnigramTokenizer(
        PIECES,
        SCORES,
        replaced={ord("\uff41"): "a", ord("\n"): " "},
        first=FIRST,
        last=LAST,
        unknown=UNKNOWN,
        special={FIRST, LAST, UNKNOWN},
    )


def pieces(tokenizer: UnigramTokenizer, text: str) -> list[str]:
    return [PIECES[i] for i in tokenizer.encode(text, at_most=64)[1:-1]]


def test_the_most_likely_pieces_are_found(tokenizer: UnigramTokenizer) -> None:
    # ▁a + b: -4.0; ▁ab: -5.0; ▁ + ab: -5.5; ▁ + a + b: -7.0.
    assert pieces(tokenizer, "ab") == ["▁a", "b"]


def test_blanks_of_any_kind_and_number_are_one(tokenizer: UnigramTokenizer) -> None:
    assert pieces(tokenizer, "  a \n a ") == ["▁a", "▁a"]


def test_characters_are_replaced_and_composed(tokenizer: UnigramTokenizer) -> None:
    assert pieces(tokenizer, "\uff41e\u0301") == ["▁a", "é"]


def test_an_unknown_character_is_one_piece_and_costs_the_others_nothing(
    tokenizer: UnigramTokenizer,
) -> None:
    assert pieces(tokenizer, "a∞b") == ["▁a", "<unk>", "b"]


def test_a_text_is_put_between_first_and_last_and_cut_to_its_length(
    tokenizer: UnigramTokenizer,
) -> None:
    assert tokenizer.encode("", at_most=8) == [FIRST, LAST]
    assert tokenizer.encode("a a a a a", at_most=4) == [FIRST, 4, 4, LAST]


def test_special_pieces_are_not_found_in_a_text(tokenizer: UnigramTokenizer) -> None:
    assert FIRST not in tokenizer.encode("<s>", at_most=64)[1:]
