"""The steps of CultureSPA on the model and the surveys of the settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adapters.culturespa.errors import NoQuestionWritten
from adapters.culturespa.pipeline import QUESTIONS, answer_step, digest, filter_step, generate_step
from adapters.culturespa.questions import from_survey
from adapters.culturespa.steps import OnProgress, StepFolder, StepManifest
from app.errors import OptionInvalid
from cli.culturespa.inputs import Surveys, open_questions
from cli.culturespa.options import RunOptions
from cli.culturespa.served_model import ServedModel
from files.journal import write_lines
from prompting.messages import compare_culture
from prompting.recipe import Method
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.similarity import CultureSimilarity
from survey_data.split import read_split


async def do_generate(
    folder: Path,
    surveys: Surveys,
    options: RunOptions,
    model: ServedModel,
    on_progress: OnProgress | None = None,
) -> StepManifest:
    """Do the first step: write questions on the named topics of a survey, or on all of them.

    Raises:
        OptionInvalid: the survey has no such topic.
        NoQuestionWritten: the model cannot write questions.
    """
    manifest = await generate_step(
        folder,
        _choose_questions(surveys, options.topics),
        model,
        model=model.name,
        settings=replace(options.generate, seed=options.seed),
        n_concurrent=options.n_concurrent,
        on_progress=on_progress,
    )
    if not manifest.counts["questions"]:
        outcomes = map(Counter[str], manifest.counts["outcomes"].values())
        raise NoQuestionWritten(model.name, sum(outcomes, Counter[str]()))
    return manifest


def do_filter(folder: Path, questions: Path, surveys: Surveys) -> StepManifest:
    """Do the second step, on generated questions or on those released with CultureSPA."""
    with open_questions(questions) as file:
        return filter_step(folder, file, surveyed=surveys.questions)


def take_survey(folder: Path, surveys: Surveys, topics: Sequence[str] = ()) -> StepManifest:
    """Write the survey's own questions into `folder`, to be asked instead of generated ones.

    Those on the named topics, or on all. Questions held out of all training are left out, so that
    adapters trained on the rest can be measured with `milieu evaluate --held-out`.

    Raises:
        OptionInvalid: the survey has no such topic.
    """
    held_out = read_split().questions
    chosen = _choose_questions(surveys, topics)
    kept = from_survey(q for q in chosen if q.key not in held_out)
    survey = digest(f"{q.key}|{q.text}|{'|'.join(q.options)}" for q in kept)
    step = StepFolder(
        folder, step="survey", settings={"pack": surveys.pack}, inputs={"survey": survey}
    )
    if step.manifest is not None:
        return step.manifest
    write_lines(folder / QUESTIONS, kept)
    counts = {"questions": len(kept), "held_out": len(chosen) - len(kept)}
    return step.finish(outputs=[QUESTIONS], counts=counts)


def _choose_questions(surveys: Surveys, topics: Sequence[str]) -> list[Question]:
    """Return the questions of a survey on the named topics, or on all of them."""
    known = dict.fromkeys(question.topic for question in surveys.questions)
    for topic in topics:
        if topic not in known:
            raise OptionInvalid("--topic", topic, f"one of {', '.join(known)}")
    chosen = set(topics) or known.keys()
    return [question for question in surveys.questions if question.topic in chosen]


async def do_answer(
    folder: Path,
    questions: Path,
    cultures: Sequence[Culture],
    library: SurveyLibrary,
    options: RunOptions,
    model: ServedModel,
    on_progress: OnProgress | None = None,
) -> StepManifest:
    """Do the third step: every question unaware, and as each culture.

    Raises:
        SurveyDataError: `cross-culture`, and there is nothing to compare a culture with.
    """
    comparisons = None
    if options.answer.method is Method.CROSS_CULTURE:
        similarity, catalogue = CultureSimilarity(library), library.catalogue
        comparisons = {c.code: compare_culture(c.code, similarity, catalogue) for c in cultures}
    return await answer_step(
        folder,
        questions,
        cultures,
        model,
        model=model.name,
        settings=replace(options.answer, seed=options.seed),
        comparisons=comparisons,
        n_concurrent=options.n_concurrent,
        on_progress=on_progress,
    )
