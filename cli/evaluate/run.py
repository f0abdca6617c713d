"""Runs an evaluation from start to report."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import aiohttp
from pydantic import ValidationError

from app.resources import open_resources, open_retrieval, read_library
from app.settings import Settings
from app.telemetry import Metrics
from app.vllm.client import VllmClient
from cli.evaluate.adapters import notes_on
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.plan import Asker, Planned, hash_of, planned
from cli.evaluate.respondents import MilieuService, VllmModel
from evaluation.asking import digest_of
from evaluation.errors import BaselineInvalid, RunFolderInvalid
from evaluation.figures import Figures
from evaluation.gate import check_asked, check_baseline
from evaluation.report.write import write_report
from evaluation.run_folder import RunFolder
from evaluation.run_spec import RunSpec
from evaluation.runner import Progress, run
from evaluation.scoring import About, Scoring, score_run
from prompting.recipe import ACTIVE_ADAPTER
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
    settings: Settings,
    options: EvaluateOptions,
    *,
    progress: RunProgress | None = None,
    baseline: Figures | None = None,
) -> Evaluation:
    """Ask everything, or what is left to ask, and write figures and report.

    With a `baseline` to be held to, nothing is asked where it is of no use, and a run that was
    finished before is no answer: what is served now has to be asked.

    Raises:
        OptionInvalid: an option names something that is not there.
        EvaluationError, SurveyDataError, RetrievalError, AppError: a part cannot be had.
    """
    async with _opened(settings, options) as opened:
        spec, respondents = opened.spec, opened.respondents
        if baseline is not None:
            check_baseline(baseline, pack=spec.pack, compared=spec.compared)
            names = [condition.name for condition in spec.conditions]
            check_asked(baseline, conditions=names, cultures=spec.cultures)
        described = spec.model_dump(mode="json")
        now = datetime.now(UTC)
        folder = options.out or RESULTS / _folder_name(spec, now, gated=baseline is not None)
        with RunFolder(
            folder, settings=described, created=now.isoformat(" ", "seconds")
        ) as results:
            if baseline is not None and results.is_finished:
                raise RunFolderInvalid(
                    folder, "a finished run", "a new folder, as a gate asks anew"
                )
            plan = spec.plan(opened.library, respondents)
            if progress is not None:
                progress.on_planned(plan.n_asks(), n_kept=len(results.answers))
            await run(plan, results, n_concurrent=options.n_concurrent, progress=progress)
    return await asyncio.to_thread(scored, folder, opened.library)


def scored(folder: Path, library: SurveyLibrary) -> Evaluation:
    """Compute figures and report of a finished run from its answers, without a model.

    Raises:
        RunFolderInvalid: the folder holds no run, or the loaded pack is another than was asked.
        AnswersMissing: the run was not finished.
    """
    with RunFolder.reopen(folder) as results:
        spec = _read_spec(results)
        library.manifest(spec.pack)
        pack = next(each for each in library.packs if each.manifest.id == spec.pack)
        if hash_of(pack) != spec.packs[spec.pack]:
            raise RunFolderInvalid(
                folder,
                f"a run on another version of the pack '{spec.pack}'",
                "the questions and figures that were asked",
            )
        about = About(
            respondent=spec.respondent,
            pack=spec.pack,
            compared=spec.compared,
            pack_title=pack.manifest.title,
            created=results.created,
            settings=spec.described(),
            notes=notes_on(spec.adapter_sets),
        )
        figures = score_run(
            spec.plan(library, {}),
            asked=results.read_asks(),
            answers=results.answers,
            sections=spec.section_plans(),
            about=about,
            scoring=Scoring(spec.decoding.read_by, spec.min_label_mass),
        )
        results.write_text(FIGURES, figures.model_dump_json(indent=2) + "\n")
        write_report(figures, folder)
    return Evaluation(folder, figures)


def _read_spec(results: RunFolder) -> RunSpec:
    try:
        return RunSpec.model_validate_json(json.dumps(results.settings))
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]["msg"]
        found, expected = f"another form of run.json ({fault})", "that of this version"
        raise RunFolderInvalid(results.path, found, expected) from exc


def _folder_name(spec: RunSpec, now: datetime, *, gated: bool) -> str:
    """Return a name after the run, so that the same command goes on with what it began."""
    if gated:
        return f"{spec.pack}-gate-{now:%Y%m%d-%H%M%S}"
    return f"{spec.pack}-{digest_of(spec.model_dump(mode='json'))[:8]}"


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
    except OSError as exc:
        raise BaselineInvalid(f"{file} cannot be read ({exc.strerror})") from exc
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise BaselineInvalid(f"{file} holds no figures ({where}: {fault['msg']})") from exc


@asynccontextmanager
async def _opened(settings: Settings, options: EvaluateOptions) -> AsyncIterator[Planned]:
    """Open whoever is asked: vLLM only where prompts are sent to it."""
    if options.asks_model:
        async with open_resources(settings, Metrics()) as resources:
            library, live = resources.pipeline.library, resources.weights.live
            model = VllmModel(
                resources.vllm,
                resources.context,
                model=settings.model,
                weights=resources.weights,
            )
            asker = Asker(
                model=model,
                identity=await _identity(settings, resources.vllm),
                adapters=None if live is None else await live.states(),
            )
            found = planned(settings, options, library, retrieval=resources.retrieval, asker=asker)
            for version in found.spec.adapter_versions:
                # One that cannot be loaded costs no run.
                await model.load(version)
            yield found
        return
    library = read_library(settings, read_catalogue())
    retrieval = await asyncio.to_thread(open_retrieval, settings, library)
    if options.service is None:
        yield planned(settings, options, library, retrieval=retrieval, asker=Asker())
        return
    key = settings.api_keys[0].get_secret_value() if settings.api_keys else ""
    async with aiohttp.ClientSession() as session:
        service = MilieuService(options.service, session, n_orders=options.n_orders, api_key=key)
        asker = Asker(service=service, identity=await service.identity())
        found = planned(settings, options, library, retrieval=retrieval, asker=asker)
        if ACTIVE_ADAPTER in found.spec.adapter_versions:
            # Another one, activated later, makes another run.
            active = await service.active_adapters(found.spec.cultures)
            named = ", ".join(f"{culture} {adapter}" for culture, adapter in active.items())
            identity = found.spec.identity | {"service's adapters": named}
            found = replace(found, spec=found.spec.model_copy(update={"identity": identity}))
        yield found


async def _identity(settings: Settings, vllm: VllmClient) -> dict[str, str]:
    """Return what the served model is: the hash of its files, or where it is and what it is of."""
    if not settings.vllm.urls:
        return {"model files": await asyncio.to_thread(_hash_of_files, settings.vllm.model_path)}
    cards = {card.id: card for card in await vllm.models()}
    root = cards[settings.model].root if settings.model in cards else "unknown"
    return {"model root": root, "vLLM servers": ", ".join(settings.vllm.urls)}


def _hash_of_files(folder: Path) -> str:
    hashes = {}
    for file in sorted(folder.iterdir()):
        if file.is_file():
            with file.open("rb") as data:
                hashes[file.name] = hashlib.file_digest(data, "sha256").hexdigest()
    return digest_of(hashes)
