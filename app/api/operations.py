"""`/livez`, `/readyz` and `/metrics`: for those who run the service."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.dependencies import ResourcesDep
from app.api.problems import declare_failures
from app.api.schemas.answer import Health

router = APIRouter(tags=["operations"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> Health:
    """Say that the process serves requests."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(resources: ResourcesDep, response: Response) -> Health:
    """Say whether an answer can be given: at least one vLLM server is healthy."""
    if any(server.is_healthy for server in await resources.vllm.health()):
        return Health(status="ok", vllm="ready")
    response.status_code = 503
    restarting = resources.local_vllm is not None
    return Health(status="unavailable", vllm="starting" if restarting else "unavailable")


@router.get("/metrics", response_class=Response, responses=declare_failures(401))
async def metrics(resources: ResourcesDep) -> Response:
    """Give the metrics in Prometheus's text format."""
    if resources.local_vllm is not None:
        resources.metrics.vllm_restarts.set(resources.local_vllm.n_restarts)
    body = generate_latest(resources.metrics.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)
