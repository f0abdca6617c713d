"""Runs an evaluation from start to report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import aiohttp
from pydantic import ValidationError

from app.evaluation_plan import EvaluateOptions, Planned, planned
from app.resources import open_resources, open_retrieval, read_library
from app.respondents import MilieuService, VllmModel
from app.settings import Settings
from app.telemetry import Metrics
from evaluation.asking import digest_of
from evaluation.errors import BaselineInvalid, RunFolderInvalid
from evaluation.figures import Figures
from evaluation.report.write import write_report
from evaluation.run_folder import RunFolder
from evaluation.run_spec import RunSpec
from evaluation.runner import Progress, run
from evaluation.scoring import About, Scoring, score_run
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary

FIGURES = "figures.json"
RESULTS = Path("milieu-results")


class RunProgress(Progress, Protocol):
    """Is told how much there is to do, and then how it goes."""

    def on_planned(self, n_asks: int, *, n_kept: int) -> None:
        """A run of `n_asks` asks begins; `n_kept` answers are there from before."""


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: where it is and what it found."""

    folder: Path
    figures: Figures


async def evaluated(
    settings: Settings, options: EvaluateOptions, *, progress: RunProgress | None = None
) -> Evaluation:
    """Ask everything, or what is left to ask, and write figures and report.

    Raises:
        OptionInvalid: an option names something that is not there.
        EvaluationError, SurveyDataError, RetrievalError, AppError: a part cannot be had.
    """
    async with _opened(settings, options) as opened:
        spec, respondents = opened.spec, opened.respondents
        described = spec.model_dump(mode="json")
        # Named after the run, so that the same command goes on with what it began.
        folder = options.out or RESULTS / f"{spec.pack}-{digest_of(described)[:8]}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with RunFolder(folder, settings=described, created=now) as results:
            plan = spec.plan(opened.library, respondents)
            if progress is not None:
                progress.on_planned(plan.n_asks(), n_kept=len(results.answers))
            await run(plan, results, n_concurrent=options.n_concurrent, progress=progress)
    return await asyncio.to_thread(scored, folder, opened.library)


def scored(folder: Path, library: SurveyLibrary) -> Evaluation:
    """Compute figures and report of a finished run from its answers, without a model.

    Raises:
        RunFolderInvalid: the folder holds no finished run.
    """
    with RunFolder.reopen(folder) as results:
        try:
            spec = RunSpec.model_validate_json(json.dumps(results.settings))
        except ValidationError as exc:
            raise RunFolderInvalid(
                folder,
                f"another form of run.json ({exc.errors()[0]['msg']})",
                "one of this version",
            ) from exc
        title = library.manifest(spec.pack).title
        figures = score_run(
            spec.plan(library, {}),
            asked=results.read_asks(),
            answers=results.answers,
            sections=spec.section_plans(),
            about=About(spec.respondent, spec.pack, title, results.created, spec.described()),
            scoring=Scoring(spec.decoding.read_by, spec.min_label_mass),
        )
        results.write_text(FIGURES, figures.model_dump_json(indent=2) + "\n")
    write_report(figures, folder)
    return Evaluation(folder, figures)


def rescored(settings: Settings, folder: Path) -> Evaluation:
    """Return what `scored` does, with the survey packs of the settings.

    Raises:
        RunFolderInvalid, PackMissing: the run is not there, or its pack.
    """
    return scored(folder, read_library(settings, read_catalogue()))


def read_figures(file: Path) -> Figures:
    """Return the figures of an earlier run.

    Raises:
        BaselineInvalid: the file is missing or holds no figures.
    """
    try:
        return Figures.model_validate_json(file.read_bytes())
    except FileNotFoundError as exc:
        raise BaselineInvalid(f"{file} is missing") from exc
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise BaselineInvalid(f"{file} holds no figures ({where}: {fault['msg']})") from exc


@asynccontextmanager
async def _opened(settings: Settings, options: EvaluateOptions) -> AsyncIterator[Planned]:
    """Open whoever is asked: vLLM only where prompts are sent to it."""
    if options.methods and options.service is None:
        async with open_resources(settings, Metrics()) as resources:
            model = VllmModel(resources.vllm, resources.context, model=settings.model)
            library = resources.pipeline.library
            yield planned(settings, options, library, retrieval=resources.retrieval, model=model)
        return
    library = read_library(settings, read_catalogue())
    retrieval = await asyncio.to_thread(open_retrieval, settings, library)
    if options.service is None:
        yield planned(settings, options, library, retrieval=retrieval)
        return
    key = settings.api_keys[0].get_secret_value() if settings.api_keys else ""
    async with aiohttp.ClientSession() as session:
        service = MilieuService(options.service, session, n_orders=options.n_orders, api_key=key)
        yield planned(settings, options, library, retrieval=retrieval, service=service)
