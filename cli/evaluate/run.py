"""What `milieu evaluate` does: ask or score, print, and compare with a baseline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from app.keys import find_clear
from app.model_files import ModelFiles
from app.resources import Resources, open_resources
from app.settings import Settings
from app.state.calibration import identify_model
from app.state.retrieval import open_retrieval, read_library
from app.telemetry import Metrics
from app.vllm.client import VllmClient
from cli.console import notes, read_quiet_settings
from cli.evaluate.milieu_service import PATIENCE, MilieuService
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.output import LiveProgress, print_falls, print_figures
from cli.evaluate.plan import EvaluatedSystem, PlannedRun, plan_run
from cli.evaluate.scoring import Evaluation, read_figures, score_folder
from cli.evaluate.vllm_model import VllmModel
from evaluation.asking import digest_of
from evaluation.errors import RunFolderInvalid
from evaluation.figures import Figures
from evaluation.gate import check_baseline, check_coverage, find_falls
from evaluation.run_folder import RunFolder
from evaluation.run_spec import RunSpec
from evaluation.runner import run_plan
from milieu_client import AsyncMilieu
from prompting.recipe import ACTIVE_ADAPTER
from survey_data.cultures import read_catalogue

RESULTS = Path("milieu-results")
FELL = 1


def measure_answers(options: EvaluateOptions, *, rescore: Path | None, gate: Path | None) -> int:
    """Evaluate, or rescore the finished run in `rescore`, and return the exit status.

    The status is 1 if a culture fell below the figures in `gate`.
    """
    settings = read_quiet_settings()
    # Read first, so that a faulty file costs no run.
    baseline = None if gate is None else read_figures(gate)
    if rescore is not None:
        evaluation = score_folder(rescore, read_library(settings, read_catalogue()))
    else:
        with LiveProgress(notes) as progress:
            running = run_evaluation(settings, options, progress=progress, baseline=baseline)
            evaluation = asyncio.run(running)
    print_figures(evaluation.figures, evaluation.folder)
    if baseline is None:
        return 0
    fallen = find_falls(evaluation.figures, baseline)
    print_falls(fallen)
    return FELL if fallen else 0


async def run_evaluation(
    settings: Settings,
    options: EvaluateOptions,
    *,
    progress: LiveProgress | None = None,
    baseline: Figures | None = None,
) -> Evaluation:
    """Ask everything, or what is left to ask, and write figures and report.

    A `baseline` that does not fit the run is refused before anything is asked. So is a folder with
    a finished run: a gate has to ask what is served now.
    """
    async with _open_run(settings, options) as planned:
        spec, respondents = planned.spec, planned.respondents
        if baseline is not None:
            check_baseline(baseline, pack=spec.pack, compared=spec.compared)
            check_coverage(baseline, conditions=spec.list_names(), cultures=spec.cultures)
        described = spec.model_dump(mode="json")
        now = datetime.now(UTC)
        folder = options.out or RESULTS / _folder_name(spec, now, gated=baseline is not None)
        with RunFolder(
            folder, settings=described, created=now.isoformat(" ", "seconds")
        ) as results:
            if baseline is not None and results.is_finished:
                raise RunFolderInvalid(
                    folder, "a finished run", "a new folder, as a gate asks everything again"
                )
            plan = spec.plan(planned.library, respondents)
            if progress is not None:
                progress.on_planned(plan.count_asks(), n_kept=len(results.answers))
            await run_plan(plan, results, n_concurrent=options.n_concurrent, progress=progress)
    return await asyncio.to_thread(score_folder, folder, planned.library)


def _folder_name(spec: RunSpec, now: datetime, *, gated: bool) -> str:
    """Return a name made from the run, so that the same command resumes it."""
    if gated:
        return f"{spec.pack}-gate-{now:%Y%m%d-%H%M%S}"
    return f"{spec.pack}-{digest_of(spec.model_dump(mode='json'))[:8]}"


@asynccontextmanager
async def _open_run(settings: Settings, options: EvaluateOptions) -> AsyncIterator[PlannedRun]:
    """Open whatever is asked; vLLM only if prompts are sent to it."""
    if options.asks_model:
        async with open_resources(settings, Metrics()) as resources:
            yield await _plan_model_run(settings, options, resources)
        return
    library = read_library(settings, read_catalogue())
    retrieval = await asyncio.to_thread(open_retrieval, settings, library)
    if options.service is None:
        yield plan_run(settings, options, library, retrieval=retrieval, system=EvaluatedSystem())
        return
    key = find_clear(key.get_secret_value() for key in settings.api_keys)
    async with AsyncMilieu(options.service, key=key, retries=PATIENCE) as milieu:
        service = MilieuService(milieu, n_orders=options.n_orders)
        system = EvaluatedSystem(service=service, identity=await service.identity())
        planned = plan_run(settings, options, library, retrieval=retrieval, system=system)
        if ACTIVE_ADAPTER in planned.spec.adapter_versions:
            # If others are activated later, it is another run.
            active = await service.active_adapters(planned.spec.cultures)
            named = ", ".join(f"{culture} {adapter}" for culture, adapter in active.items())
            identity = planned.spec.identity | {"service's adapters": named}
            planned = replace(planned, spec=planned.spec.model_copy(update={"identity": identity}))
        yield planned


async def _plan_model_run(
    settings: Settings, options: EvaluateOptions, resources: Resources
) -> PlannedRun:
    library, live = resources.library, resources.weights.live
    model = VllmModel(
        resources.vllm, resources.context, model=settings.model, weights=resources.weights
    )
    identity = await _identify(settings, resources.files, resources.vllm)
    adapters = None if live is None else await live.states()
    system = EvaluatedSystem(model=model, identity=identity, adapters=adapters)
    planned = plan_run(settings, options, library, retrieval=resources.retrieval, system=system)
    for version in planned.spec.adapter_versions:
        # So that an adapter that cannot be loaded costs no run.
        await model.load(version)
    return planned


async def _identify(settings: Settings, files: ModelFiles, vllm: VllmClient) -> dict[str, str]:
    """Return what identifies the served model, and its servers if it has any."""
    identity = await identify_model(settings, files, vllm)
    return identity | (
        {"vLLM servers": ", ".join(settings.vllm.urls)} if settings.vllm.urls else {}
    )
