"""Questions are answered unaware and as each culture, with their own options, once each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.culturespa.answer import (
    QuestionAnswer,
    answer_questions,
    list_steerings,
    list_wording,
)
from adapters.culturespa.errors import StepFileInvalid
from adapters.culturespa.settings import AnswerReading, AnswerStepSettings
from adapters.culturespa.steps import read_step_lines
from files.journal import write_lines
from prompting.labels import LabelScheme
from prompting.messages import CultureComparison
from prompting.recipe import Method
from survey_data.cultures import read_catalogue
from tests.adapters.culturespa.survey import Killed, PaperAnswerer, question

CATALOGUE = read_catalogue()
CULTURES = [CATALOGUE["DEU"], CATALOGUE["KEN"]]
QUESTIONS = [question(i) for i in range(10)]
STEERINGS = list_steerings(CULTURES, Method.PERSONA)


async def answered(
    journal: Path, answerer: PaperAnswerer, settings: AnswerStepSettings, *, n_concurrent: int = 3
) -> tuple[QuestionAnswer, ...]:
    return await answer_questions(
        QUESTIONS,
        STEERINGS,
        answerer,
        settings=settings,
        journal=journal,
        n_concurrent=n_concurrent,
    )


async def test_each_question_is_answered_unaware_once_and_as_each_culture(tmp_path: Path) -> None:
    answerer = PaperAnswerer()

    answers = await answered(tmp_path / "a.jsonl", answerer, AnswerStepSettings())

    wanted = [(code, q.key) for code in (None, "DEU", "KEN") for q in QUESTIONS]
    assert [(a.culture, a.question) for a in answers] == wanted
    assert all(a.shares is not None and len(a.shares) == 3 for a in answers)
    assert len(set(answerer.asked)) == len(answerer.asked) == 30


async def test_unaware_prompts_show_the_options_and_name_no_culture(tmp_path: Path) -> None:
    answerer = PaperAnswerer()

    await answered(tmp_path / "a.jsonl", answerer, AnswerStepSettings())

    german = [user for system, user in answerer.asked if "German" in system]
    unaware = [user for system, user in answerer.asked if "cultural background" not in system]
    assert len(german) == len(unaware) == 10
    assert all("1. Agree\n2. Neither\n3. Disagree" in user for user in unaware)


async def test_options_have_the_labels_that_the_model_is_read_by(tmp_path: Path) -> None:
    answerer = PaperAnswerer(labels=LabelScheme.LETTERS)

    answers = await answered(tmp_path / "a.jsonl", answerer, AnswerStepSettings())

    assert all(a.shares is not None for a in answers)
    assert all("A. Agree\nB. Neither\nC. Disagree" in user for _, user in answerer.asked)


async def test_a_model_without_tokens_for_labels_gives_no_shares(tmp_path: Path) -> None:
    answerer = PaperAnswerer(labels=None)

    answers = await answered(tmp_path / "a.jsonl", answerer, AnswerStepSettings())

    assert not any(a.readable for a in answers)
    assert answerer.asked == []


async def test_sampled_replies_are_asked_for_by_number(tmp_path: Path) -> None:
    answerer = PaperAnswerer(labels=LabelScheme.LETTERS)
    settings = AnswerStepSettings(reading=AnswerReading.SAMPLING, n_repeats=2)

    await answered(tmp_path / "a.jsonl", answerer, settings)

    assert all("1. Agree\n2. Neither\n3. Disagree" in user for _, user in answerer.asked)


async def test_the_cross_culture_prompt_compares(tmp_path: Path) -> None:
    comparison = CultureComparison((CATALOGUE["NLD"],), (CATALOGUE["ZWE"],))
    answerer = PaperAnswerer()

    await answer_questions(
        QUESTIONS[:1],
        list_steerings(CULTURES[:1], Method.CROSS_CULTURE, comparisons={"DEU": comparison}),
        answerer,
        settings=AnswerStepSettings(method=Method.CROSS_CULTURE),
        journal=tmp_path / "a.jsonl",
    )

    assert "Zimbabwe" not in answerer.asked[0][0]
    assert "unlike that of Zimbabwe" in answerer.asked[1][0]


async def test_sampled_replies_are_repeated_with_seeds_of_their_own(tmp_path: Path) -> None:
    settings = AnswerStepSettings(reading=AnswerReading.SAMPLING, n_repeats=8)

    answers = await answered(tmp_path / "a.jsonl", PaperAnswerer(), settings)
    other = await answered(
        tmp_path / "b.jsonl", PaperAnswerer(), settings=replace(settings, seed=1)
    )

    assert all(len(a.options) == 8 and a.shares is None for a in answers)
    assert any(len(set(a.options)) > 2 for a in answers)
    assert any(None in a.options for a in answers)
    assert answers != other


@pytest.mark.parametrize("reading", list(AnswerReading))
async def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(
    tmp_path: Path, reading: AnswerReading
) -> None:
    settings = AnswerStepSettings(reading=reading, n_repeats=2)
    unbroken = await answered(tmp_path / "a.jsonl", PaperAnswerer(), settings, n_concurrent=7)
    journal = tmp_path / "b.jsonl"
    with pytest.raises(Killed):
        await answered(journal, PaperAnswerer(kill_at=17), settings)
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"question": "gene')
    n_kept = len(journal.read_bytes().splitlines()) - 1

    rest = PaperAnswerer()
    resumed = await answered(journal, rest, settings)

    assert resumed == unbroken
    assert n_kept > 0
    per_answer = 1 if reading is AnswerReading.LOGPROBS else 2
    assert len(rest.asked) == per_answer * (30 - n_kept)


async def test_an_unreadable_answer_is_kept_as_such(tmp_path: Path) -> None:
    answerer = PaperAnswerer(lambda system, user, n: None)

    answers = await answered(tmp_path / "a.jsonl", answerer, AnswerStepSettings())

    assert all(answer.shares is None for answer in answers)


async def test_shares_that_are_not_of_the_options_are_refused(tmp_path: Path) -> None:
    answerer = PaperAnswerer(lambda system, user, n: (1.0,))

    with pytest.raises(ValueError, match="1 shares for 3 options"):
        await answered(tmp_path / "a.jsonl", answerer, AnswerStepSettings())


async def test_progress_reaches_the_number_of_answers(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    await answer_questions(
        QUESTIONS,
        STEERINGS,
        PaperAnswerer(),
        settings=AnswerStepSettings(),
        journal=tmp_path / "a.jsonl",
        on_progress=lambda done, total: seen.append((done, total)),
    )

    assert seen == [(i, 30) for i in range(1, 31)]


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    answers = (
        QuestionAnswer("a", None, shares=(0.25, 0.75)),
        QuestionAnswer("a", "DEU", options=(1, None, 0)),
        QuestionAnswer("b", "DEU"),
    )

    write_lines(tmp_path / "a.jsonl", answers)

    assert read_step_lines(tmp_path / "a.jsonl", QuestionAnswer) == answers


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFileInvalid, match=r"none\.jsonl: found no file"):
        read_step_lines(tmp_path / "none.jsonl", QuestionAnswer)


def test_the_wording_changes_with_the_cultures() -> None:
    assert list(list_wording(STEERINGS)) != list(list_wording(STEERINGS[:2]))
