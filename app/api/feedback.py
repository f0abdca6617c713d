"""`/v1/feedback`: what came of an answer."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Header

from app.api.dependencies import ExperimentsDep
from app.api.problems import declare_failures
from app.api.schemas.experiments import FeedbackBody, FeedbackReceipt
from app.api.strict import StrictRoute
from experiments.errors import OutcomeInvalid
from experiments.events import MAX_KEY_CHARS
from experiments.feedback import take_outcome

router = APIRouter(prefix="/v1/feedback", tags=["experiments"], route_class=StrictRoute)
FAILURES = declare_failures(400, 401, 404, 409, 413, 415, 422, 503)


@router.post("", responses=FAILURES)
async def take_feedback(
    body: FeedbackBody,
    live: ExperimentsDep,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=MAX_KEY_CHARS)] = None,
) -> FeedbackReceipt:
    """Keep what came of an answer; taken once per key, and durable when this replies."""
    if body.key is not None and idempotency_key not in (None, body.key):
        raise OutcomeInvalid(
            "key", found="another one than the Idempotency-Key", expected="the same, or one of them"
        )
    outcome = body.outcome(
        unit_hash="" if body.unit is None else live.hasher.hash(body.unit),
        key=body.key or idempotency_key,
        time_ms=time.time_ns() // 1_000_000,
    )
    taken = await take_outcome(live.store, live.registry, outcome)
    return FeedbackReceipt(
        key=taken.receipt.key,
        received_ms=taken.receipt.time_ms,
        repeated=taken.receipt.repeated,
        experiment=taken.experiment or None,
        counts=taken.counts,
        notes=list(taken.notes),
    )
