"""The experiments of a store: what may be defined, changed and started, and what is running."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from experiments.book import ExperimentBook
from experiments.definition import Experiment, Layer, State
from experiments.errors import (
    ChangeRefused,
    DefinitionInvalid,
    ExperimentError,
    ExperimentTaken,
    ExperimentUnknown,
    LayerOverlap,
    MetricNotSent,
    StoreUnavailable,
    TransitionRefused,
)
from experiments.metrics import Direction, Metric, MetricKind, PrimaryMetric
from experiments.stores.event_store import EventStore
from tests.experiments.conftest import OpenStore
from tests.experiments.events import an_experiment, an_exposure, an_outcome

COVERED = ("DEU", "JPN", "NGA")
LATENCY = PrimaryMetric(
    Metric("latency_ms", MetricKind.MEAN, Direction.LOWER, lowest=0.0, highest=9000.0), 10.0
)


def a_book(store: EventStore, **changes: Any) -> ExperimentBook:
    return ExperimentBook(store, **({"cultures": COVERED} | changes))


def a_draft(name: str = "ways", **changes: Any) -> Experiment:
    """One whose metrics are all recorded by Milieu itself."""
    fields = {"state": State.DRAFT, "primary": LATENCY, "guardrails": ()} | changes
    return an_experiment(name=name, **fields)


async def started(book: ExperimentBook, name: str = "ways", **changes: Any) -> Experiment:
    await book.define(a_draft(name, **changes))
    return await book.start(name)


async def states(store: EventStore) -> dict[str, State]:
    return {at.experiment.name: at.experiment.state for at in await store.experiments()}


async def test_nothing_is_running_at_first(store: EventStore) -> None:
    book = a_book(store)
    await book.refresh()
    assert book.running == ()


async def test_an_experiment_goes_from_draft_to_decision(store: EventStore) -> None:
    book = a_book(store)
    await book.define(a_draft())
    running = await book.start("ways")
    assert list(book.running) == [running]
    await book.stop("ways")
    assert not book.running
    await book.decide("ways", " icl for all ")
    revisions = [at.experiment for at in await book.revisions("ways")]
    assert [at.state for at in revisions] == list(State)
    assert [at.revision for at in revisions] == [1, 2, 3, 4]
    assert revisions[-1].decision == "icl for all"


async def test_the_one_that_started_first_comes_first(store: EventStore) -> None:
    book = a_book(store)
    for name in ("b", "a", "c"):
        await book.define(a_draft(name))
    for name in ("c", "b", "a"):
        await book.start(name)
        await asyncio.sleep(0.005)
    assert [each.name for each in book.running] == ["c", "b", "a"]


async def test_another_gateway_sees_what_runs_when_it_looks(open_store: OpenStore) -> None:
    one, other = a_book(await open_store()), a_book(await open_store())
    await started(one)
    assert not other.running
    await other.refresh()
    assert other.running == one.running


async def test_a_running_experiment_is_found_by_its_name(store: EventStore) -> None:
    book = a_book(store)
    running = await started(book)
    assert book.named("ways") == running


async def test_a_draft_is_no_running_experiment(store: EventStore) -> None:
    book = a_book(store)
    await book.define(a_draft())
    await started(book, "other")
    with pytest.raises(ExperimentUnknown, match="'ways' is no experiment; there are: other"):
        book.named("ways")


async def test_what_is_defined_is_a_draft_whatever_is_given(store: EventStore) -> None:
    kept = await a_book(store).define(a_draft(state=State.RUNNING, revision=7, decision="done"))
    assert (kept.state, kept.revision, kept.decision) == (State.DRAFT, 1, "")


async def test_the_same_definition_twice_is_kept_once(store: EventStore) -> None:
    book = a_book(store)
    kept = await book.define(a_draft())
    assert await book.define(a_draft()) == kept
    assert len(await book.revisions("ways")) == 1


async def test_another_definition_under_the_same_name_is_refused(store: EventStore) -> None:
    book = a_book(store)
    await book.define(a_draft())
    with pytest.raises(ExperimentTaken, match="'ways'"):
        await book.define(a_draft(alpha=0.01))


async def test_the_same_definition_after_the_start_is_refused(store: EventStore) -> None:
    book = a_book(store)
    await started(book)
    with pytest.raises(ExperimentTaken):
        await book.define(a_draft())


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
    book = a_book(store, models=("mini",))
    if "arms" in changes:
        plain, icl, *rest = a_draft().arms
        changes = {"arms": (plain, replace(icl, model="huge"), *rest)}
    with pytest.raises(DefinitionInvalid) as caught:
        await book.define(a_draft(**changes))
    assert (caught.value.field, caught.value.found) == (field, found)
    assert expected in caught.value.expected
    await book.define(a_draft())
    with pytest.raises(DefinitionInvalid):
        await book.revise(a_draft(**changes))


async def test_of_many_cultures_ten_are_named(store: EventStore) -> None:
    codes = [f"{chr(65 + n)}AA" for n in range(20)]
    with pytest.raises(DefinitionInvalid) as caught:
        await a_book(store, cultures=codes).define(a_draft(cultures=("ZZZ",)))
    assert caught.value.expected.endswith("IAA, JAA, …")
    assert "KAA" not in caught.value.expected


async def test_any_model_may_be_named_where_they_are_not_known(store: EventStore) -> None:
    plain, icl, *rest = a_draft().arms
    arms = (plain, replace(icl, model="huge"), *rest)
    kept = await a_book(store).define(a_draft(arms=arms))
    assert kept.arm("icl").model == "huge"


async def test_what_the_store_could_not_read_again_is_never_kept(store: EventStore) -> None:
    book = a_book(store)
    with pytest.raises(DefinitionInvalid, match="testers"):
        await book.define(a_draft(testers=("somebody",)))
    assert await book.all() == ()


async def test_a_revision_keeps_state_and_counts_on(store: EventStore) -> None:
    book = a_book(store)
    await started(book, traffic_share=0.2)
    revised = await book.revise(a_draft(traffic_share=0.5))
    assert (revised.state, revised.revision) == (State.RUNNING, 3)
    assert book.running == (revised,)


async def test_a_revision_without_a_change_is_the_latest(store: EventStore) -> None:
    book = a_book(store)
    running = await started(book)
    assert await book.revise(a_draft()) == running
    await book.stop("ways")
    await book.decide("ways", "none")
    assert (await book.revise(a_draft())).state is State.DECIDED
    assert len(await book.revisions("ways")) == 4


async def test_a_running_experiment_keeps_its_metric(store: EventStore) -> None:
    book = a_book(store)
    await started(book)
    with pytest.raises(ChangeRefused, match="'primary'"):
        await book.revise(a_draft(primary=replace(LATENCY, smallest_effect=20.0)))


async def test_an_unknown_experiment_cannot_be_changed(store: EventStore) -> None:
    book = a_book(store)
    await book.define(a_draft("other"))
    for change in (book.start("ways"), book.stop("ways"), book.revise(a_draft())):
        with pytest.raises(ExperimentUnknown, match="there are: other"):
            await change


async def test_a_stopped_experiment_does_not_start_again(store: EventStore) -> None:
    book = a_book(store)
    await started(book)
    await book.stop("ways")
    with pytest.raises(TransitionRefused):
        await book.start("ways")


async def test_a_decision_needs_words(store: EventStore) -> None:
    book = a_book(store)
    await started(book)
    await book.stop("ways")
    with pytest.raises(DefinitionInvalid, match="found nothing"):
        await book.decide("ways", "  ")


async def test_a_decision_that_is_too_long_is_refused(store: EventStore) -> None:
    book = a_book(store)
    await started(book)
    await book.stop("ways")
    with pytest.raises(DefinitionInvalid, match="field 'decision'"):
        await book.decide("ways", "x" * 4001)
    assert await states(store) == {"ways": State.STOPPED}


async def test_a_metric_that_nobody_sends_is_refused(store: EventStore) -> None:
    book = a_book(store)
    now_ms = time.time_ns() // 1_000_000
    outside: dict[str, Any] = {"experiment": "", "arm": "", "revision": 0}
    await store.record(an_exposure(time_ms=now_ms, **outside))
    await store.add_outcome(an_outcome(metric="stars", key="stars", time_ms=now_ms))
    await book.define(an_experiment(state=State.DRAFT))
    with pytest.raises(MetricNotSent, match=r"'helpful'.*stars"):
        await book.start("ways")
    assert await states(store) == {"ways": State.DRAFT}
    await store.add_outcome(an_outcome(time_ms=now_ms))
    await book.start("ways")


async def test_a_metric_that_was_last_sent_long_ago_is_refused(store: EventStore) -> None:
    book = a_book(store)
    await store.record(an_exposure())
    await store.add_outcome(an_outcome())
    await book.define(an_experiment(state=State.DRAFT))
    with pytest.raises(MetricNotSent):
        await book.start("ways")


async def test_an_unsent_metric_may_be_allowed(store: EventStore) -> None:
    book = a_book(store)
    await book.define(an_experiment(state=State.DRAFT))
    assert (await book.start("ways", allow_unsent=True)).state is State.RUNNING


async def test_two_experiments_do_not_share_buckets_of_a_layer(store: EventStore) -> None:
    book = a_book(store)
    await started(book, "one", layer=Layer("prompts", 0, 499))
    await started(book, "two", layer=Layer("prompts", 500, 999))
    await book.define(a_draft("three", layer=Layer("prompts", 400, 600)))
    with pytest.raises(LayerOverlap, match=r"'one'.*'three'"):
        await book.start("three")
    assert [each.name for each in book.running] == ["one", "two"]


async def test_buckets_are_free_again_after_a_stop(store: EventStore) -> None:
    book = a_book(store)
    await started(book, "one", layer=Layer("prompts"))
    await book.stop("one")
    await started(book, "two", layer=Layer("prompts"))


async def test_of_starts_at_the_same_time_one_stays_at_most(open_store: OpenStore) -> None:
    books = [a_book(await open_store()) for _ in range(4)]
    for n, book in enumerate(books):
        await book.define(a_draft(f"e{n}", layer=Layer("prompts")))
    starts = [book.start(f"e{n}") for n, book in enumerate(books)]
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
    book = a_book(Crossing(store, rival))
    await book.define(a_draft("second", layer=Layer("prompts")))
    with pytest.raises(LayerOverlap, match=r"'first'.*'second'"):
        await book.start("second")
    assert await states(store) == {"first": State.RUNNING, "second": State.STOPPED}
    assert [each.name for each in book.running] == ["first"]


async def test_two_definitions_at_the_same_time_are_one(open_store: OpenStore) -> None:
    books = [a_book(await open_store()) for _ in range(3)]
    defined = (book.define(a_draft(alpha=0.01 * (n + 1))) for n, book in enumerate(books))
    came = await asyncio.gather(*defined, return_exceptions=True)
    assert sum(isinstance(each, Experiment) for each in came) == 1
    assert sum(isinstance(each, ExperimentTaken) for each in came) == 2


class Failing(EventStore):
    """A store that says what it is told to, one reading after the other."""

    def __init__(self, answers: Collection[tuple[Experiment, ...] | Exception]) -> None:
        self._answers = list(answers)
        self.has_ended = asyncio.Event()

    async def running(self) -> tuple[Experiment, ...]:
        if len(self._answers) == 1:
            self.has_ended.set()
        said = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    async def n_forgotten(self) -> int:
        return 0


async def watched(store: Failing) -> ExperimentBook:
    """The book after it has watched all that the store says."""
    book = a_book(store, refresh_s=0.001)
    watching = asyncio.create_task(book.watch())
    await store.has_ended.wait()
    await asyncio.sleep(0.02)
    assert not watching.done()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    return book


async def test_what_was_known_stays_while_the_store_is_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    silent = StoreUnavailable("a store", "no answer")
    one = an_experiment()
    with caplog.at_level(logging.WARNING):
        book = await watched(Failing([(one,), silent, silent, silent]))
    assert book.running == (one,)
    assert [record.message for record in caplog.records] == ["experiments_not_refreshed"]


async def test_the_log_says_once_that_the_store_is_back(caplog: pytest.LogCaptureFixture) -> None:
    silent = StoreUnavailable("a store", "no answer")
    one = an_experiment()
    with caplog.at_level(logging.WARNING):
        book = await watched(Failing([silent, silent, (one,), (one,), (one,)]))
    assert book.running == (one,)
    said = ["experiments_not_refreshed", "experiments_refreshed_again"]
    assert [record.message for record in caplog.records] == said


async def test_the_watch_goes_on_after_what_it_does_not_know() -> None:
    one = an_experiment()
    book = await watched(Failing([ValueError("a row that is no JSON"), (one,)]))
    assert book.running == (one,)


async def test_a_refresh_without_an_answer_is_an_error() -> None:
    with pytest.raises(ExperimentError):
        await a_book(Failing([StoreUnavailable("a store", "no answer")])).refresh()


async def test_what_units_were_deleted_elsewhere_is_told_once(open_store: OpenStore) -> None:
    here, there = await open_store(), await open_store()
    told: list[str] = []
    book = ExperimentBook(here, cultures=(), on_forgotten=lambda: told.append("forgotten"))
    await book.refresh()
    await there.forget_unit("u1")
    assert told == []
    await book.refresh()
    await book.refresh()
    assert told == ["forgotten"]
