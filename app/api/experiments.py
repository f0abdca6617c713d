"""`/v1/experiments`: define, start, stop, decide, report. Needs an admin key."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query, status
from fastapi.responses import HTMLResponse, Response

from app.api.dependencies import ExperimentsDep, LibraryDep, ResourcesDep
from app.api.problems import declare_failures
from app.api.schemas.experiments import (
    DecideBody,
    ExperimentDetail,
    ExperimentsResponse,
    ExperimentSummary,
    ForgetBody,
    ForgottenCounts,
    RevisionDetail,
    StartBody,
)
from app.api.strict import StrictRoute
from app.state.experiment_report import read_report
from app.state.experiments import LiveExperiments
from app.state.start_notes import start_notes
from experiments.analysis.result import Analysis
from experiments.definition_file import NAME_PATTERN, dump_experiment, parse_experiment
from experiments.errors import DefinitionInvalid
from experiments.report.page import render_report
from experiments.stores.scripts import StoredRevision

ExperimentName = Annotated[str, Path(pattern=NAME_PATTERN, description="The experiment's name.")]

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)
READING = declare_failures(401, 403, 404, 422, 500, 503)
CHANGING = READING | declare_failures(400, 409, 413, 415)
PLACE = "body"
Definition = Annotated[
    dict[str, Any],
    Body(
        description="The definition as the file format has it.",
        examples=[
            {
                "name": "religion-2026",
                "hypothesis": "Showing survey answers makes answers more helpful.",
                "primary": {
                    "metric": "helpful",
                    "kind": "proportion",
                    "direction": "higher",
                    "smallest_effect": 0.05,
                },
                "arms": {"plain": {"method": "plain"}, "icl": {"method": "icl"}},
                "control": "plain",
            }
        ],
    ),
]


@router.get("", responses=READING)
async def list_experiments(live: ExperimentsDep) -> ExperimentsResponse:
    """List all experiments, the first created first."""
    return ExperimentsResponse(
        experiments=[_summary(each) for each in await live.store.experiments()]
    )


@router.post("", status_code=status.HTTP_201_CREATED, responses=CHANGING)
async def define_experiment(definition: Definition, live: ExperimentsDep) -> ExperimentDetail:
    """Define an experiment. It is a draft until it is started."""
    experiment = await live.registry.define(parse_experiment(definition, PLACE))
    return await _detail(live, experiment.name)


@router.post("/forget", responses=CHANGING)
async def forget_unit(body: ForgetBody, live: ExperimentsDep) -> ForgottenCounts:
    """Delete everything that is kept of a user or a session."""
    unit = live.hasher.hash(body.unit)
    live.assigner.forget(unit)
    return ForgottenCounts(**(await live.store.forget_unit(unit))._asdict())


@router.get("/{name}", responses=READING)
async def show_experiment(name: ExperimentName, live: ExperimentsDep) -> ExperimentDetail:
    """Show an experiment with all its revisions."""
    return await _detail(live, name)


@router.put("/{name}", responses=CHANGING)
async def revise_experiment(
    name: ExperimentName, definition: Definition, live: ExperimentsDep
) -> ExperimentDetail:
    """Replace the definition, as far as the experiment's state allows.

    With a `revision` it is refused unless that is the latest one, which somebody may have changed.
    """
    wanted = parse_experiment({"name": name} | definition, PLACE)
    if wanted.name != name:
        raise DefinitionInvalid(PLACE, field="name", found=f"'{wanted.name}'", expected=f"'{name}'")
    await live.registry.revise(wanted, base=wanted.revision if "revision" in definition else None)
    return await _detail(live, name)


@router.post("/{name}/start", responses=CHANGING)
async def start_experiment(
    name: ExperimentName,
    live: ExperimentsDep,
    resources: ResourcesDep,
    body: StartBody | None = None,
) -> ExperimentDetail:
    """Let the experiment decide from now on how requests are answered."""
    started = await live.registry.start(name, allow_unsent=body is not None and body.allow_unsent)
    covered = resources.library.cultures
    notes = await asyncio.to_thread(
        start_notes, started, live.registry.running, resources.settings, covered
    )
    return (await _detail(live, name)).model_copy(update={"notes": list(notes)})


@router.post("/{name}/stop", responses=CHANGING)
async def stop_experiment(name: ExperimentName, live: ExperimentsDep) -> ExperimentDetail:
    """Let the experiment decide nothing any more. Outcomes are taken until their windows close."""
    await live.registry.stop(name)
    return await _detail(live, name)


@router.post("/{name}/decide", responses=CHANGING)
async def decide_experiment(
    name: ExperimentName, body: DecideBody, live: ExperimentsDep
) -> ExperimentDetail:
    """Write down what came of a stopped experiment."""
    await live.registry.decide(name, body.decision)
    return await _detail(live, name)


@router.get(
    "/{name}/report",
    response_model=Analysis,
    responses={200: {"content": {"text/html": {}}}, **READING},
)
async def report_experiment(
    name: ExperimentName,
    live: ExperimentsDep,
    library: LibraryDep,
    form: Annotated[Literal["json", "html"], Query(alias="format")] = "json",
) -> Analysis | Response:
    """Say what the events say now. It holds however often one looks."""
    analysis = await read_report(live.store, name, library)
    return HTMLResponse(render_report(analysis)) if form == "html" else analysis


async def _detail(live: LiveExperiments, name: str) -> ExperimentDetail:
    revisions = await live.store.revisions(name)
    latest = revisions[-1]
    return ExperimentDetail(
        **dict(_summary(latest)),
        definition=dump_experiment(latest.experiment),
        revisions=[
            RevisionDetail(
                revision=each.experiment.revision,
                state=each.experiment.state,
                changed_ms=each.time_ms,
                definition=dump_experiment(each.experiment),
            )
            for each in revisions
        ],
    )


def _summary(stored: StoredRevision) -> ExperimentSummary:
    experiment = stored.experiment
    return ExperimentSummary(
        name=experiment.name,
        state=experiment.state,
        revision=experiment.revision,
        changed_ms=stored.time_ms,
        hypothesis=experiment.hypothesis,
        primary_metric=experiment.primary.metric.name,
        arms=list(experiment.arm_names),
        cultures=list(experiment.cultures),
    )
