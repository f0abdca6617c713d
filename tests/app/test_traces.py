"""Traces have the request, its steps and the calls to vLLM, which is told of them; no texts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from app.errors import SettingsInvalid
from app.main import create_app
from app.setting_groups import TraceSettings
from app.traces import Traces, open_traces
from tests.app.service import NEIGHBOURS, open_shared
from tests.fakes.vllm import FakeVllm, Scripted
from tests.fixtures.service import MakeSettings

sdk = pytest.importorskip("opentelemetry.sdk.trace")
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "X-Request-Id": "traced-request"}
QUESTION = {"culture": "DE", "question": NEIGHBOURS, "method": "icl"}


async def ask(settings: Any, *bodies: dict[str, Any]) -> Sequence[Any]:
    """Return the spans of these requests of `/answer`."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_app(settings, opener=open_shared, traces=Traces(provider))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://milieu") as client:
            for body in bodies:
                await client.post("/answer", json=body, headers=PARENT)
    found: Sequence[Any] = exporter.get_finished_spans()
    return found


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_traced_through_to_vllm(
    make_settings: MakeSettings, fake: FakeVllm, stream: bool
) -> None:
    spans = await ask(make_settings(), QUESTION | {"stream": stream})

    by_id = {span.context.span_id: span for span in spans}
    [request] = [span for span in spans if span.name == "POST /answer"]
    calls = [span for span in spans if span.name == "POST /v1/chat/completions"]
    steps = {span.name for span in spans} - {request.name}
    assert request.attributes["milieu.request_id"] == "traced-request"
    assert len(steps) > 4
    assert calls
    # Those of the start belong to no request, and are not traced.
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE_ID}
    for span in spans:
        root = span
        while root.parent.span_id in by_id:
            root = by_id[root.parent.span_id]
        assert root is request
    asked = [each for each in fake.received if each.path == "/v1/chat/completions"]
    sent = {each.headers["traceparent"] for each in asked}
    assert sent == {f"00-{TRACE_ID}-{span.context.span_id:016x}-01" for span in calls}
    assert all(each.headers["x-request-id"].startswith("traced-request") for each in asked)


async def test_spans_hold_no_text_and_a_failed_one_says_how(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    fake.script(Scripted(status=400, message=f"no {NEIGHBOURS}"))

    spans = await ask(make_settings(vllm={"n_retries": 0}), QUESTION)

    told = " ".join(span.to_json() for span in spans)
    assert NEIGHBOURS not in told
    assert "UpstreamRejected" in told


async def test_nothing_is_traced_nor_sent_without_the_setting(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    app = create_app(make_settings(), opener=open_shared)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://milieu") as client:
            await client.post("/answer", json=QUESTION, headers=PARENT)

    assert fake.received
    assert not [each for each in fake.received if "traceparent" in each.headers]
    assert open_traces(TraceSettings()) is None


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SettingsInvalid, match=r"milieu\[traces\]"):
        open_traces(TraceSettings(endpoint="http://127.0.0.1:4318/v1/traces"))
