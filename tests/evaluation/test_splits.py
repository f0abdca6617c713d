from dataclasses import replace

import pytest

from evaluation.split_name import SplitName
from evaluation.splits import hide_together, hold_out, leave_one_out
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from survey_data.model import Question, Scale
from tests.evaluation.surveys import vectors_of

# Cosines: 20 degrees is 0.940, 30 is 0.866, 40 is 0.766. So a-b and b-c are alike at 0.80, a-c not.
ANGLES = {"a": 0.0, "b": 30.0, "c": 60.0, "d": 120.0, "e": 200.0}
INDEX = QuestionIndex(
    tuple(ANGLES), vectors_of(list(ANGLES.values())), answered={}, model_id="angles"
)


def questions(**texts: str) -> dict[str, Question]:
    return {
        key: Question(key, "Life", texts.get(key, f"Question {key}?"), ("yes", "no"), Scale.BINARY)
        for key in ANGLES
    }


def test_leave_one_out_asks_everything_and_bars_each_question_itself() -> None:
    split = leave_one_out(tuple(ANGLES), find_alike(questions(), INDEX))

    assert split.asked == tuple(ANGLES)
    assert split.barred["d"] == {"d"}


def test_a_near_duplicate_is_barred_but_not_its_own_near_duplicate() -> None:
    split = leave_one_out(tuple(ANGLES), find_alike(questions(), INDEX))

    assert split.barred["a"] == {"a", "b"}
    assert split.barred["b"] == {"a", "b", "c"}


def test_the_same_words_are_barred_however_far_their_vectors() -> None:
    same = questions(a="Is it  SO?", e="is it so?")

    assert leave_one_out(["a"], find_alike(same, INDEX)).barred["a"] == {"a", "b", "e"}


def test_one_item_in_two_packs_is_one_question() -> None:
    item = {key: replace(question, source_item="Q6") for key, question in questions().items()}
    item["d"] = replace(item["d"], source_item="Q7")

    barred = leave_one_out(["e"], find_alike(item, INDEX)).barred["e"]

    assert barred == {"a", "b", "c", "e"}


def test_questions_linked_by_one_that_is_not_asked_are_drawn_together() -> None:
    # b, which links a and c, is not asked.
    for seed in range(8):
        split = hold_out(("a", "c", "d"), find_alike(questions(), INDEX), share=0.3, seed=seed)
        assert ("a" in split.asked) == ("c" in split.asked)


def test_the_threshold_decides_what_is_near() -> None:
    split = leave_one_out(["a"], find_alike(questions(), INDEX, threshold=0.9))

    assert split.barred["a"] == {"a"}


def test_questions_held_out_are_never_shown_with_any_of_them() -> None:
    split = hold_out(tuple(ANGLES), find_alike(questions(), INDEX), share=0.4, seed=1)

    for key in split.asked:
        assert set(split.asked) <= split.barred[key]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_linked_is_held_out_together(seed: int) -> None:
    split = hold_out(tuple(ANGLES), find_alike(questions(), INDEX), share=0.2, seed=seed)

    # a and c are alike by way of b only.
    assert {"a", "b", "c"} <= set(split.asked) or {"a", "b", "c"}.isdisjoint(split.asked)


def test_the_draw_is_the_seeds() -> None:
    drawn = [
        hold_out(tuple(ANGLES), find_alike(questions(), INDEX), share=0.2, seed=seed).asked
        for seed in (*range(8), *range(8))
    ]

    assert drawn[:8] == drawn[8:]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="within 0 and 1"):
        hold_out(tuple(ANGLES), find_alike(questions(), INDEX), share=share)


def test_the_held_out_are_all_hidden_together_with_their_like() -> None:
    split = hide_together(
        ("a", "d"), find_alike(questions(), INDEX), SplitName.HELD_OUT, questions=questions()
    )

    assert split.hidden == {"a": {"a", "b", "d"}, "d": {"a", "b", "d"}}


def test_a_tenth_is_hidden_at_a_time() -> None:
    split = hide_together(
        tuple(ANGLES), find_alike(questions(), INDEX), SplitName.LIKE, questions=questions()
    )

    # Fewer than ten questions: each is hidden with its like alone.
    assert split.hidden["a"] == {"a", "b"}
    assert split.hidden["d"] == {"d"}


def test_a_battery_is_hidden_as_a_whole() -> None:
    found = questions()
    found["d"] = replace(found["d"], topic="Work")

    split = hide_together(
        tuple(ANGLES), find_alike(found, INDEX), SplitName.BATTERY, questions=found
    )

    assert split.hidden["a"] == split.hidden["e"] == {"a", "b", "c", "e"}
    assert split.hidden["d"] == {"d"}


def test_what_is_not_used_is_barred_but_not_hidden() -> None:
    split = replace(leave_one_out(("d",), find_alike(questions(), INDEX)), unused=frozenset("e"))

    assert split.barred["d"] == {"d", "e"}
    assert split.hidden["d"] == {"d"}
