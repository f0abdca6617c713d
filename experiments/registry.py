"""The experiments of a store: which ones run, and how they are changed.

The store is the truth: every change goes there first, and what is running is read from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from typing import NoReturn

from experiments import errors
from experiments.definition import Experiment, State, change_state, check_together, revise
from experiments.definition_file import dump_experiment, parse_experiment
from experiments.events import FITTING, describe_fitting
from experiments.metrics import RECORDED_METRICS
from experiments.stores.event_store import EventStore

logger = logging.getLogger(__name__)

SENT_WITHIN_S = 30 * 86_400.0
N_SHOWN = 10
# How long to wait for another gateway to take back a start that crossed this one.
CROSSED_S = (0.1, 0.2, 0.4, 0.8)


class ExperimentRegistry:
    """Defines, changes, starts and ends experiments, and knows those that are running.

    Every change raises `StoreUnavailable` if the store does not answer, `ExperimentUnknown` if it
    has no experiment of the name, and `RevisionConflict` if somebody else changed that meanwhile.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        cultures: Collection[str],
        models: Collection[str] | None = None,
        refresh_s: float = 1.0,
        on_forgotten: Callable[[], None] | None = None,
    ) -> None:
        """Take the store; nothing is read before `refresh` or `watch`, which waits `refresh_s`.

        Definitions may name the covered `cultures`, by their alpha-3 codes, and the base `models`;
        None for any. `on_forgotten` is called once a reading shows that units were deleted.
        """
        self._store, self._cultures, self._models = store, cultures, models
        self._refresh_s, self._on_forgotten = refresh_s, on_forgotten
        self._n_forgotten: int | None = None
        self._running: tuple[Experiment, ...] = ()
        # Else an older reading that took longer could replace a newer one.
        self._reading = asyncio.Lock()

    @property
    def running(self) -> tuple[Experiment, ...]:
        """The running experiments as last read, earliest start first."""
        return self._running

    def find_running(self, name: str) -> Experiment:
        """Return the running experiment of that name, as last read.

        Raises:
            ExperimentUnknown: no experiment of that name is running.
        """
        by_name = {experiment.name: experiment for experiment in self._running}
        if name not in by_name:
            raise errors.ExperimentUnknown(name, list(by_name))
        return by_name[name]

    async def refresh(self) -> None:
        """Read now which experiments are running.

        Raises:
            StoreUnavailable: the store does not answer; what was known stays.
        """
        async with self._reading:
            self._running, n_forgotten = await self._store.follow()
            if self._n_forgotten not in (None, n_forgotten) and self._on_forgotten is not None:
                self._on_forgotten()
            self._n_forgotten = n_forgotten

    async def watch(self) -> None:
        """Refresh every `refresh_s`, until cancelled; without an answer what was known stays."""
        is_behind = False
        while True:
            try:
                await self.refresh()
            # Whatever the error is: never serve stale experiments silently.
            except Exception as exc:
                if not is_behind:
                    fields = {"reason": f"{type(exc).__name__}: {exc}"}
                    logger.warning("experiments_not_refreshed", extra={"fields": fields})
                is_behind = True
            else:
                if is_behind:
                    logger.warning("experiments_refreshed_again")
                is_behind = False
            await asyncio.sleep(self._refresh_s)

    async def define(self, experiment: Experiment) -> Experiment:
        """Save an experiment as a draft and return it; defining the same one twice saves it once.

        Raises:
            DefinitionInvalid: it names a culture or a model that is not available.
            ExperimentTaken: there is another one of that name, or this one went on since.
        """
        draft = replace(experiment, state=State.DRAFT, revision=1, decision="")
        self._check_names(draft)
        try:
            return await self._save(draft)
        except errors.RevisionConflict as exc:
            raise errors.ExperimentTaken(draft.name) from exc

    async def revise(self, wanted: Experiment, *, base: int | None = None) -> Experiment:
        """Save `wanted` as the next revision of the experiment of its name, and return that.

        State and decision stay. Without any change, the latest revision is returned. `base` is the
        revision that `wanted` was made from; None for whichever is the latest.

        Raises:
            DefinitionInvalid: it names a culture or a model that is not available.
            ChangeRefused: the state does not allow one of the changes.
            RevisionConflict: somebody else changed it since `base`.
        """
        latest = await self._store.read_latest(wanted.name)
        if base is not None and base != latest.revision:
            raise errors.RevisionConflict(wanted.name, found=base + 1, expected=latest.revision + 1)
        own = {name: getattr(latest, name) for name in ("state", "decision", "revision")}
        kept = replace(wanted, **own)
        if kept == latest:
            return latest
        new = revise(latest, kept)
        self._check_names(new)
        return await self._save(new)

    async def start(self, name: str, *, allow_unsent: bool = False) -> Experiment:
        """Let an experiment run, and return its revision.

        A metric that no outcome carried in the last 30 days is refused unless `allow_unsent`: a
        typo in its name would otherwise show only after weeks. Outcomes of answers outside of
        experiments count, so what sends them can be built first.

        Raises:
            TransitionRefused: it is no draft.
            HoldOutDiffers: a running one of the same salt holds out another share.
            LayerOverlap: a running one has some of the buckets. If both started at the same
                time, this one is stopped again.
            MetricNotSent: nobody sends one of its metrics.
            MetricMisfit: one is sent in a form that cannot count.
        """
        started = change_state(await self._store.read_latest(name), State.RUNNING)
        running = await self._store.running()
        for other in running:
            check_together(other, started)
        if not allow_unsent:
            await self._check_metrics_sent(started)
        started = await self._save(started)
        await self._yield_to_rival(started)
        return started

    async def stop(self, name: str) -> Experiment:
        """End a running experiment, and return its revision.

        Raises:
            TransitionRefused: it is not running.
        """
        return await self._save(change_state(await self._store.read_latest(name), State.STOPPED))

    async def decide(self, name: str, decision: str) -> Experiment:
        """Record what was decided on a stopped experiment, and return its revision.

        Raises:
            DefinitionInvalid: the decision has no words, or more than 4,000 characters.
            TransitionRefused: it is not stopped.
        """
        if not decision.strip():
            _refuse(name, "decision", "nothing", "what came of it")
        latest = await self._store.read_latest(name)
        return await self._save(change_state(latest, State.DECIDED, decision=decision.strip()))

    async def _save(self, experiment: Experiment) -> Experiment:
        # What does not fit the format would be refused whenever the store is read.
        kept = parse_experiment(dump_experiment(experiment), f"experiment '{experiment.name}'")
        await self._store.save(kept)
        # The change is kept, and an error would say that it is not; `watch` reads it soon.
        with suppress(errors.StoreUnavailable):
            await self.refresh()
        return kept

    async def _check_metrics_sent(self, experiment: Experiment) -> None:
        since_ms = round((time.time() - SENT_WITHIN_S) * 1000)
        sent = await self._store.count_sent(since_ms=since_ms) if experiment.sent_metrics else {}
        for metric in experiment.sent_metrics:
            if not sent.get(metric.name):
                near = get_close_matches(metric.name, [*sent, *RECORDED_METRICS], n=1)
                raise errors.MetricNotSent(
                    experiment.name, metric.name, sorted(sent), near="".join(near)
                )
            kinds = await self._store.find_kinds_sent(metric.name, since_ms=since_ms)
            if not set(kinds) & set(FITTING[metric.kind]):
                raise errors.MetricMisfit(
                    experiment.name, metric.name, kinds, expected=describe_fitting(metric)
                )

    async def _yield_to_rival(self, started: Experiment) -> None:
        """Stop `started` again if another gateway started one in its buckets at the same time.

        Both have checked before either was saved. Whoever saved last sees the other here, so two
        never stay. The earlier one by the clock waits for the other to be taken back; it stops too
        if that does not happen, because clocks of gateways may differ, and the other one may
        have looked before there was anything to see.
        """
        for wait_s in (*CROSSED_S, None):
            running = await self._store.running()
            rival = _find_rival(running, started)
            if rival is None:
                return
            names = [experiment.name for experiment in running]
            came_first = names.index(rival.name) < names.index(started.name)
            if came_first or wait_s is None:
                await self.stop(started.name)
                check_together(rival, started)
            else:
                await asyncio.sleep(wait_s)

    def _check_names(self, experiment: Experiment) -> None:
        strange = [code for code in experiment.cultures if code not in self._cultures]
        if strange:
            expected = f"covered cultures: {_shorten(sorted(self._cultures))}"
            _refuse(experiment.name, "cultures", _shorten(strange), expected)
        for arm in experiment.arms:
            if self._models is not None and arm.model and arm.model not in self._models:
                expected = f"no model, for that of the service, or one of: {_shorten(self._models)}"
                _refuse(experiment.name, f"arms.{arm.name}.model", f"'{arm.model}'", expected)


def _find_rival(running: Sequence[Experiment], started: Experiment) -> Experiment | None:
    """Return the first of `running` that wants units of `started`, if that is running itself."""
    others = [each for each in running if each.name != started.name]
    if len(others) == len(running):
        return None
    return next((each for each in others if each.layer.overlaps(started.layer)), None)


def _refuse(name: str, field: str, found: str, expected: str) -> NoReturn:
    raise errors.DefinitionInvalid(
        f"experiment '{name}'", field=field, found=found, expected=expected
    )


def _shorten(names: Iterable[str]) -> str:
    shown = list(names)
    more = ", …" if len(shown) > N_SHOWN else ""
    return (", ".join(shown[:N_SHOWN]) or "none") + more
