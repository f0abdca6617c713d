"""chrF++ is sacrebleu's to the last bit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from retrieval.chrf import ChrfScorer

SACREBLEU = CHRF(word_order=2)
TEXTS = st.text(alphabet="abcAB .,?'()-é\n", max_size=40)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4))
def test_scores_equal_those_of_sacrebleu(asked: str, candidates: list[str]) -> None:
    expected = [SACREBLEU.sentence_score(asked, [text]).score for text in candidates]
    assert ChrfScorer(candidates).scores(asked) == expected


@pytest.mark.parametrize(
    ("asked", "candidate", "score"),
    [
        ("How important is family?", "How important is family?", 100.0),
        ("abc", "xyz", 0.0),
        ("", "abc", 0.0),
        # Character orders: unigrams 1/1 of precision and 1/2 of recall; no order 2 in "a".
        # Words: "a" is not "ab". Averages: precision 1/2, recall 1/4; F2 = 5/8 / (2 + 1/4) x 100.
        ("a", "ab", 100 * 0.625 / 2.25),
    ],
)
def test_scores_by_hand(asked: str, candidate: str, score: float) -> None:
    assert ChrfScorer([candidate]).scores(asked) == pytest.approx([score])


def test_no_candidate_gives_no_score() -> None:
    assert ChrfScorer([]).scores("abc") == []
