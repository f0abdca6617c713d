"""What `milieu calibrate` does: ask, fit, print, and keep what was fitted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from app.answering.calibrated import CalibratedRecipe, ModelCalibration
from app.resources import Resources, open_resources
from app.settings import Settings
from app.state.calibration import calibration_file, identify_model
from app.state.calibration_files import CalibrationOrigin, save_calibration
from app.telemetry import Metrics
from cli.calibrate.asking import AnswerJournal, Ask, Batteries, ask_model
from cli.calibrate.fitting import estimate_cells, fit_recipe
from cli.calibrate.options import CalibrateOptions
from cli.calibrate.output import CalibrationProgress, print_calibration
from cli.calibrate.scope import Cell, select_cells, select_recipes
from cli.console import notes, read_quiet_settings
from estimation.estimator import Estimator
from estimation.fitting import find_batteries
from evaluation.asking import digest_of
from prompting.recipe import Recipe
from survey_data.split import read_split


class SavedCalibration(NamedTuple):
    """A calibration and the file it is kept in."""

    calibration: ModelCalibration
    file: Path


def calibrate_model(options: CalibrateOptions) -> None:
    """Calibrate the model of the settings, print what was found and keep it."""
    settings = read_quiet_settings()
    with CalibrationProgress(notes) as progress:
        saved = asyncio.run(run_calibration(settings, options, progress=progress))
    print_calibration(saved.calibration, saved.file)


async def run_calibration(
    settings: Settings, options: CalibrateOptions, *, progress: CalibrationProgress
) -> SavedCalibration:
    """Ask everything, or what is left to ask, fit, and write the file."""
    recipes = select_recipes(settings.answer, options)
    async with open_resources(settings, Metrics()) as resources:
        cells = select_cells(resources.library, options, read_split())
        identity = await identify_model(settings, resources.files, resources.vllm)
        origin = CalibrationOrigin.of(
            settings.model,
            identity,
            library=resources.library,
            encoder=resources.retrieval.index.model_id,
        )
        batteries = _find_batteries(resources.retrieval.estimator)
        asks = [Ask(recipe, cell) for recipe in recipes for cell in cells]
        answers = _answers_file(settings, origin)
        with AnswerJournal(answers) as journal:
            progress.on_planned(len(asks), n_kept=sum(map(journal.has, asks)))
            await ask_model(
                resources.pipeline,
                asks,
                journal,
                batteries=batteries,
                n_concurrent=options.n_concurrent,
                on_answered=progress.on_answered,
            )
            fitted = await asyncio.to_thread(_fit, recipes, cells, journal, resources, batteries)
            file = options.out or calibration_file(settings, identity)
            now = datetime.now(UTC).isoformat(" ", "seconds")
            calibration = save_calibration(file, origin, fitted, created=now)
            # The next run asks anew: another model may be served under the same name by then.
            answers.unlink()
    return SavedCalibration(calibration, file)


def _fit(
    recipes: tuple[Recipe, ...],
    cells: tuple[Cell, ...],
    journal: AnswerJournal,
    resources: Resources,
    batteries: Batteries,
) -> list[CalibratedRecipe]:
    estimates = estimate_cells(resources.retrieval.estimator, cells, batteries)
    return [
        fit_recipe(recipe, cells, journal, library=resources.library, estimates=estimates)
        for recipe in recipes
    ]


def _find_batteries(estimator: Estimator) -> dict[str, frozenset[str]]:
    """Return the keys of what was asked together with each question, its own among them."""
    questions = estimator.table.questions
    rows = find_batteries(estimator.table)
    return {
        question.key: frozenset(questions[row].key for row in battery)
        for question, battery in zip(questions, rows, strict=True)
    }


def _answers_file(settings: Settings, origin: CalibrationOrigin) -> Path:
    """Return where answers are kept until a run is done; another prompt is another run."""
    made_by = origin.model_dump(mode="json"), settings.answer.model_dump(mode="json")
    return settings.cache_folder / "calibrating" / f"{digest_of(*made_by)[:16]}.jsonl"
