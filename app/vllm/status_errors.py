"""What a reply other than 200 means, and how long vLLM asks to wait."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from app.errors import (
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamModelMissing,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from files.json_text import load_json


def status_error(status: int, data: bytes, *, model: str, retry_after_s: float) -> UpstreamError:
    """Return the error that a reply other than 200 stands for; `model` is the one asked for."""
    message = _error_message(data)
    match status:
        case 404 if message.kind == "NotFoundError":
            return UpstreamModelMissing(model, message.text)
        case 400 | 413 | 422:
            return UpstreamRejected(message.text, status=status)
        case 408:
            return UpstreamTimeout("its answer", limit_s=retry_after_s)
        case 429 | 503:
            return UpstreamBusy(message.text, retry_after_s=retry_after_s)
        case _ if status >= 500:
            reason = f"it failed with {status}: {message.text}"
            return UpstreamUnavailable(reason, retry_after_s=retry_after_s)
    # The rest, such as 401 or 405, is between Milieu and vLLM; the client can do nothing.
    return UpstreamInvalid(f"status {status}: {message.text}", expected="status 200")


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, None where it says nothing."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


class _ErrorMessage(NamedTuple):
    text: str
    kind: str


def _error_message(data: bytes) -> _ErrorMessage:
    plain = data[:200].decode("utf-8", "replace").strip() or "no reason given"
    try:
        reply = load_json(data)
    except ValueError:
        return _ErrorMessage(plain, "")
    error = reply.get("error", reply) if isinstance(reply, dict) else None
    if not isinstance(error, dict):
        return _ErrorMessage(plain if error is None else str(error)[:1000], "")
    text = error.get("message") or error.get("detail") or plain
    return _ErrorMessage(str(text)[:1000], str(error.get("type", "")))
