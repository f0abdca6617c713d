"""What operators measure: Prometheus metrics, and the steps of a request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from adapters.readiness import Readiness
from adapters.serving import AdapterServing
from app.traces import trace_step
from experiments.stores.event_store import EventStore
from experiments.stores.group_commit import DropReason

T = TypeVar("T")

_STEP_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
ADAPTERS_LOADED = "milieu_adapters_loaded"
_SIMILARITY_BUCKETS = tuple(step / 20 for step in range(21))


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self, workers_folder: Path | None = None) -> None:
        """Count for this process, or with other workers of the service in `workers_folder`.

        The folder is the one that prometheus_client was imported for (PROMETHEUS_MULTIPROC_DIR).
        """
        self.registry = CollectorRegistry()
        self._shared = None if workers_folder is None else _SharedCounts(workers_folder)
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.requests = counter(
            "milieu_requests_total", "Requests by route and status.", ["route", "status"]
        )
        self.step_seconds = histogram(
            "milieu_step_seconds",
            "Time of each step of the pipeline.",
            ["step"],
            buckets=_STEP_BUCKETS_S,
        )
        self.similarity = histogram(
            "milieu_retrieval_similarity",
            "Cosine of the nearest survey question.",
            buckets=_SIMILARITY_BUCKETS,
        )
        self.answers = counter(
            "milieu_answers_total",
            "Answers by the method that was used ('none' without a model), and whether they were "
            "steered and readable.",
            ["method", "steered", "readable"],
        )
        self.upstream_errors = counter(
            "milieu_upstream_errors_total", "Failed calls to vLLM by kind.", ["kind"]
        )
        self.upstream_retries = counter(
            "milieu_upstream_retries_total", "Calls to vLLM tried again."
        )
        # To find the count of some labels takes longer than to count.
        self._find_requests = cache(self.requests.labels)
        self._find_step = cache(self.step_seconds.labels)
        self._find_answers = cache(self.answers.labels)
        self._add_gauges()

    def _add_gauges(self) -> None:
        gauge = partial(Gauge, registry=self.registry)
        self.upstream_in_flight = gauge(
            "milieu_upstream_in_flight", "Calls to vLLM under way.", multiprocess_mode="livesum"
        )
        # Every worker tells of the same child.
        self.vllm_restarts = gauge(
            "milieu_vllm_restarts", "Restarts of the vLLM child.", multiprocess_mode="livemax"
        )
        self.worker_restarts = gauge(
            "milieu_worker_restarts",
            "Workers of the service that were started anew.",
            multiprocess_mode="livemax",
        )

    def watch_adapters(self, live: AdapterServing) -> None:
        """Show, from now on, what happens to the adapters on the servers."""
        self._watch(_AdapterCounts(live))

    def watch_store(self, store: EventStore) -> None:
        """Show, from now on, what became of the exposures and assignments given to `store`."""
        self._watch(_StoreCounts(store))

    def _watch(self, counts: Collector) -> None:
        if self._shared is None:
            self.registry.register(counts)
        else:
            self._shared.counts.append(counts)

    def publish(self) -> None:
        """Let the other workers see what is counted elsewhere in this process."""
        if self._shared is not None:
            self._shared.publish()

    def write(self) -> bytes:
        """Return the metrics in Prometheus's text format, of all workers together."""
        if self._shared is None:
            return generate_latest(self.registry)
        self._shared.publish()
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, path=str(self._shared.folder))
        return generate_latest(everybody)

    def count_answer(self, method: str, *, steered: bool, readable: bool) -> None:
        """Count an answer."""
        self._find_answers(method, str(steered).lower(), str(readable).lower()).inc()

    def count_request(self, route: str, status: int) -> None:
        """Count a request that was served, or refused."""
        self._find_requests(route, str(status)).inc()

    def time_step(self, name: str, taken_s: float) -> None:
        """Count a step of the pipeline, and the seconds that it took."""
        self._find_step(name).observe(taken_s)

    def on_error(self, kind: str) -> None:
        """Count a failed upstream call."""
        self.upstream_errors.labels(kind).inc()

    def on_retry(self) -> None:
        """Count a retried upstream call."""
        self.upstream_retries.inc()

    def on_in_flight(self, n: int) -> None:
        """Show how many upstream calls are under way."""
        self.upstream_in_flight.set(n)


