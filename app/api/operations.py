"""`/livez`, `/readyz` and `/metrics`: for those who run the service."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.answering.calibrated import CalibratedPool, ModelCalibration
from app.api.dependencies import ResourcesDep
from app.api.problems import declare_failures
from app.api.schemas.answer import DIGITS, Health
from app.api.schemas.readiness import CalibratedMethod, CalibrationStatus, PoolQuality, Readiness
from app.api.strict import StrictRoute

router = APIRouter(tags=["operations"], route_class=StrictRoute)


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> Health:
    """Say that the process serves requests."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(resources: ResourcesDep, response: Response) -> Readiness:
    """Say whether an answer can be given: at least one vLLM server is healthy."""
    status: Literal["ok", "unavailable"] = "ok"
    vllm: Literal["ready", "starting", "unavailable"] = "ready"
    if not any(server.is_healthy for server in await resources.vllm.health()):
        response.status_code = 503
        status = "unavailable"
        vllm = "unavailable" if resources.local_vllm is None else "starting"
    opened, refused_because = resources.calibration
    return Readiness(
        status=status,
        vllm=vllm,
        calibration=None if opened is None else _present_calibration(opened),
        calibration_refused_because=refused_because,
    )


@router.get("/metrics", response_class=Response, responses=declare_failures(401))
async def metrics(resources: ResourcesDep) -> Response:
    """Give the metrics in Prometheus's text format."""
    if resources.local_vllm is not None:
        resources.metrics.vllm_restarts.set(resources.local_vllm.n_restarts)
    return Response(resources.metrics.write(), media_type=CONTENT_TYPE_LATEST)


def _present_calibration(calibration: ModelCalibration) -> CalibrationStatus:
    methods = []
    for fitted in calibration.recipes:
        recipe = fitted.recipe
        shows = recipe.method.shows_exemplars
        methods.append(
            CalibratedMethod(
                method=recipe.method,
                exemplar_style=recipe.style if shows else None,
                k=recipe.k if shows else None,
                retriever=recipe.retriever if shows else None,
                orders=recipe.n_orders,
                near=_present_pool(fitted.near),
                far=_present_pool(fitted.far),
            )
        )
    return CalibrationStatus(id=calibration.id, methods=methods)


def _present_pool(pool: CalibratedPool | None) -> PoolQuality | None:
    if pool is None:
        return None
    reached = {name: round(value, DIGITS) for name, value in asdict(pool.reached).items()}
    return PoolQuality(n_questions=pool.n_questions, **reached)
