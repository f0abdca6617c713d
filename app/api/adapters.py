"""`/v1/adapters`: which adapters there are, and which are active. Needs an admin key.

No route takes a path, a URL or a hub id: adapters come into the registry by `milieu adapters add`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path

from adapters.errors import AdaptersOff
from adapters.serving import AdapterServing
from app.api.dependencies import LibraryDep, ResourcesDep
from app.api.problems import declare_failures
from app.api.schemas.adapters import (
    ActivateBody,
    AdapterDetail,
    AdaptersResponse,
    ChangeResponse,
    CultureBody,
    RemovedResponse,
    StatusResponse,
    detail_of,
    summary_of,
    summary_of_replica,
)
from app.api.strict import StrictRoute
from app.errors import CulturesMissing
from app.resources import Resources

MAX_NAME_CHARS = 80
AdapterName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="Name and version, `name@version`; or the name where it has one version.",
    ),
]

router = APIRouter(prefix="/v1/adapters", tags=["adapters"], route_class=StrictRoute)
READING = declare_failures(401, 403, 404, 422, 500, 503)
CHANGING = READING | declare_failures(400, 409, 413, 415, 502)


@router.get("", responses=READING)
async def list_adapters(resources: ResourcesDep) -> AdaptersResponse:
    """List the adapters of the registry, and which are active."""
    live = _require_live(resources)
    return AdaptersResponse(
        adapters=[
            summary_of(s.manifest, s.cultures, loaded=s.is_loaded, effect_nat=s.effect_nat)
            for s in await live.states()
        ],
        active=live.active,
    )


@router.get("/status", responses=READING)
async def show_status(resources: ResourcesDep) -> StatusResponse:
    """Show for each server which versions are loaded and verified, which are missing, and why."""
    live = _require_live(resources)
    return StatusResponse(
        replicas=[summary_of_replica(status) for status in live.replicas], active=live.active
    )


@router.get("/{name}", responses=READING)
async def show_adapter(name: AdapterName, resources: ResourcesDep) -> AdapterDetail:
    """Show all that is known of one adapter."""
    state = await _require_live(resources).state(name)
    return detail_of(
        state.manifest, state.cultures, loaded=state.is_loaded, effect_nat=state.effect_nat
    )


@router.post("/deactivate", responses=CHANGING)
async def deactivate_adapter(
    body: CultureBody, resources: ResourcesDep, library: LibraryDep
) -> ChangeResponse:
    """Let the base model answer for a culture; a rollback brings the adapter back."""
    started, live = time.perf_counter(), _require_live(resources)
    code = library.catalogue.resolve(body.culture).code
    await live.deactivate(code)
    return _report_change(live, (code,), started)


@router.post("/rollback", responses=CHANGING)
async def roll_back_adapter(
    body: CultureBody, resources: ResourcesDep, library: LibraryDep
) -> ChangeResponse:
    """Go back to what answered for a culture before the last change."""
    started, live = time.perf_counter(), _require_live(resources)
    code = library.catalogue.resolve(body.culture).code
    await live.rollback(code)
    return _report_change(live, (code,), started)


@router.post("/{name}/activate", responses=CHANGING)
async def activate_adapter(
    name: AdapterName,
    resources: ResourcesDep,
    library: LibraryDep,
    body: ActivateBody | None = None,
) -> ChangeResponse:
    """Load an adapter, verify it, and let it answer for cultures; what runs is not disturbed."""
    started, live = time.perf_counter(), _require_live(resources)
    asked = [] if body is None else body.cultures
    codes = library.catalogue.codes(asked)
    if not codes:
        manifest = (await live.state(name)).manifest
        if not manifest.cultures:
            raise CulturesMissing(manifest.version_name)
        codes = manifest.cultures
    for code in codes:
        # Of others no question is answered, so what is activated for them would never answer.
        library.cover(code)
    return _report_change(live, await live.activate(name, codes), started)


@router.delete("/{name}", responses=CHANGING)
async def remove_adapter(name: AdapterName, resources: ResourcesDep) -> RemovedResponse:
    """Delete an adapter that is active for no culture, once no request uses it."""
    started = time.perf_counter()
    removed = await _require_live(resources).remove(name)
    return RemovedResponse(removed=removed, took_ms=_ms_since(started))


def _require_live(resources: Resources) -> AdapterServing:
    if resources.weights.live is None:
        raise AdaptersOff
    return resources.weights.live


def _report_change(live: AdapterServing, codes: Sequence[str], started: float) -> ChangeResponse:
    active = live.active
    return ChangeResponse(
        cultures=list(codes),
        adapter=active.get(codes[0]),
        active=active,
        took_ms=_ms_since(started),
    )


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000.0, 1)
