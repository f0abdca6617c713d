"""What the rules drop and change; on the released questions, how many."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.culturespa.filter import filter_questions
from adapters.culturespa.questions import GeneratedQuestion, read_released
from tests.adapters.culturespa.survey import question


def filtered(*options: str, text: str = "How much?") -> GeneratedQuestion | None:
    asked = GeneratedQuestion("generated:0", "Life", text, options)
    kept = filter_questions([asked], surveyed=[]).questions
    return kept[0] if kept else None


def test_the_released_questions_are_filtered_to_the_papers_numbers(shared: Path) -> None:
    data = shared / "data" / "culturespa"
    released = read_released(data / "generated_questions.jsonl.gz")
    survey = json.loads((data / "wvs_questions.json").read_bytes())

    kept, counts = filter_questions(released, surveyed=[item["question"] for item in survey])

    assert counts.n_read == 13_000
    assert counts.n_left == (12_891, 12_860, 12_847)
    assert len(kept) == 12_847
    # Counted by eye in the file: 16 ten-point and 7 five-point scales with two labelled ends.
    assert counts.n_moved == 23


def test_a_repeat_of_another_or_of_a_survey_question_is_dropped() -> None:
    questions = [
        question(0, text="Same?"),
        question(1, text="Same?"),
        question(2, text="Asked by the survey?"),
        question(3, text="Own?"),
    ]

    kept, counts = filter_questions(questions, surveyed=["Asked by the survey?"])

    assert [q.key for q in kept] == ["generated:0", "generated:3"]
    assert (counts.n_repeated, counts.n_left) == (2, (2, 2, 2))


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ("How happy are you?", False),
        ("On a scale of 1 to 3, how happy are you?", True),
        ("How happy are you, with 1 being not at all?", True),
        ("How happy are you, where 1 means not at all?", True),
        ("How happy are you? Use the card on which 1 means not at all.", True),
    ],
)
def test_bare_numbers_need_a_scale_in_the_text(text: str, is_kept: bool) -> None:
    assert (filtered("1", "2", "3", text=text) is not None) is is_kept


@pytest.mark.parametrize(
    "options",
    [
        ("1. No", "2. Yes"),
        ("1) No", "2) Yes"),
        ("(1) No", "(2) Yes"),
        ("1 - No", "2 - Yes"),
        ("1: No", "2: Yes"),
        ("1 (No)", "2 (Yes)"),
        ("2. No", "1. Yes"),
    ],
)
def test_numbering_is_stripped(options: tuple[str, ...]) -> None:
    kept = filtered(*options)

    assert kept is not None
    assert (kept.options, kept.first_number) == (("No", "Yes"), 1)


def test_a_scale_that_counts_from_zero_keeps_its_numbers() -> None:
    kept = filtered("0 - Never", "1 - Often", "2 - Always")

    assert kept is not None
    assert kept.asked.labels == ("0", "1", "2")


@pytest.mark.parametrize(
    "options",
    [
        ("1-2 weeks", "3-4 weeks", "More than 4 weeks"),
        ("1 - 2 weeks", "3 - 4 weeks"),
        ("1.5 hours", "2.5 hours"),
        ("1-3: Too slow", "4-6: Just right"),
        ("5-10%", "10-20%"),
    ],
)
def test_amounts_are_no_numbering(options: tuple[str, ...]) -> None:
    kept = filtered(*options)

    assert kept is not None
    assert kept.options == options


@pytest.mark.parametrize(
    "options",
    [("1 - Not at all", "2", "3", "4 - Fully"), ("1 (Not at all)", "2", "3", "4 (Fully)")],
)
def test_the_labels_of_two_ends_move_into_the_text(options: tuple[str, ...]) -> None:
    kept = filtered(*options, text="How much do you trust?")

    assert kept == GeneratedQuestion(
        "generated:0",
        "Life",
        "How much do you trust? Here 1 means 'Not at all' and 4 means 'Fully'.",
        ("1", "2", "3", "4"),
    )


@pytest.mark.parametrize(
    "options",
    [
        ("1 - No", "2", "3 - Perhaps", "4", "5 - Yes"),
        ("1 - No", "2", "3", "4 - Yes", "5 - Don't know"),
        ("0", "1-3", "4-6"),
        ("No", "2", "3", "Yes"),
    ],
)
def test_other_half_labelled_scales_are_dropped(options: tuple[str, ...]) -> None:
    assert filtered(*options) is None


def test_what_the_rules_change_is_counted() -> None:
    questions = [
        replace(question(0), options=("1. No", "2. Yes")),
        replace(question(1), options=("1 - No", "2", "3 - Yes")),
        question(2),
    ]

    counts = filter_questions(questions, surveyed=[]).counts

    assert (counts.n_renumbered, counts.n_moved, counts.n_half_labelled) == (1, 1, 0)