class _SharedCounts:
    """Numbers that are counted elsewhere in a worker, in the files that all workers have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: list[Collector] = []
        self._shown: dict[str, Counter | Gauge] = {}
        self._before: dict[tuple[str, tuple[str, ...]], float] = {}
        # Each of these metrics is in the files; the registry only keeps names apart.
        self._registry = CollectorRegistry()

    def publish(self) -> None:
        """Write what the counts are now."""
        for family in (family for counts in self.counts for family in counts.collect()):
            for sample in family.samples:
                values = tuple(sample.labels.values())
                shown = self._show(family, tuple(sample.labels))
                of = shown.labels(*values) if values else shown
                if isinstance(of, Counter):
                    key = (family.name, values)
                    of.inc(sample.value - self._before.get(key, 0.0))
                    self._before[key] = sample.value
                else:
                    of.set(sample.value)

    def _show(self, family: Metric, labels: tuple[str, ...]) -> Counter | Gauge:
        if family.name not in self._shown:
            name, text, registry = family.name, family.documentation, self._registry
            if family.type == "counter":
                shown: Counter | Gauge = Counter(name, text, labels, registry=registry)
            else:
                # What waits is each worker's own; servers and adapters are seen by all of them.
                mode: Literal["livemax", "livemin", "livesum"]
                mode = "livesum" if name.endswith("_queued") else "livemin"
                mode = "livemax" if name == ADAPTERS_LOADED else mode
                shown = Gauge(name, text, labels, registry=registry, multiprocess_mode=mode)
            self._shown[family.name] = shown
        return self._shown[family.name]


class _AdapterCounts(Collector):
    """Reads, whenever the metrics are asked for, what `AdapterServing` has counted."""

    def __init__(self, live: AdapterServing) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        counts = self._live.counts
        for name, help_text, value in (
            ("loads", "Adapter versions loaded.", counts.n_loads),
            ("unloads", "Adapter versions unloaded, evicted ones included.", counts.n_unloads),
            ("evictions", "Adapter versions unloaded to make room.", counts.n_evictions),
            ("repairs", "Adapter versions loaded again on a server that lost them.",
             counts.n_repairs),
        ):  # fmt: skip
            yield CounterMetricFamily(f"milieu_adapter_{name}", help_text, value=value)
        yield GaugeMetricFamily(
            ADAPTERS_LOADED, "Adapter versions on the servers.", value=self._live.n_loaded
        )
        reachable = GaugeMetricFamily(
            "milieu_replica_reachable",
            "Whether a vLLM server answered when its adapters were last looked at.",
            labels=["replica"],
        )
        ready = GaugeMetricFamily(
            "milieu_adapter_ready",
            "Whether an adapter version that should be live is loaded and verified on a server.",
            labels=["replica", "version"],
        )
        for replica in self._live.replicas:
            if replica.is_reachable is not None:
                reachable.add_metric([replica.name], float(replica.is_reachable))
            for version, readiness, *_ in replica.versions:
                ready.add_metric([replica.name, version], float(readiness is Readiness.READY))
        yield from (reachable, ready)


class _StoreCounts(Collector):
    """Reads, whenever the metrics are asked for, what the store has counted."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        for name, what, counts in (
            ("exposures", "Exposures", self._store.counts),
            ("assignments", "Assignments", self._store.claim_counts),
        ):
            yield CounterMetricFamily(
                f"milieu_{name}_recorded", f"{what} in the store.", value=counts.n_recorded
            )
            yield CounterMetricFamily(
                f"milieu_{name}_late",
                f"{what} that came into the store after their answer had gone out.",
                value=counts.n_late,
            )
            yield GaugeMetricFamily(
                f"milieu_{name}_queued", f"{what} that wait for the store.", value=counts.n_queued
            )
            dropped = CounterMetricFamily(
                f"milieu_{name}_dropped", f"{what} that are lost, by reason.", labels=["reason"]
            )
            for reason in DropReason:
                dropped.add_metric([reason], counts.n_dropped.get(reason, 0))
            yield dropped


class Stopwatch:
    """The time of each step of one request, in milliseconds, in the order they ended."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.perf_counter()
        self.steps_ms: dict[str, float] = {}

    def step(self, name: str) -> AbstractContextManager[None]:
        """Time a block as the step `name`."""
        return _Step(self, name)

    def note(self, name: str, taken_s: float) -> None:
        """Add seconds that the step `name` took."""
        self.steps_ms[name] = self.steps_ms.get(name, 0.0) + taken_s * 1000.0
        self._metrics.time_step(name, taken_s)

    def run(self, name: str, call: Callable[[], T]) -> T:
        """Return what `call` does, timed as the step `name`."""
        with self.step(name):
            return call()

    async def time(self, name: str, step: Awaitable[T]) -> T:
        """Return what comes of `step`, timed under `name`."""
        with self.step(name):
            return await step

    @property
    def total_ms(self) -> float:
        """Milliseconds since the stopwatch was made."""
        return (time.perf_counter() - self._started) * 1000.0

    @property
    def timings_ms(self) -> dict[str, float]:
        """Every step and the total, rounded to a hundredth of a millisecond."""
        timings = {name: round(value, 2) for name, value in self.steps_ms.items()}
        return {**timings, "total": round(self.total_ms, 2)}


class _Step(AbstractContextManager[None]):
    """A block that is timed and traced. A class: every request has a dozen of them."""

    __slots__ = ("_name", "_started", "_trace", "_watch")

    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()
        self._trace = trace_step(self._name)
        self._trace.__enter__()

    def __exit__(self, *exc_info: Any) -> None:
        try:
            self._trace.__exit__(*exc_info)
        finally:
            self._watch.note(self._name, time.perf_counter() - self._started)


def server_timing(timings_ms: dict[str, float]) -> str:
    """Return `timings_ms` as the value of a `Server-Timing` header."""
    return ", ".join(f"{name};dur={value:.2f}" for name, value in timings_ms.items())
