"""Log lines can be read by people and programs, and hold no question and no answer."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from typing import Any

import pytest

from app.telemetry import LineFormatter, Metrics, Stopwatch, request_id, server_timing
from tests.app.service import NEIGHBOURS, RELIGION, opened
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import MakeSettings


def record_of(event: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("app", logging.INFO, __file__, 1, event, (), None)
    record.fields = fields
    return record


def test_a_line_is_key_value() -> None:
    line = LineFormatter(as_json=False).format(record_of("thing_done", n=3, ok=True, name="x"))

    at, *rest = line.split(" ")
    assert datetime.fromisoformat(at.removeprefix("at=")).tzinfo
    assert rest == ["level=info", "event=thing_done", "n=3", "ok=True", "name=x"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('"', '"\\""'),
        ("a\nlevel=error", '"a\\nlevel=error"'),
        ("a\rb", '"a\\rb"'),
        ("a\x1b[2Jb", '"a\\u001b[2Jb"'),
        ("a\u2028b", '"a\\u2028b"'),
        ("größer", "größer"),
    ],
)
def test_a_value_cannot_break_its_line(value: str, shown: str) -> None:
    line = LineFormatter(as_json=False).format(record_of("thing_done", value=value))

    assert line.endswith(f" value={shown}")


def test_a_line_is_json() -> None:
    line = LineFormatter(as_json=True).format(record_of("thing_done", n=3, path=sys))

    fields = json.loads(line)
    assert "\n" not in line
    assert fields["event"] == "thing_done"
    assert fields["n"] == 3
    assert fields["path"] == str(sys)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_has_request_id_and_error_on_one_line(as_json: bool) -> None:
    token = request_id.set("abc")
    try:
        raise KeyError("x")
    except KeyError:
        record = record_of("request_failed")
        record.exc_info = sys.exc_info()
        line = LineFormatter(as_json=as_json).format(record)
    finally:
        request_id.reset(token)

    assert "\n" not in line
    assert "abc" in line
    assert "Traceback" in line
    assert "request_id" not in LineFormatter(as_json=as_json).format(record_of("later"))


def test_a_stopwatch_sums_each_step_and_the_total() -> None:
    metrics = Metrics()
    watch = Stopwatch(metrics)
    for _ in range(2):
        with watch.step("one"):
            pass
    with pytest.raises(KeyError), watch.step("two"):
        raise KeyError

    assert list(watch.timings_ms) == ["one", "two", "total"]
    assert watch.total_ms >= watch.steps_ms["one"] + watch.steps_ms["two"]
    n_one = metrics.registry.get_sample_value("milieu_step_seconds_count", {"step": "one"})
    assert n_one == 2.0


def test_timings_become_a_header() -> None:
    assert server_timing({"culture": 0.5, "total": 12.345}) == "culture;dur=0.50, total;dur=12.35"


def test_services_have_metrics_of_their_own() -> None:
    one, other = Metrics(), Metrics()
    one.on_error("X")
    one.on_retry()
    one.on_in_flight(3)

    def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert sample(one, "milieu_upstream_errors_total", kind="X") == 1.0
    assert sample(one, "milieu_upstream_retries_total") == 1.0
    assert sample(one, "milieu_upstream_in_flight") == 3.0
    assert sample(other, "milieu_upstream_errors_total", kind="X") is None


async def test_no_question_answer_or_key_is_logged(
    make_settings: MakeSettings, fake: FakeVllm, caplog: pytest.LogCaptureFixture
) -> None:
    unit = "someone-very-private"
    options = ["quite private", "very private"]
    bodies: list[dict[str, Any]] = [
        {"question": RELIGION},
        {"question": RELIGION, "options": options, "user": unit},
        {"question": NEIGHBOURS, "max_tokens": 3},
        {"question": NEIGHBOURS, "stream": True},
        {"question": NEIGHBOURS, "k": 0},
        {"question": NEIGHBOURS, "culture": "nowhere"},
    ]
    headers = {"X-API-Key": "private-key"}
    caplog.set_level(logging.INFO)
    async with opened(make_settings(api_keys="private-key")) as client:
        for body in bodies:
            await client.post("/answer", json={"culture": "DE"} | body, headers=headers)
        messages = [{"role": "user", "content": NEIGHBOURS}]
        chat = {"model": "fake@DE", "messages": messages, "user": unit}
        await client.post("/v1/chat/completions", json=chat, headers=headers)

    for as_json in (False, True):
        text = "\n".join(LineFormatter(as_json=as_json).format(r) for r in caplog.records)
        for private in (RELIGION, NEIGHBOURS, "private", " w", "private-key", unit):
            assert private not in text
        assert text.count("request_served") == 7
