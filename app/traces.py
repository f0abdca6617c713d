"""OpenTelemetry traces of requests, their steps and the calls to vLLM; nothing without a setting.

Spans hold names, ids and statuses: never a question, an answer, a message of an error or a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple

from app.errors import SettingsInvalid
from app.setting_groups import TraceSettings

SERVICE = "milieu"
Attributes = Mapping[str, str | int]
_UNTRACED = nullcontext()
_UNTRACED_CALL: AbstractContextManager[Mapping[str, str]] = nullcontext({})


class _Active(NamedTuple):
    """The span that what comes next is a part of."""

    traces: Traces
    context: Any


_active: ContextVar[_Active | None] = ContextVar("active_span", default=None)


class Traces:
    """Makes spans and sends them to a collector, in a thread of its own."""

    def __init__(self, provider: Any) -> None:
        """Make spans by an OpenTelemetry `TracerProvider`."""
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._tracer = provider, provider.get_tracer(SERVICE)
        self._kinds, self._failed = SpanKind, StatusCode.ERROR
        self._enter, self._propagator = set_span_in_context, TraceContextTextMapPropagator()

    @contextmanager
    def request(self, name: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Trace the block as a request; its `traceparent` says what it is a part of."""
        context = self._propagator.extract(headers)
        with self.span(name, context, kind=self._kinds.SERVER) as span:
            yield span

    @contextmanager
    def span(self, name: str, context: Any, *, kind: Any = None) -> Iterator[Any]:
        """Trace the block as a part of `context`."""
        span = self._tracer.start_span(name, context, kind=kind or self._kinds.INTERNAL)
        inner = self._enter(span, context)
        token = _active.set(_Active(self, inner))
        try:
            yield span
        except BaseException as error:
            # Its message may quote what was asked.
            span.set_status(self._failed, type(error).__name__)
            raise
        finally:
            # A stream may be closed by another task than began it, which has no such token.
            try:
                _active.reset(token)
            except ValueError:
                _active.set(None)
            span.end()

    def call(self, name: str, context: Any) -> Any:
        """Trace a block as a call to another service, a part of `context`."""
        return self.span(name, context, kind=self._kinds.CLIENT)

    def write_headers(self, context: Any) -> Mapping[str, str]:
        """Return the headers by which another service knows what its span is a part of."""
        headers: dict[str, str] = {}
        self._propagator.inject(headers, context)
        return headers

    def close(self) -> None:
        """Send what has not been sent yet, and end."""
        self._provider.shutdown()


def trace_step(name: str) -> AbstractContextManager[Any]:
    """Trace a block as a step of the request that it is in, if that is traced."""
    active = _active.get()
    return _UNTRACED if active is None else active.traces.span(name, active.context)


def trace_call(name: str, attributes: Attributes) -> AbstractContextManager[Mapping[str, str]]:
    """Trace a block as a call to another service; as which it is given the headers to send."""
    active = _active.get()
    return _UNTRACED_CALL if active is None else _trace_call(active, name, attributes)


@contextmanager
def _trace_call(active: _Active, name: str, attributes: Attributes) -> Iterator[Mapping[str, str]]:
    with active.traces.call(name, active.context) as span:
        span.set_attributes(attributes)
        current = _active.get()
        assert current is not None
        yield active.traces.write_headers(current.context)


def open_traces(of: TraceSettings) -> Traces | None:
    """Return what traces as the settings say, None where they name no collector.

    Raises:
        SettingsInvalid: OpenTelemetry is not installed.
    """
    if not of.endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as exc:
        raise SettingsInvalid(
            f"MILIEU_TRACES__ENDPOINT is set, and {exc.name} is not installed. Install "
            "'milieu[traces]', or unset it"
        ) from exc
    provider = TracerProvider(
        resource=Resource.create({"service.name": SERVICE}),
        sampler=ParentBased(TraceIdRatioBased(of.sample)),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=of.endpoint)))
    return Traces(provider)
