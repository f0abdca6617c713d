"""Metrics count what happened, a stopwatch times it; neither holds a question or an answer."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from app.logs import LineFormatter
from app.telemetry import Metrics, Stopwatch, server_timing
from tests.app.service import NEIGHBOURS, RELIGION, opened
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import MakeSettings


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
