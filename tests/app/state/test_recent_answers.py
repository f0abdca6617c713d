"""The last replies are kept, each for who asked, and no more of them than there is room for."""

from __future__ import annotations

import pytest

from app.errors import AnswerNotKept
from app.state.recent_answers import RecentAnswers


def test_a_reply_is_found_as_it_was_by_who_asked_alone() -> None:
    recent = RecentAnswers(max_answers=2)
    recent.keep("a", "ans_1", '{"é": 1}')

    assert recent.find("a", "ans_1") == '{"é": 1}'
    with pytest.raises(AnswerNotKept) as other:
        recent.find("b", "ans_1")
    with pytest.raises(AnswerNotKept) as unknown:
        recent.find("a", "ans_2")
    assert str(other.value) == str(unknown.value).replace("ans_2", "ans_1")


@pytest.mark.parametrize("max_answers", [0, 1, 3])
def test_the_oldest_make_room(max_answers: int) -> None:
    recent = RecentAnswers(max_answers=max_answers)
    for n in range(5):
        recent.keep("a", f"ans_{n}", str(n))

    assert len(recent) == max_answers
    for n in range(5 - max_answers, 5):
        assert recent.find("a", f"ans_{n}") == str(n)
