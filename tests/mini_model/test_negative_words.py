from __future__ import annotations

import re

import pytest
from tokenizers import Tokenizer

from mini_model.negative_words import NEGATIVE_WORDS, is_negative
from mini_model.weights import WEIGHTS
from survey_data.model import Scale
from tests.mini_model.pools import wvs7


@pytest.mark.parametrize("token", ["not", " Not", " disagree", "NEVER", " don't", " can't"])
def test_words_that_deny_are_negative_whatever_their_case(token: str) -> None:
    assert is_negative(token)


@pytest.mark.parametrize("token", [" important", " note", " nothin", "", " ", " 5", "no trust"])
def test_other_tokens_are_not(token: str) -> None:
    assert not is_negative(token)


def test_most_ordered_scales_have_a_negative_word_at_one_end_alone() -> None:
    def ends(options: tuple[str, ...]) -> list[bool]:
        words = [re.findall(r"[a-z']+", option.casefold()) for option in (options[0], options[-1])]
        return [any(map(is_negative, of)) for of in words]

    scales = [ends(q.options) for q in wvs7().questions if q.scale is Scale.ORDINAL]

    told = sum(first != last for first, last in scales)
    assert told > 0.9 * len(scales)


def test_in_the_shipped_vocabulary_each_is_one_token_inside_an_option() -> None:
    words = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))

    for word in NEGATIVE_WORDS:
        for text in (f" {word}", f" {word.capitalize()}"):
            assert len(words.encode(text).ids) == 1, text
