"""The FastAPI application: middleware, routes and the lifespan that opens the resources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi

from app.api import (
    adapters,
    answer,
    batch,
    chat,
    cultures,
    exemplars,
    experiments,
    feedback,
    model_list,
    operations,
    problems,
    questions,
    recent,
)
from app.api.decompression import Decompressor
from app.api.limiting import LimitCheck
from app.api.middleware import BodyLimit, BodyReader, KeyCheck, RequestContext
from app.api.sessions import Sessions, SharedSessions
from app.api.spelling import RequestSpelling
from app.keys import hash_keys
from app.resources import Opener, open_resources
from app.settings import Settings
from app.state.shared import SharedFile
from app.telemetry import Metrics
from app.traces import Traces, open_traces
from app.web import site
from app.web.pages import KeyRing
from app.web.problem_pages import PageResponses

DESCRIPTION = (
    "Answers a question the way people of a given culture answer it, with the survey evidence "
    "that it showed to the model."
)
ROUTES = (
    *(answer, batch, recent, model_list, chat, cultures, questions, exemplars),
    *(feedback, adapters, experiments, operations),
)
open_service: Opener = partial(open_resources, is_service=True)


def _described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with how keys are sent."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        known = schema["components"]["schemas"]
        known |= {name: of for name, of in batch.SCHEMAS.items() if name not in known}
        schemes = {"key": {"type": "http", "scheme": "bearer"}}
        schema["components"]["securitySchemes"] = schemes
        # The empty one: without MILIEU_API_KEYS only what is an admin's needs a key.
        schema["security"] = [{"key": []}, {}]
        app.openapi_schema = schema
    return app.openapi_schema


def create_app(
    settings: Settings,
    *,
    opener: Opener = open_service,
    metrics: Metrics | None = None,
    shared: SharedFile | None = None,
    traces: Traces | None = None,
) -> FastAPI:
    """Return the service; `opener` opens what it stands on, when the server starts.

    `shared` is what it knows together with other workers, None where it is the only one. What it
    traces goes where the settings say, unless there are `traces`.
    """
    metrics, traces = metrics or Metrics(), traces or open_traces(settings.traces)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with closing(traces) if traces else nullcontext():
            async with opener(settings, metrics) as resources:
                app.state.resources = resources
                yield

    app = FastAPI(
        title="Milieu",
        description=DESCRIPTION,
        version="0.1.0",
        lifespan=lifespan,
        # Those of FastAPI load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # `RequestSpelling` takes them off
    )
    problems.install(app)
    for module in ROUTES:
        # As they are: to include a router makes each of its routes anew.
        app.routes.extend(module.router.routes)
    app.openapi = partial(_described, app)  # type: ignore[method-assign]  # as FastAPI says
    _add_middleware(app, settings, shared)
    _add_outermost(app, settings, metrics, traces)
    return app


def _add_middleware(app: FastAPI, settings: Settings, shared: SharedFile | None) -> None:
    """Add the page and what looks at a request; the last one sees it first."""
    refuse = problems.response_to
    keys = hash_keys(key.get_secret_value() for key in settings.api_keys)
    admin_keys = hash_keys(key.get_secret_value() for key in settings.admin_keys)
    sessions = Sessions() if shared is None else SharedSessions(shared)
    ring = KeyRing(keys, admin_keys, sessions)
    site.install(app, ring)
    key_limits = None
    if not settings.limits.is_off:
        # What it needs takes a moment to import.
        from app.state.key_limits import KeyLimits

        key_limits = KeyLimits(settings.limits, shared or SharedFile(None))
    limits = {batch.PATH: BodyLimit(settings.batch.max_bytes, "MILIEU_BATCH__MAX_BYTES")}
    app.add_middleware(Decompressor, refuse=refuse, limits=limits)
    app.add_middleware(BodyReader, refuse=refuse, limits=limits)
    if key_limits is not None:
        app.add_middleware(LimitCheck, limits=key_limits, refuse=refuse)
    salt = {} if shared is None else {"salt": shared.salt}
    app.add_middleware(
        KeyCheck, keys=keys, admin_keys=admin_keys, refuse=refuse, sessions=sessions, **salt
    )


def _add_outermost(
    app: FastAPI, settings: Settings, metrics: Metrics, traces: Traces | None
) -> None:
    """Add what sees every request, the refused ones too."""
    app.add_middleware(RequestSpelling)
    app.add_middleware(RequestContext, metrics=metrics, refuse=problems.response_to, traces=traces)
    app.add_middleware(PageResponses, pages=app.state.pages)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            # Clients send many of their own; keys come in headers, never in cookies.
            allow_headers=["*"],
            expose_headers=["Retry-After", "Server-Timing", "X-Request-Id"],
        )
