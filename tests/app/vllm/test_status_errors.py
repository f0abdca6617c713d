"""What vLLM means when it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.errors import UpstreamRejected
from app.vllm.status_errors import retry_after, status_error


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"error":{"message":"too long","type":"BadRequestError","code":400}}', "too long"),
        (b'{"error":"Unauthorized"}', "Unauthorized"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'["odd"]', "odd"),
        (b"Bad Gateway", "Bad Gateway"),
        (b"", "no reason given"),
        (b"\xff\xfe", "\ufffd"),
        (b"[" * 100_000, "[[["),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_reason_is_found_in_any_body(data: bytes, message: str) -> None:
    error = status_error(400, data, model="fake", retry_after_s=1.0)

    assert isinstance(error, UpstreamRejected)
    assert message in error.message


def test_retry_after_may_be_seconds_or_a_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert retry_after("2") == 2.0
    assert retry_after("-2") == 0.0
    assert retry_after(in_a_minute) == pytest.approx(60.0, abs=2.0)
    assert retry_after("soon") is None
    assert retry_after(f"1 Jan {10**20} 00:00:00 GMT") is None
    assert retry_after("nan") is None
    assert retry_after("inf") is None
    assert retry_after(None) is None
