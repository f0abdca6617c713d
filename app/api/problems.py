"""The one table from errors to HTTP problems, and the two forms they are sent in."""

from __future__ import annotations

import http
import logging
import math
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope

from adapters import errors as adapter_errors
from adapters.culturespa.errors import CultureSpaError
from app import errors as app_errors
from app import request_errors
from app.api.faults import Fault, clip, describe_faults, list_fields, place_in_body
from app.api.middleware import is_admin_path
from app.api.openai_errors import is_openai_only, is_openais, openai_error
from app.api.schemas.answer import AnswerBody, Problem
from app.logs import request_id
from experiments import errors as experiment_errors
from experiments.errors import ExperimentUnknown, StoreUnavailable
from prompting.errors import LabelLogprobsInvalid
from retrieval.errors import RetrievalError
from survey_data import errors as survey_errors
from survey_data.similarity import ComparisonUnavailable

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
TYPE_ROOT = "urn:milieu:problem:"
# Their texts say where files are, which is nothing for who only asks.
FOR_OPERATORS = frozenset(
    {
        "registry-invalid", "registry-busy", "adapter-load-failed", "store-unavailable",
        "store-refused",
    }
)  # fmt: skip
HIDDEN = "It is in the log under this request id."
STORE_SILENT = "Send it again in a moment: what was kept is not kept twice."
# Errors that end the start-up or belong to an operator have no business in a reply.
INTERNAL = (
    adapter_errors.BaseModelInvalid,
    adapter_errors.ManifestInvalid,
    adapter_errors.AdapterNotFetched,
    CultureSpaError,
    experiment_errors.SecretTooShort,
    experiment_errors.SecretChanged,
    experiment_errors.StoreOutdated,
    experiment_errors.DriverMissing,
    experiment_errors.ExportRefused,
    survey_errors.PackInvalid,
    survey_errors.PackTermsRefused,
    survey_errors.PackMissing,
    survey_errors.ConditionInvalid,
    survey_errors.FolderTaken,
    survey_errors.ImporterUnavailable,
    app_errors.SettingsInvalid,
    app_errors.VllmStartFailed,
    app_errors.AddressTaken,
    app_errors.WorkerFailed,
    app_errors.OptionInvalid,
    app_errors.FileRefused,
    app_errors.CalibrationRefused,
    app_errors.CalibrationUnfit,
    app_errors.ModelMapRefused,
    app_errors.SecretFileInvalid,
    app_errors.SecretNotKept,
    app_errors.AdminKeyMissing,
    app_errors.AdapterNotThere,
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
    app_errors.MethodConflict: ProblemKind(
        422, "method-conflict", "Method and adapter do not go together"
    ),
    app_errors.SourceUnavailable: ProblemKind(
        404, "source-unavailable", "No answer from this source"
    ),
    app_errors.CultureNotShown: ProblemKind(
        422, "culture-not-shown", "The culture cannot be spoken for here"
    ),
    adapter_errors.AdapterUnknown: ProblemKind(404, "adapter-unknown", "Unknown adapter"),
    adapter_errors.AdapterAmbiguous: ProblemKind(
        422, "adapter-ambiguous", "Several adapters have this name"
    ),
    adapter_errors.AdapterForOthers: ProblemKind(
        422, "adapter-for-others", "The adapter is for other cultures"
    ),
    adapter_errors.AdaptersOff: ProblemKind(422, "adapters-off", "No adapters are served here"),
    adapter_errors.AdapterRefused: ProblemKind(422, "adapter-refused", "The adapter is not sound"),
    adapter_errors.AdapterTaken: ProblemKind(409, "adapter-taken", "The adapter is there already"),
    adapter_errors.AdapterInUse: ProblemKind(409, "adapter-in-use", "The adapter is active"),
    adapter_errors.AdapterUnverified: ProblemKind(
        409, "adapter-unproven", "The adapter's effect is not known"
    ),
    adapter_errors.NothingToRollBack: ProblemKind(
        409, "nothing-to-roll-back", "There is nothing to roll back to"
    ),
    adapter_errors.AdaptersBusy: ProblemKind(503, "adapters-busy", "All adapters are in use"),
    adapter_errors.RegistryBusy: ProblemKind(503, "registry-busy", "The registry is in use"),
    adapter_errors.LoraServerSilent: ProblemKind(503, "vllm-unavailable", "vLLM is not reachable"),
    adapter_errors.AdapterLoadFailed: ProblemKind(
        502, "adapter-load-failed", "vLLM did not take the adapter"
    ),
    adapter_errors.RegistryInvalid: ProblemKind(
        500, "registry-invalid", "The registry of adapters is damaged"
    ),
    experiment_errors.DefinitionInvalid: ProblemKind(
        422, "definition-invalid", "The definition of the experiment does not fit"
    ),
    experiment_errors.ExperimentUnknown: ProblemKind(
        404, "experiment-unknown", "Unknown experiment"
    ),
    experiment_errors.ExperimentTaken: ProblemKind(
        409, "experiment-taken", "There is an experiment of this name"
    ),
    experiment_errors.ChangeRefused: ProblemKind(
        409, "change-refused", "The experiment cannot be changed like this"
    ),
    experiment_errors.TransitionRefused: ProblemKind(
        409, "transition-refused", "The experiment cannot go there"
    ),
    experiment_errors.RevisionConflict: ProblemKind(
        409, "revision-conflict", "Somebody else changed the experiment"
    ),
    experiment_errors.LayerOverlap: ProblemKind(
        409, "layer-overlap", "Two experiments want the same users"
    ),
    experiment_errors.HoldOutDiffers: ProblemKind(
        409, "hold-out-differs", "Two experiments hold out different users"
    ),
    experiment_errors.ArmUnknown: ProblemKind(404, "arm-unknown", "Unknown arm"),
    experiment_errors.ArmConflict: ProblemKind(
        422, "arm-conflict", "An arm and a way of answering are asked for"
    ),
    experiment_errors.OverrideRefused: ProblemKind(
        403, "override-refused", "Only testers choose their arm"
    ),
    experiment_errors.UnitInvalid: ProblemKind(422, "unit-invalid", "The user does not fit"),
    experiment_errors.MetricUnknown: ProblemKind(
        422, "metric-unknown", "The experiment has no such metric"
    ),
    experiment_errors.MetricNotSent: ProblemKind(
        422, "metric-not-sent", "Nobody sends this metric"
    ),
    experiment_errors.MetricMisfit: ProblemKind(
        422, "metric-misfit", "This metric is sent in another form"
    ),
    experiment_errors.OutcomeInvalid: ProblemKind(
        422, "outcome-invalid", "The outcome does not fit"
    ),
    experiment_errors.AnswerUnknown: ProblemKind(404, "answer-unknown", "Unknown answer"),
    experiment_errors.UnitUnknown: ProblemKind(
        404, "unit-unknown", "This user was not in the experiment"
    ),
    experiment_errors.OutcomeConflict: ProblemKind(
        409, "outcome-conflict", "The key is that of another outcome"
    ),
    experiment_errors.OutcomeTaken: ProblemKind(
        409, "outcome-taken", "There is an outcome of this metric already"
    ),
    experiment_errors.OutcomeLate: ProblemKind(
        409, "outcome-late", "The time for outcomes is over"
    ),
    experiment_errors.ExperimentsOff: ProblemKind(
        422, "experiments-off", "No experiments are kept here"
    ),
    experiment_errors.StoreUnavailable: ProblemKind(
        503, "store-unavailable", "The store of events does not answer"
    ),
    experiment_errors.StoreRefused: ProblemKind(
        500, "store-refused", "The store of events does not take this"
    ),
    app_errors.QuestionUnknown: ProblemKind(404, "question-unknown", "Unknown question"),
    app_errors.FilterUnknown: ProblemKind(422, "filter-unknown", "Nothing has this name"),
    app_errors.AnswerNotKept: ProblemKind(404, "answer-not-kept", "No such recent answer"),
    request_errors.RowInvalid: ProblemKind(422, "row-invalid", "The row does not fit"),
    request_errors.CsvInvalid: ProblemKind(400, "csv-invalid", "The body is no CSV of questions"),
    request_errors.ContentTypeUnsupported: ProblemKind(
        415, "content-type-unsupported", "Unsupported content type"
    ),
    request_errors.BatchTooLarge: ProblemKind(422, "batch-too-large", "Too much for one batch"),
    app_errors.ModelUnknown: ProblemKind(404, "model-unknown", "Unknown model"),
    app_errors.FieldUnsupported: ProblemKind(400, "field-unsupported", "Unsupported field"),
    app_errors.ContextTooSmall: ProblemKind(422, "prompt-too-long", "Prompt too long"),
    request_errors.ValueRepeated: ProblemKind(422, "value-repeated", "Something is given twice"),
    request_errors.BodyDamaged: ProblemKind(400, "body-damaged", "The body cannot be decompressed"),
    request_errors.EncodingUnsupported: ProblemKind(
        415, "content-encoding-unsupported", "Unsupported content encoding"
    ),
    app_errors.BodyTooLarge: ProblemKind(413, "body-too-large", "Body too large"),
    app_errors.KeyRefused: ProblemKind(401, "key-refused", "Key missing or unknown"),
    app_errors.AdminKeyRefused: ProblemKind(403, "admin-key-refused", "An admin key is needed"),
    app_errors.RateExceeded: ProblemKind(429, "rate-exceeded", "Too many requests"),
    app_errors.ConcurrencyExceeded: ProblemKind(
        429, "concurrency-exceeded", "Too many requests at once"
    ),
    app_errors.CulturesMissing: ProblemKind(422, "cultures-missing", "No cultures given"),
    app_errors.UpstreamUnavailable: ProblemKind(503, "vllm-unavailable", "vLLM is not reachable"),
    app_errors.UpstreamBusy: ProblemKind(503, "vllm-busy", "Too many requests under way"),
    app_errors.RetrievalBusy: ProblemKind(503, "retrieval-busy", "Too many requests under way"),
    app_errors.UpstreamTimeout: ProblemKind(504, "vllm-timeout", "vLLM took too long"),
    app_errors.UpstreamRejected: ProblemKind(422, "vllm-rejected", "vLLM refused the request"),
    app_errors.UpstreamModelMissing: ProblemKind(
        503, "model-missing", "vLLM does not serve the configured model"
    ),
    app_errors.UpstreamInvalid: ProblemKind(502, "vllm-invalid", "vLLM sent an unexpected reply"),
    LabelLogprobsInvalid: ProblemKind(502, "vllm-invalid", "vLLM sent an unexpected reply"),
    RetrievalError: ProblemKind(500, "retrieval-failed", "Evidence could not be looked up"),
}
INVALID = ProblemKind(422, "request-invalid", "The request does not fit")
JSON_INVALID = ProblemKind(400, "json-invalid", "The body is no JSON")
NO_JSON = ProblemKind(415, "content-type-unsupported", "Unsupported content type")
FAULT = ProblemKind(500, "fault", "A fault in Milieu")


