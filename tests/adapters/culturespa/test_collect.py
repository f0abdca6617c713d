"""What is kept of the answers, by hand-worked examples."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from adapters.culturespa.answer import QuestionAnswer
from adapters.culturespa.collect import (
    AnswerVerdict,
    Example,
    collect,
    compute_p_value,
    count_by_topic,
    draw_control,
    take_subset,
)
from adapters.culturespa.settings import CollectSettings
from adapters.culturespa.steps import read_step_lines
from files.journal import write_lines
from tests.adapters.culturespa.survey import question

ANSWERS = (
    QuestionAnswer("generated:0", None, shares=(0.6, 0.4)),
    QuestionAnswer("generated:1", None, shares=(0.6, 0.4)),
    QuestionAnswer("generated:2", None, shares=(0.2, 0.8)),
    QuestionAnswer("generated:3", None, shares=None),
    QuestionAnswer("generated:0", "DEU", shares=(0.45, 0.55)),  # another option, 0.15 away
    QuestionAnswer("generated:1", "DEU", shares=(0.1, 0.9)),  # another option, 0.5 away
    QuestionAnswer("generated:2", "DEU", shares=(0.4, 0.6)),  # the same option
    QuestionAnswer("generated:3", "DEU", shares=(0.1, 0.9)),  # nothing to compare with
    QuestionAnswer("generated:0", "KEN", shares=None),
    QuestionAnswer("generated:2", "KEN", shares=(0.9, 0.1)),  # another option, 0.7 away
    QuestionAnswer("generated:4", "KEN", shares=(0.9, 0.1)),  # never asked unaware
)
MANY = tuple(
    Example(culture, f"generated:{i}", i % 3)
    for culture, n in (("DEU", 30), ("KEN", 7))
    for i in range(n)
)


def test_another_option_is_kept_by_default() -> None:
    examples, verdicts = collect(ANSWERS, CollectSettings())

    assert examples == (
        Example("DEU", "generated:0", 1),
        Example("DEU", "generated:1", 1),
        Example("KEN", "generated:2", 0),
    )
    assert verdicts == {
        "DEU": {AnswerVerdict.KEPT: 2, AnswerVerdict.SAME: 1, AnswerVerdict.UNREADABLE: 1},
        "KEN": {AnswerVerdict.KEPT: 1, AnswerVerdict.UNREADABLE: 2},
    }


def test_a_threshold_leaves_out_what_is_too_close() -> None:
    examples, verdicts = collect(ANSWERS, CollectSettings(min_total_variation=0.2))

    assert [(e.culture, e.question) for e in examples] == [
        ("DEU", "generated:1"),
        ("KEN", "generated:2"),
    ]
    assert verdicts["DEU"][AnswerVerdict.TOO_CLOSE] == 1


def test_sampled_replies_differ_by_their_most_frequent_option() -> None:
    answers = [
        QuestionAnswer("generated:0", None, options=(0, 0, 1, 0, 0)),
        QuestionAnswer("generated:0", "DEU", options=(1, 1, 1, 1, 0)),
        QuestionAnswer("generated:0", "KEN", options=(1, 1, 1, 1, 1)),
        QuestionAnswer(
            "generated:0", "MEX", options=(0, 1, 0, 1, 2)
        ),  # 0 and 1 tie: the first, so same
        QuestionAnswer("generated:0", "THA", options=(1, None, None, None, 1)),  # 2 of 5 readable
    ]

    examples, verdicts = collect(answers, CollectSettings())
    strict, _ = collect(answers, CollectSettings(max_p_value=0.05))

    assert [e.culture for e in examples] == ["DEU", "KEN"]
    assert verdicts["MEX"] == {AnswerVerdict.SAME: 1}
    assert verdicts["THA"] == {AnswerVerdict.UNREADABLE: 1}
    # 4 of 5 against 1 of 5: (C(5,4) C(5,1) + C(5,5) C(5,0)) / C(10,5) = 26 / 252 = 0.103.
    # 5 of 5 against 1 of 5: C(6,5) C(4,0) / C(10,5) = 6 / 252 = 0.024.
    assert [e.culture for e in strict] == ["KEN"]


def test_the_p_value_is_fishers() -> None:
    assert compute_p_value((0, 0, 1, 0, 0), (1, 1, 1, 1, 0), 1) == pytest.approx(26 / 252)
    assert compute_p_value((0, 0, 1, 0, 0), (1, 1, 1, 1, 1), 1) == pytest.approx(6 / 252)
    # Unreadable replies are in neither group: 1 of 1 against 0 of 1.
    assert compute_p_value((0, None), (1, None), 1) == pytest.approx(1 / 2)


def test_a_subset_has_its_share_of_each_culture_and_lies_in_a_larger_one() -> None:
    small, large = take_subset(MANY, 0.1, seed=1), take_subset(MANY, 0.5, seed=1)

    assert Counter(e.culture for e in small) == {"DEU": 3, "KEN": 1}
    assert Counter(e.culture for e in large) == {"DEU": 15, "KEN": 4}
    assert set(small) < set(large)
    assert take_subset(MANY, 0.5, seed=2) != large
    assert take_subset(MANY, 1.0, seed=1) == MANY
    assert take_subset(MANY, 0.0, seed=1) == ()


def test_the_control_is_as_large_and_does_not_look_at_differences() -> None:
    answers = [
        QuestionAnswer(f"generated:{i}", culture, shares=(0.9, 0.1))
        for culture in (None, "DEU", "KEN")
        for i in range(40)
    ]
    like = MANY[:10] + MANY[30:32]

    control = draw_control(answers, like, seed=1)

    assert Counter(e.culture for e in control) == {"DEU": 10, "KEN": 2}
    assert all(example.option == 0 for example in control)
    assert control != draw_control(answers, like, seed=2)


def test_examples_are_counted_by_culture_and_topic() -> None:
    questions = [question(0, topic="Life"), question(1, topic="Life"), question(2, topic="Work")]
    examples, _ = collect(ANSWERS, CollectSettings())

    assert count_by_topic(examples, questions) == {"DEU": {"Life": 2}, "KEN": {"Work": 1}}


def test_examples_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_lines(tmp_path / "e.jsonl", MANY)

    assert read_step_lines(tmp_path / "e.jsonl", Example) == MANY
