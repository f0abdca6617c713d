"""The one table from errors to HTTP problems, and the two forms they are sent in."""

from __future__ import annotations

import http
import logging
import math
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Scope

from app import errors as app_errors
from app.telemetry import request_id
from evaluation.errors import EvaluationError
from retrieval.errors import RetrievalError
from survey_data import errors as survey_errors
from survey_data.similarity import ComparisonUnavailable

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
TYPE_ROOT = "urn:milieu:problem:"
# Clients of these routes expect OpenAI's error body.
OPENAI_PATHS = ("/v1/chat/", "/v1/models")
# Errors that end the start-up or belong to an operator have no business in a reply.
INTERNAL = (
    app_errors.SettingsInvalid,
    app_errors.VllmStartFailed,
    app_errors.AddressTaken,
    app_errors.ServiceUnreachable,
    app_errors.ServiceRefused,
    app_errors.OptionInvalid,
)


class ProblemKind(NamedTuple):
    """How one kind of error is answered."""

    status: int
    code: str
    title: str


PROBLEMS: dict[type[Exception], ProblemKind] = {
    survey_errors.CultureUnknown: ProblemKind(404, "culture-unknown", "Unknown culture"),
    survey_errors.CultureNotCovered: ProblemKind(
        404, "culture-not-covered", "No survey of this culture is loaded"
    ),
    ComparisonUnavailable: ProblemKind(
        422, "comparison-unavailable", "Cultures cannot be compared"
    ),
    app_errors.CultureMissing: ProblemKind(422, "culture-missing", "No culture given"),
    app_errors.CultureConflict: ProblemKind(422, "culture-conflict", "More than one culture given"),
    app_errors.ModelUnknown: ProblemKind(404, "model-unknown", "Unknown model"),
    app_errors.FieldUnsupported: ProblemKind(400, "field-unsupported", "Unsupported field"),
    app_errors.ContextTooSmall: ProblemKind(422, "prompt-too-long", "Prompt too long"),
    app_errors.BodyTooLarge: ProblemKind(413, "body-too-large", "Body too large"),
    app_errors.KeyRefused: ProblemKind(401, "key-refused", "Key missing or unknown"),
    app_errors.RequestCancelled: ProblemKind(499, "request-cancelled", "Client left"),
    app_errors.UpstreamUnavailable: ProblemKind(503, "vllm-unavailable", "vLLM is not reachable"),
    app_errors.UpstreamBusy: ProblemKind(503, "vllm-busy", "Too many requests under way"),
    app_errors.UpstreamTimeout: ProblemKind(504, "vllm-timeout", "vLLM took too long"),
    app_errors.UpstreamRejected: ProblemKind(422, "vllm-rejected", "vLLM refused the request"),
    app_errors.UpstreamModelMissing: ProblemKind(
        503, "model-missing", "vLLM does not serve the configured model"
    ),
    app_errors.UpstreamInvalid: ProblemKind(502, "vllm-invalid", "vLLM's reply makes no sense"),
    RetrievalError: ProblemKind(500, "retrieval-failed", "Evidence could not be looked up"),
    EvaluationError: ProblemKind(500, "reading-failed", "The answer could not be read"),
}
INVALID = ProblemKind(422, "request-invalid", "The request does not fit")
FAULT = ProblemKind(500, "fault", "A fault in Milieu")


def install(app: FastAPI) -> None:
    """Let `app` answer every error with a problem."""
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind in (*PROBLEMS, Exception):
        app.add_exception_handler(kind, _on_error)


def kind_of(error: Exception) -> ProblemKind:
    """Return how `error` is answered: by its own entry, or that of its nearest base."""
    return next((PROBLEMS[base] for base in type(error).__mro__ if base in PROBLEMS), FAULT)


def response_to(scope: Scope, error: Exception) -> ASGIApp:
    """Return the response to `error` on the path of `scope`."""
    kind = kind_of(error)
    detail = "It is in the log under this request id." if kind is FAULT else str(error)
    response = _response(scope["path"], kind, detail)
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def openai_error(kind: ProblemKind, detail: str) -> dict[str, Any]:
    """Return OpenAI's error body."""
    error_type = "invalid_request_error" if kind.status < 500 else "server_error"
    return {"error": {"message": detail, "type": error_type, "param": None, "code": kind.code}}


def _response(
    path: str, kind: ProblemKind, detail: str, *, faults: list[dict[str, Any]] | None = None
) -> JSONResponse:
    if path.startswith(OPENAI_PATHS):
        return JSONResponse(openai_error(kind, detail), status_code=kind.status)
    body: dict[str, Any] = {
        "type": TYPE_ROOT + kind.code,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": f"urn:milieu:request:{request_id.get()}",
    }
    if faults is not None:
        body["errors"] = faults
    return JSONResponse(body, status_code=kind.status, media_type=PROBLEM_JSON)


async def _on_error(request: Request, error: Exception) -> Any:
    if kind_of(error).status == 500:
        logger.error("request_failed", exc_info=error)
    return response_to(request.scope, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # registered for it alone
    faults = [
        {
            "where": ".".join(str(part) for part in fault["loc"]),
            "found": _shown(fault.get("input")),
            "expected": fault["msg"].removeprefix("Value error, "),
        }
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['where']}: {fault['expected']}" for fault in faults)
    kind = INVALID
    if any(fault["type"] == "json_invalid" for fault in error.errors()):
        kind = ProblemKind(400, "json-invalid", "The body is no JSON")
    elif request.url.path.startswith(OPENAI_PATHS):
        kind = INVALID._replace(status=400)
    return _response(request.url.path, kind, detail, faults=faults)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # registered for it alone
    phrase = http.HTTPStatus(error.status_code).phrase
    kind = ProblemKind(error.status_code, phrase.lower().replace(" ", "-"), phrase)
    detail = f"{request.method} {request.url.path[:200]}: {error.detail}"
    response = _response(request.url.path, kind, detail)
    response.headers.update(error.headers or {})
    return response


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