def declare_failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how a route declares that it may answer with a problem of one of these statuses."""
    return {status: {"model": Problem, "content": {PROBLEM_JSON: {}}} for status in statuses}


def install(app: FastAPI) -> None:
    """Let `app` answer with a problem to every error but faults; `RequestContext` does to those."""
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind in PROBLEMS:
        app.add_exception_handler(kind, _on_error)


def kind_of(error: Exception) -> ProblemKind:
    """Return how `error` is answered: by its own entry, or that of its nearest base."""
    return next((PROBLEMS[base] for base in type(error).__mro__ if base in PROBLEMS), FAULT)


def response_to(scope: Scope, error: Exception) -> ASGIApp:
    """Return the response to `error` on the path of `scope`."""
    kind = kind_of(error)
    detail = _explain(scope["path"], kind, error)
    response = _response(scope["path"], kind, detail, param=getattr(error, "field", None))
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def present_problem(error: Exception, path: str) -> Problem:
    """Return the problem that `error` is on `path`, for a response that goes on after it.

    A `ValidationError` is one of the fields of a question.
    """
    if isinstance(error, ValidationError):
        found = describe_faults(place_in_body(error), names=list(AnswerBody.model_fields))
        return _describe(INVALID, found.detail, found.faults)
    kind = kind_of(error)
    if kind.status == 500:
        logger.error("request_failed", exc_info=error)
    return _describe(kind, _explain(path, kind, error))


def _response(
    path: str,
    kind: ProblemKind,
    detail: str,
    *,
    faults: list[Fault] | None = None,
    param: str | None = None,
) -> JSONResponse:
    # Half a surrogate pair, which JSON can hold, cannot be sent.
    detail = detail.encode("utf-8", "replace").decode()
    if is_openais(path):
        # OpenAI has no 422: to what does not fit it answers 400.
        status = 400 if kind.status == 422 else kind.status
        if faults:
            param = faults[0]["where"].removeprefix("body.")
        return JSONResponse(openai_error(kind.status, kind.code, detail, param), status_code=status)
    body = _describe(kind, detail, faults).model_dump()
    if faults is None:
        del body["errors"]
    return JSONResponse(body, status_code=kind.status, media_type=PROBLEM_JSON)


def _describe(kind: ProblemKind, detail: str, faults: list[Fault] | None = None) -> Problem:
    return Problem(
        type=TYPE_ROOT + kind.code,
        title=kind.title,
        status=kind.status,
        detail=detail.encode("utf-8", "replace").decode(),
        instance=f"urn:milieu:request:{request_id.get()}",
        errors=None if faults is None else [dict(fault) for fault in faults],
    )


def _explain(path: str, kind: ProblemKind, error: Exception) -> str:
    """Return what a client is told of `error`: nothing of what is for operators."""
    if _is_hidden(path, kind):
        return f"{STORE_SILENT} {HIDDEN}" if isinstance(error, StoreUnavailable) else HIDDEN
    if isinstance(error, ExperimentUnknown) and not is_admin_path(path):
        # Which experiments there are is an admin's to know.
        return f"No experiment here is named '{error.name}'. Ask an admin for its name."
    return str(error)


def _is_hidden(path: str, kind: ProblemKind) -> bool:
    return kind is FAULT or (kind.code in FOR_OPERATORS and not is_admin_path(path))


async def _on_error(request: Request, error: Exception) -> Any:
    kind = kind_of(error)
    if isinstance(error, StoreUnavailable):
        # As many as there are requests, while the log says once that the store fails.
        logger.warning("store_not_reached", extra={"fields": {"reason": error.reason}})
    elif kind.status == 500 or _is_hidden(request.url.path, kind):
        logger.error("request_failed", exc_info=error)
    return response_to(request.scope, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # registered for it alone
    # FastAPI leaves a body as bytes where its content type is not JSON.
    if isinstance(error.body, bytes):
        given = clip(request.headers.get("content-type", "none"))
        detail = f"found content type {given}, expected application/json"
        return _response(request.url.path, NO_JSON, detail)
    found = describe_faults(
        error.errors(), error.body, names=list(list_fields(request.scope["route"]))
    )
    kind = INVALID if found.is_json else JSON_INVALID
    return _response(request.url.path, kind, found.detail, faults=found.faults)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # registered for it alone
    phrase = http.HTTPStatus(error.status_code).phrase
    kind = ProblemKind(error.status_code, phrase.lower().replace(" ", "-"), phrase)
    cause = "" if error.__cause__ is None else f" ({error.__cause__})"
    detail = f"{request.method} {request.url.path[:200]}: {error.detail}{cause}"
    if error.status_code == 404 and is_openai_only(request.url.path):
        detail += ". Of OpenAI's routes Milieu serves /v1/chat/completions and /v1/models."
    response = _response(request.url.path, kind, detail)
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        # Starlette names the methods of the first route on the path only.
        response.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    matching = (
        route.methods or set()
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    )
    return set().union(*matching)
