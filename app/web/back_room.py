"""`/experiments` and `/adapters`: what runs, to read. Changes need an admin key in a request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from app.api.dependencies import ExperimentsDep, LibraryDep, ResourcesDep
from app.state.experiment_report import read_report
from app.web.pages import PagesDep
from app.web.policy import REPORT_POLICY
from experiments.report.page import render_report

router = APIRouter(include_in_schema=False)


@router.get("/experiments")
async def show_experiments(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """List the experiments, those that run first."""
    live = resources.experiments
    stored = [] if live is None else await live.store.experiments()
    rows = sorted(stored, key=lambda each: (each.experiment.state != "running", -each.time_ms))
    values: dict[str, Any] = {"is_on": live is not None, "rows": rows}
    values["changed"] = {
        each.experiment.name: datetime.fromtimestamp(each.time_ms / 1000.0, UTC).strftime(
            "%Y-%m-%d %H:%M"
        )
        for each in rows
    }
    return pages.render(request, "experiments.html", **values)


@router.get("/experiments/{name}/report")
async def show_report(name: str, live: ExperimentsDep, library: LibraryDep) -> Response:
    """Show what the events of an experiment say now."""
    report = render_report(await read_report(live.store, name, library))
    return HTMLResponse(report, headers={"Content-Security-Policy": REPORT_POLICY})


@router.get("/adapters")
async def show_adapters(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """List the adapters, and for whom each answers."""
    live = resources.weights.live
    states = [] if live is None else await live.states()
    catalogue = resources.library.catalogue
    values: dict[str, Any] = {"is_on": live is not None, "states": states, "catalogue": catalogue}
    values["model"] = resources.settings.model
    return pages.render(request, "adapters.html", **values)
