"""The experiments of a store: what may be defined, changed and started, and what is running."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from experiments.definition import Experiment, Layer, State
from experiments.errors import (
    ChangeRefused,
    DefinitionInvalid,
    ExperimentError,
    ExperimentTaken,
    ExperimentUnknown,
    LayerOverlap,
    MetricMisfit,
    MetricNotSent,
    StoreUnavailable,
    TransitionRefused,
)
from experiments.events import OutcomeKind
from experiments.metrics import Direction, Metric, MetricKind, PrimaryMetric
from experiments.registry import ExperimentRegistry
from experiments.stores.event_store import EventStore, Followed
from tests.experiments.conftest import OpenStore
from tests.experiments.events import an_experiment, an_exposure, an_outcome

COVERED = ("DEU", "JPN", "NGA")
LATENCY = PrimaryMetric(
    Metric("latency_ms", MetricKind.MEAN, Direction.LOWER, lowest=0.0, highest=9000.0), 10.0
)


def a_registry(store: EventStore, **changes: Any) -> ExperimentRegistry:
    return ExperimentRegistry(store, **({"cultures": COVERED} | changes))


def a_draft(name: str = "ways", **changes: Any) -> Experiment:
    """One whose metrics are all recorded by Milieu itself."""
    fields = {"state": State.DRAFT, "primary": LATENCY, "guardrails": ()} | changes
    return an_experiment(name=name, **fields)


async def started(registry: ExperimentRegistry, name: str = "ways", **changes: Any) -> Experiment:
    await registry.define(a_draft(name, **changes))
    return await registry.start(name)


async def states(store: EventStore) -> dict[str, State]:
    return {at.experiment.name: at.experiment.state for at in await store.experiments()}


async def test_nothing_is_running_at_first(store: EventStore) -> None:
    registry = a_registry(store)
    await registry.refresh()
    assert registry.running == ()


async def test_an_experiment_goes_from_draft_to_decision(store: EventStore) -> None:
    registry = a_registry(store)
    await registry.define(a_draft())
    running = await registry.start("ways")
    assert list(registry.running) == [running]
    await registry.stop("ways")
    assert not registry.running
    await registry.decide("ways", " icl for all ")
    revisions = [at.experiment for at in await store.revisions("ways")]
    assert [at.state for at in revisions] == list(State)
    assert [at.revision for at in revisions] == [1, 2, 3, 4]
    assert revisions[-1].decision == "icl for all"


async def test_the_one_that_started_first_comes_first(store: EventStore) -> None:
    registry = a_registry(store)
    for name in ("b", "a", "c"):
        await registry.define(a_draft(name))
    for name in ("c", "b", "a"):
        await registry.start(name)
        await asyncio.sleep(0.005)
    assert [each.name for each in registry.running] == ["c", "b", "a"]


async def test_another_gateway_sees_what_runs_when_it_looks(open_store: OpenStore) -> None:
    one, other = a_registry(await open_store()), a_registry(await open_store())
    await started(one)
    assert not other.running
    await other.refresh()
    assert other.running == one.running


async def test_a_running_experiment_is_found_by_its_name(store: EventStore) -> None:
    registry = a_registry(store)
    running = await started(registry)
    assert registry.find_running("ways") == running


async def test_a_draft_is_no_running_experiment(store: EventStore) -> None:
    registry = a_registry(store)
    await registry.define(a_draft())
    await started(registry, "other")
    with pytest.raises(ExperimentUnknown, match="No experiment is named 'ways'; there are: other"):
        registry.find_running("ways")


async def test_what_is_defined_is_a_draft_whatever_is_given(store: EventStore) -> None:
    kept = await a_registry(store).define(a_draft(state=State.RUNNING, revision=7, decision="done"))
    assert (kept.state, kept.revision, kept.decision) == (State.DRAFT, 1, "")


async def test_the_same_definition_twice_is_kept_once(store: EventStore) -> None:
    registry = a_registry(store)
    kept = await registry.define(a_draft())
    assert await registry.define(a_draft()) == kept
    assert len(await store.revisions("ways")) == 1


async def test_another_definition_under_the_same_name_is_refused(store: EventStore) -> None:
    registry = a_registry(store)
    await registry.define(a_draft())
    with pytest.raises(ExperimentTaken, match="'ways'"):
        await registry.define(a_draft(alpha=0.01))


async def test_the_same_definition_after_the_start_is_refused(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry)
    with pytest.raises(ExperimentTaken):
        await registry.define(a_draft())


@pytest.mark.parametrize(
    ("changes", "field", "found", "expected"),
    [
        ({"cultures": ("DEU", "FRA")}, "cultures", "FRA", "covered cultures: DEU, JPN, NGA"),
        ({"arms": "other-model"}, "arms.icl.model", "'huge'", "one of: mini"),
    ],
)
async def test_what_the_service_does_not_have_is_refused(
    store: EventStore, changes: dict[str, Any], field: str, found: str, expected: str
) -> None:
    registry = a_registry(store, models=("mini",))
    if "arms" in changes:
        plain, icl, *rest = a_draft().arms
        changes = {"arms": (plain, replace(icl, model="huge"), *rest)}
    with pytest.raises(DefinitionInvalid) as caught:
        await registry.define(a_draft(**changes))
    assert (caught.value.field, caught.value.found) == (field, found)
    assert expected in caught.value.expected
    await registry.define(a_draft())
    with pytest.raises(DefinitionInvalid):
        await registry.revise(a_draft(**changes))


async def test_of_many_cultures_ten_are_named(store: EventStore) -> None:
    codes = [f"{chr(65 + n)}AA" for n in range(20)]
    with pytest.raises(DefinitionInvalid) as caught:
        await a_registry(store, cultures=codes).define(a_draft(cultures=("ZZZ",)))
    assert caught.value.expected.endswith("IAA, JAA, …")
    assert "KAA" not in caught.value.expected


async def test_any_model_may_be_named_where_they_are_not_known(store: EventStore) -> None:
    plain, icl, *rest = a_draft().arms
    arms = (plain, replace(icl, model="huge"), *rest)
    kept = await a_registry(store).define(a_draft(arms=arms))
    assert kept.arm("icl").model == "huge"


async def test_what_the_store_could_not_read_again_is_never_kept(store: EventStore) -> None:
    registry = a_registry(store)
    with pytest.raises(DefinitionInvalid, match="testers"):
        await registry.define(a_draft(testers=("somebody",)))
    assert await store.experiments() == ()


async def test_a_revision_keeps_state_and_counts_on(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry, traffic_share=0.2)
    revised = await registry.revise(a_draft(traffic_share=0.5))
    assert (revised.state, revised.revision) == (State.RUNNING, 3)
    assert registry.running == (revised,)


async def test_a_revision_without_a_change_is_the_latest(store: EventStore) -> None:
    registry = a_registry(store)
    running = await started(registry)
    assert await registry.revise(a_draft()) == running
    await registry.stop("ways")
    await registry.decide("ways", "none")
    assert (await registry.revise(a_draft())).state is State.DECIDED
    assert len(await store.revisions("ways")) == 4


async def test_a_running_experiment_keeps_its_metric(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry)
    with pytest.raises(ChangeRefused, match="'primary'"):
        await registry.revise(a_draft(primary=replace(LATENCY, smallest_effect=20.0)))


async def test_an_unknown_experiment_cannot_be_changed(store: EventStore) -> None:
    registry = a_registry(store)
    await registry.define(a_draft("other"))
    for change in (registry.start("ways"), registry.stop("ways"), registry.revise(a_draft())):
        with pytest.raises(ExperimentUnknown, match="there are: other"):
            await change


async def test_a_stopped_experiment_does_not_start_again(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry)
    await registry.stop("ways")
    with pytest.raises(TransitionRefused):
        await registry.start("ways")


async def test_a_decision_needs_words(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry)
    await registry.stop("ways")
    with pytest.raises(DefinitionInvalid, match="found nothing"):
        await registry.decide("ways", "  ")


async def test_a_decision_that_is_too_long_is_refused(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry)
    await registry.stop("ways")
    with pytest.raises(DefinitionInvalid, match="field 'decision'"):
        await registry.decide("ways", "x" * 4001)
    assert await states(store) == {"ways": State.STOPPED}


async def test_a_metric_that_nobody_sends_is_refused(store: EventStore) -> None:
    registry = a_registry(store)
    now_ms = time.time_ns() // 1_000_000
    outside: dict[str, Any] = {"experiment": "", "arm": "", "revision": 0}
    await store.record(an_exposure(time_ms=now_ms, **outside))
    await store.add_outcome(an_outcome(metric="stars", key="stars", time_ms=now_ms))
    await registry.define(an_experiment(state=State.DRAFT))
    with pytest.raises(MetricNotSent, match=r"'helpful'.*stars"):
        await registry.start("ways")
    assert await states(store) == {"ways": State.DRAFT}
    await store.add_outcome(an_outcome(time_ms=now_ms))
    await registry.start("ways")


async def test_a_metric_that_is_sent_in_another_form_is_refused(store: EventStore) -> None:
    registry = a_registry(store)
    now_ms = time.time_ns() // 1_000_000
    outside: dict[str, Any] = {"experiment": "", "arm": "", "revision": 0}
    await store.record(an_exposure(time_ms=now_ms, **outside))
    as_number = an_outcome(kind=OutcomeKind.NUMBER, number=1.0, key="n", time_ms=now_ms)
    await store.add_outcome(as_number)
    await registry.define(an_experiment(state=State.DRAFT))

    with pytest.raises(MetricMisfit, match=r"'helpful' sent as a number, expected true or false"):
        await registry.start("ways")
    assert await states(store) == {"ways": State.DRAFT}
    await registry.start("ways", allow_unsent=True)


async def test_a_metric_that_was_last_sent_long_ago_is_refused(store: EventStore) -> None:
    registry = a_registry(store)
    await store.record(an_exposure())
    await store.add_outcome(an_outcome())
    await registry.define(an_experiment(state=State.DRAFT))
    with pytest.raises(MetricNotSent):
        await registry.start("ways")


async def test_an_unsent_metric_may_be_allowed(store: EventStore) -> None:
    registry = a_registry(store)
    await registry.define(an_experiment(state=State.DRAFT))
    assert (await registry.start("ways", allow_unsent=True)).state is State.RUNNING


async def test_two_experiments_do_not_share_buckets_of_a_layer(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry, "one", layer=Layer("prompts", 0, 499))
    await started(registry, "two", layer=Layer("prompts", 500, 999))
    await registry.define(a_draft("three", layer=Layer("prompts", 400, 600)))
    with pytest.raises(LayerOverlap, match=r"'one'.*'three'"):
        await registry.start("three")
    assert [each.name for each in registry.running] == ["one", "two"]


async def test_buckets_are_free_again_after_a_stop(store: EventStore) -> None:
    registry = a_registry(store)
    await started(registry, "one", layer=Layer("prompts"))
    await registry.stop("one")
    await started(registry, "two", layer=Layer("prompts"))


async def test_of_starts_at_the_same_time_one_stays_at_most(open_store: OpenStore) -> None:
    books = [a_registry(await open_store()) for _ in range(4)]
    for n, registry in enumerate(books):
        await registry.define(a_draft(f"e{n}", layer=Layer("prompts")))
    starts = [registry.start(f"e{n}") for n, registry in enumerate(books)]
    came = await asyncio.gather(*starts, return_exceptions=True)
    stayed = [each for each in came if isinstance(each, Experiment)]
    refused = [each for each in came if isinstance(each, BaseException)]
    assert all(isinstance(each, LayerOverlap) for each in refused), refused
    await books[0].refresh()
    assert list(books[0].running) == stayed
    assert len(stayed) <= 1


class Crossing(EventStore):
    """A store in which another gateway starts an experiment right after the first check."""

    def __init__(self, store: EventStore, rival: Experiment) -> None:
        # All of it is another store's, but for what is said below.
        self.__dict__.update(store.__dict__)
        self._store, self._rival = store, rival

    async def save(self, experiment: Experiment) -> None:
        if experiment.state is State.RUNNING:
            await self._store.save(self._rival)
        await self._store.save(experiment)


async def test_a_start_that_crossed_an_earlier_one_is_taken_back(store: EventStore) -> None:
    draft = a_draft("first", layer=Layer("prompts"))
    await store.save(draft)
    rival = replace(draft, state=State.RUNNING, revision=2)
    registry = a_registry(Crossing(store, rival))
    await registry.define(a_draft("second", layer=Layer("prompts")))
    with pytest.raises(LayerOverlap, match=r"'first'.*'second'"):
        await registry.start("second")
    assert await states(store) == {"first": State.RUNNING, "second": State.STOPPED}
    assert [each.name for each in registry.running] == ["first"]


async def test_two_definitions_at_the_same_time_are_one(open_store: OpenStore) -> None:
    books = [a_registry(await open_store()) for _ in range(3)]
    defined = (registry.define(a_draft(alpha=0.01 * (n + 1))) for n, registry in enumerate(books))
    came = await asyncio.gather(*defined, return_exceptions=True)
    assert sum(isinstance(each, Experiment) for each in came) == 1
    assert sum(isinstance(each, ExperimentTaken) for each in came) == 2


class Failing(EventStore):
    """A store that says what it is told to, one reading after the other."""

    def __init__(self, answers: Collection[tuple[Experiment, ...] | Exception]) -> None:
        self._answers = list(answers)
        self.has_ended = asyncio.Event()

    async def follow(self) -> Followed:
        if len(self._answers) == 1:
            self.has_ended.set()
        said = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(said, Exception):
            raise said
        return Followed(said, n_forgotten=0)


async def watched(store: Failing) -> ExperimentRegistry:
    """The registry after it has watched all that the store says."""
    registry = a_registry(store, refresh_s=0.001)
    watching = asyncio.create_task(registry.watch())
    await store.has_ended.wait()
    await asyncio.sleep(0.02)
    assert not watching.done()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    return registry


async def test_what_was_known_stays_while_the_store_is_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    silent = StoreUnavailable("a store", "no answer")
    one = an_experiment()
    with caplog.at_level(logging.WARNING):
        registry = await watched(Failing([(one,), silent, silent, silent]))
    assert registry.running == (one,)
    assert [record.message for record in caplog.records] == ["experiments_not_refreshed"]


async def test_the_log_says_once_that_the_store_is_back(caplog: pytest.LogCaptureFixture) -> None:
    silent = StoreUnavailable("a store", "no answer")
    one = an_experiment()
    with caplog.at_level(logging.WARNING):
        registry = await watched(Failing([silent, silent, (one,), (one,), (one,)]))
    assert registry.running == (one,)
    said = ["experiments_not_refreshed", "experiments_refreshed_again"]
    assert [record.message for record in caplog.records] == said


async def test_the_watch_goes_on_after_what_it_does_not_know() -> None:
    one = an_experiment()
    registry = await watched(Failing([ValueError("a row that is no JSON"), (one,)]))
    assert registry.running == (one,)


async def test_a_refresh_without_an_answer_is_an_error() -> None:
    with pytest.raises(ExperimentError):
        await a_registry(Failing([StoreUnavailable("a store", "no answer")])).refresh()


async def test_what_units_were_deleted_elsewhere_is_told_once(open_store: OpenStore) -> None:
    here, there = await open_store(), await open_store()
    told: list[str] = []
    registry = ExperimentRegistry(here, cultures=(), on_forgotten=lambda: told.append("forgotten"))
    await registry.refresh()
    await there.forget_unit("u1")
    assert told == []
    await registry.refresh()
    await registry.refresh()
    assert told == ["forgotten"]
