"""The steps with their folders: done once, going on after a kill, and refusing changed inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.culturespa.collect import Example
from adapters.culturespa.errors import QuestionsInvalid, StepChanged, StepFileInvalid
from adapters.culturespa.pipeline import (
    CONTROL,
    EXAMPLES,
    answer_step,
    collect_step,
    filter_step,
    generate_step,
)
from adapters.culturespa.questions import from_survey, read_questions
from adapters.culturespa.settings import AnswerStepSettings, CollectSettings, GenerateSettings
from adapters.culturespa.steps import StepFolder, StepManifest, read_step_lines
from files.journal import write_lines
from survey_data.cultures import read_catalogue
from tests.adapters.culturespa.survey import (
    Killed,
    PaperAnswerer,
    PaperWriter,
    question,
    survey_question,
)

CULTURES = [read_catalogue()[code] for code in ("DEU", "KEN")]
SEEDS = [survey_question(i) for i in range(6)]
GENERATE = GenerateSettings(n_per_topic=12, batch=4)


async def generated(folder: Path, writer: PaperWriter) -> StepManifest:
    return await generate_step(folder, SEEDS, writer, model="paper", settings=GENERATE)


async def answered(folder: Path, questions: Path, answerer: PaperAnswerer) -> StepManifest:
    return await answer_step(
        folder, questions, CULTURES, answerer, model="paper", settings=AnswerStepSettings()
    )


async def test_the_steps_lead_from_survey_questions_to_examples(tmp_path: Path) -> None:
    made = await generated(tmp_path / "1", PaperWriter())
    kept = filter_step(tmp_path / "2", tmp_path / "1" / "questions.jsonl", surveyed=SEEDS)
    questions = tmp_path / "2" / "questions.jsonl"
    answers = await answered(tmp_path / "3", questions, PaperAnswerer())
    examples = collect_step(
        tmp_path / "4", questions, tmp_path / "3" / "answers.jsonl", settings=CollectSettings()
    )

    assert made.counts["questions"] == kept.counts["n_left"][-1] == 12
    assert answers.counts == {"answers": 36, "unreadable": 0}
    collected = read_step_lines(tmp_path / "4" / EXAMPLES, Example)
    assert len(collected) == examples.counts["examples"] > 0
    assert len(read_step_lines(tmp_path / "4" / CONTROL, Example)) == len(collected)
    assert sum(examples.counts["topics"]["DEU"].values()) == sum(
        example.culture == "DEU" for example in collected
    )
    assert sum(examples.counts["verdicts"]["KEN"].values()) == 12


async def test_questions_of_a_survey_can_be_answered_instead(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    write_lines(file, from_survey([replace(SEEDS[0], first_number=0)]))

    manifest = await answered(tmp_path / "3", file, PaperAnswerer())

    assert manifest.counts["answers"] == 3
    assert read_questions(file)[0].asked.labels == ("0", "1", "2")


async def test_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    first = await generated(tmp_path / "1", PaperWriter())
    again = PaperWriter()

    assert await generated(tmp_path / "1", again) == first
    assert again.prompts == []


async def test_a_killed_step_ends_with_the_same_files_as_an_unbroken_one(tmp_path: Path) -> None:
    whole = await generated(tmp_path / "a1", PaperWriter())
    with pytest.raises(Killed):
        await generated(tmp_path / "b1", PaperWriter(kill_at=7))
    resumed = await generated(tmp_path / "b1", PaperWriter())

    questions = tmp_path / "a1" / "questions.jsonl"
    all_answers = await answered(tmp_path / "a3", questions, PaperAnswerer())
    with pytest.raises(Killed):
        await answered(tmp_path / "b3", questions, PaperAnswerer(kill_at=7))
    resumed_answers = await answered(tmp_path / "b3", questions, PaperAnswerer())

    name = "questions.jsonl"
    assert resumed.outputs[name] == whole.outputs[name]
    assert resumed.counts == whole.counts
    assert resumed_answers == all_answers


async def test_a_changed_input_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    write_lines(file, [question(0)])
    await answered(tmp_path / "3", file, PaperAnswerer())
    write_lines(file, [question(1)])

    with pytest.raises(StepChanged, match=r"other input questions\.jsonl"):
        await answered(tmp_path / "3", file, PaperAnswerer())


async def test_a_changed_setting_is_noticed_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        await generated(tmp_path / "1", PaperWriter(kill_at=3))
    writer = PaperWriter()

    with pytest.raises(StepChanged, match="other setting model, setting n_per_topic"):
        await generate_step(
            tmp_path / "1",
            SEEDS,
            writer,
            model="other",
            settings=replace(GENERATE, n_per_topic=13),
        )
    assert writer.prompts == []


async def test_an_output_that_was_changed_later_is_noticed(tmp_path: Path) -> None:
    await generated(tmp_path / "1", PaperWriter())
    write_lines(tmp_path / "1" / "questions.jsonl", [question(0)])

    with pytest.raises(StepFileInvalid, match=r"questions\.jsonl: found other content"):
        await generated(tmp_path / "1", PaperWriter())


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuestionsInvalid, match=r"questions\.jsonl: found no file"):
        filter_step(tmp_path / "2", tmp_path / "questions.jsonl", surveyed=SEEDS)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(StepChanged, match=r"no step\.json"):
        StepFolder(tmp_path, step="filter", settings={}, inputs={})
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
