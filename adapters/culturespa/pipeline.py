"""Steps 1 to 4 with their folders: a step that is done is not done again. Step 5 is `train`.

Each takes the files of the step before it by path, so each can be used alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from adapters.culturespa.answer import (
    Answerer,
    QuestionAnswer,
    answer_questions,
    list_steerings,
    list_wording,
)
from adapters.culturespa.collect import collect, count_by_topic, draw_control, take_subset
from adapters.culturespa.filter import SCALE_PHRASES, filter_questions
from adapters.culturespa.generate import Writer, generate_questions
from adapters.culturespa.questions import check_answered, read_questions
from adapters.culturespa.settings import AnswerStepSettings, CollectSettings, GenerateSettings
from adapters.culturespa.steps import (
    OnProgress,
    StepFolder,
    StepManifest,
    hash_step_file,
    read_step_lines,
)
from files.journal import write_lines
from prompting.messages import CultureComparison, Steering
from prompting.question_writing import ASK, SYSTEM
from survey_data.cultures import Culture
from survey_data.model import Question

QUESTIONS, ANSWERS, EXAMPLES = "questions.jsonl", "answers.jsonl", "examples.jsonl"
ATTEMPTS, CONTROL = "attempts.jsonl", "control.jsonl"


async def generate_step(
    folder: Path,
    seeds: Sequence[Question],
    writer: Writer,
    *,
    model: str,
    settings: GenerateSettings,
    n_concurrent: int = 16,
    on_progress: OnProgress | None = None,
) -> StepManifest:
    """Write `questions.jsonl` into `folder`, from survey questions; `model` names the writer.

    Raises:
        StepChanged, StepFileInvalid, TopicEmpty: as `StepFolder` and `generate_questions` do.
    """
    inputs = {"survey": digest(q.key + q.text + "|".join(q.options) for q in seeds)}
    inputs["prompt"] = digest([SYSTEM, ASK])
    step = StepFolder(
        folder, step="generate", settings={**asdict(settings), "model": model}, inputs=inputs
    )
    if step.manifest is not None:
        return step.manifest
    made = await generate_questions(
        seeds,
        writer,
        settings=settings,
        journal=folder / ATTEMPTS,
        n_concurrent=n_concurrent,
        on_progress=on_progress,
    )
    write_lines(folder / QUESTIONS, made.questions)
    outcomes = {topic: dict(sorted(counts.items())) for topic, counts in made.outcomes.items()}
    counts = {"questions": len(made.questions), "outcomes": outcomes}
    return step.finish(outputs=[QUESTIONS, ATTEMPTS], counts=counts)


def filter_step(folder: Path, questions: Path, *, surveyed: Sequence[Question]) -> StepManifest:
    """Write the questions of a file that pass the rules to `questions.jsonl` in `folder`.

    Nothing may repeat `surveyed`, by which results are judged.

    Raises:
        StepChanged, StepFileInvalid, QuestionsInvalid: as `StepFolder` and `read_questions` do.
    """
    read = read_questions(questions)
    inputs = {QUESTIONS: hash_step_file(questions), "survey": digest(q.text for q in surveyed)}
    step = StepFolder(
        folder, step="filter", settings={"scale_phrases": SCALE_PHRASES}, inputs=inputs
    )
    if step.manifest is not None:
        return step.manifest
    filtered = filter_questions(read, surveyed=(q.text for q in surveyed))
    write_lines(folder / QUESTIONS, filtered.questions)
    counts = {**asdict(filtered.counts), "n_left": filtered.counts.n_left}
    return step.finish(outputs=[QUESTIONS], counts=counts)


async def answer_step(
    folder: Path,
    questions: Path,
    cultures: Sequence[Culture],
    answerer: Answerer,
    *,
    model: str,
    settings: AnswerStepSettings,
    comparisons: Mapping[str, CultureComparison] | None = None,
    n_concurrent: int = 16,
    on_progress: OnProgress | None = None,
) -> StepManifest:
    """Write `answers.jsonl` into `folder`: each question of a file unaware and as each culture.

    `model` names what `answerer` asks; answers of another model are another step.

    Raises:
        StepChanged, QuestionsInvalid: as `StepFolder` and `read_questions` do.
        StepFileInvalid, ValueError: as `answer_questions` does.
    """
    asked = read_questions(questions)
    steerings = list_steerings(cultures, settings.method, comparisons=comparisons)
    step = _open_answer_step(folder, questions, steerings, model, settings)
    if step.manifest is not None:
        return step.manifest
    journal = folder / ".answers.journal"
    answers = await answer_questions(
        asked,
        steerings,
        answerer,
        settings=settings,
        journal=journal,
        n_concurrent=n_concurrent,
        on_progress=on_progress,
    )
    write_lines(folder / ANSWERS, answers)
    counts = {"answers": len(answers), "unreadable": sum(not a.readable for a in answers)}
    manifest = step.finish(outputs=[ANSWERS], counts=counts)
    journal.unlink()
    return manifest


def _open_answer_step(
    folder: Path,
    questions: Path,
    steerings: Sequence[Steering],
    model: str,
    settings: AnswerStepSettings,
) -> StepFolder:
    codes = [steering.culture.code for steering in steerings if steering.culture is not None]
    return StepFolder(
        folder,
        step="answer",
        settings={**asdict(settings), "model": model, "cultures": codes},
        inputs={QUESTIONS: hash_step_file(questions), "prompts": digest(list_wording(steerings))},
    )


def collect_step(
    folder: Path,
    questions: Path,
    answers: Path,
    *,
    settings: CollectSettings,
    ratio: float = 1.0,
    seed: int = 0,
) -> StepManifest:
    """Write what differs to `examples.jsonl` in `folder`, and its random control, `control.jsonl`.

    The share `ratio`, in [0, 1], of each culture's examples is kept, drawn by `seed`.

    Raises:
        StepChanged, StepFileInvalid: as `StepFolder` does, or `answers` is no such file.
        QuestionsInvalid: `questions` is no such file, or lacks a question that was answered.
    """
    all_answers, asked = read_step_lines(answers, QuestionAnswer), read_questions(questions)
    check_answered({answer.question for answer in all_answers}, questions, asked, by=answers)
    step = StepFolder(
        folder,
        step="collect",
        settings={**asdict(settings), "ratio": ratio, "seed": seed},
        inputs={QUESTIONS: hash_step_file(questions), ANSWERS: hash_step_file(answers)},
    )
    if step.manifest is not None:
        return step.manifest
    collected = collect(all_answers, settings)
    examples = take_subset(collected.examples, ratio, seed=seed)
    control = draw_control(all_answers, examples, seed=seed)
    write_lines(folder / EXAMPLES, examples)
    write_lines(folder / CONTROL, control)
    verdicts = {culture: dict(sorted(of.items())) for culture, of in collected.verdicts.items()}
    counts = {
        "examples": len(examples),
        "control": len(control),
        "verdicts": verdicts,
        "topics": count_by_topic(examples, asked),
    }
    return step.finish(outputs=[EXAMPLES, CONTROL], counts=counts)


def digest(texts: Iterable[str]) -> str:
    """Return the sha256 of lines of text, in hex."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
