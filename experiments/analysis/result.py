"""What an analysis found, as it is kept and sent.

Numbers that cannot be given are None. All that ends in `_ms` but latencies is a moment, in
milliseconds since 1970 (UTC).
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from estimation.source import Source
from experiments.definition import State
from experiments.metrics import Direction, Metric, MetricKind
from experiments.statistics.decision import GuardrailState, Verdict
from experiments.statistics.means import EffectInterval
from experiments.statistics.units import UnitValue

SCHEMA_VERSION: Final = 1


def _drop_infinite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# A number; None if it is not finite.
FiniteOrNone = Annotated[float | None, BeforeValidator(_drop_infinite)]


class Result(BaseModel):
    """A value of a result: frozen, and of known fields only."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Result):
    """An estimate and its interval; an end is None if it is infinite."""

    estimate: FiniteOrNone
    low: FiniteOrNone
    high: FiniteOrNone

    @classmethod
    def of(cls, interval: EffectInterval) -> Span:
        """Return `interval` with None for what is not finite."""
        return cls(**interval._asdict())


class Look(Span):
    """How an effect stood at a moment of the past, by `n` differences; see `Effect.n_compared`."""

    at_ms: int
    n: int


class Measured(Result):
    """A metric, as the definition has it; `worth` is its smallest effect of interest or margin."""

    name: str
    kind: MetricKind
    direction: Direction
    quantile: float | None
    worth: float

    @classmethod
    def of(cls, metric: Metric, worth: float) -> Measured:
        """Return the metric of a definition."""
        own = {name: getattr(metric, name) for name in ("name", "kind", "direction", "quantile")}
        return cls(**own, worth=worth)


class Effect(Result):
    """A metric's difference, an arm less control.

    Attributes:
        alpha: the error rate of the interval, over all looks together.
        p_value: always valid, of "there is no difference".
        treatment, control: the metric in each arm, over all settled units.
        n_treatment, n_control: settled units.
        n_compared: differences that the estimate is the mean of; for a quantile, units of the
            smaller arm.
        history: looks from the first to the last, 200 at most.
    """

    metric: Measured
    alpha: float
    span: Span
    p_value: float
    treatment: float | None
    control: float | None
    n_treatment: int
    n_control: int
    n_compared: int
    history: tuple[Look, ...]


class GuardrailEffect(Effect):
    """A guardrail's difference and what it means."""

    state: GuardrailState


class CultureEffect(Result):
    """The primary metric's difference in one culture.

    Attributes:
        raw: from its own units alone; intervals of all cultures hold at once, at every look.
        pooled: shrunk towards the mean of all cultures; description only, at this look only.
        found: whether there is a difference, by `raw`.
    """

    culture: str
    name: str
    n_treatment: int
    n_control: int
    raw: Span
    pooled: Span
    found: bool


class Cultures(Result):
    """Effects per culture.

    Attributes:
        alpha: the probability that ever any culture without a difference is found, at most.
        n_possible: cultures that the error rate is split over, whether they came or not.
        mean, spread: of the pooled effects, None if there is nothing to pool.
    """

    alpha: float
    n_possible: int
    mean: FiniteOrNone
    spread: FiniteOrNone
    effects: tuple[CultureEffect, ...]


class Comparison(Result):
    """One arm against control; `said` is a sentence on it."""

    arm: str
    said: str
    effect: Effect
    guardrails: tuple[GuardrailEffect, ...]
    cultures: Cultures


class Coverage(Result):
    """Units of an arm by a metric: `n_open` may still get a value, `n_silent` will not."""

    metric: str
    n_settled: int
    n_open: int
    n_silent: int


class OfflineAlignment(Result):
    """How near an arm comes to people's answers offline, with where that was measured."""

    estimate: float
    low: float
    high: float
    source: str


class SourceCount(Result):
    """Answers of an arm by one source: those that stand on it, and those that it was best for."""

    source: Source
    n_answers: int
    n_best: int


class ArmFigures(Result):
    """What an arm is and what came of it. By intention to treat: units count where they belong.

    Attributes:
        n_requests: those of its units that are single requests.
        n_crossed: answers that another arm gave, because the store was silent.
        n_answers: requests of its units, those that failed among them.
        shares: metric → share of its answers (`steered`, `fell_back`, `refused`, `unreadable`), and
            `failed` → share of all of `n_answers`.
        means: metric → mean over its answers.
        latency_ms: quantile in percent → latency of its answers.
        sources: what its answers stand on, the surest first; none for answers that were recorded
            before that was.
        n_model_asked: answers that the model had a part in, of those that `sources` counts.
    """

    name: str
    about: str
    weight: float
    is_control: bool
    n_units: int
    n_requests: int
    n_answers: int
    n_crossed: int
    coverage: tuple[Coverage, ...]
    shares: dict[str, float | None]
    means: dict[str, float | None]
    latency_ms: dict[str, float | None]
    offline: OfflineAlignment | None = None
    sources: tuple[SourceCount, ...] = ()
    n_model_asked: int = 0


class RatioLook(Result):
    """Log evidence, at a moment, against a split of units according to the weights."""

    at_ms: int
    n_units: int
    log_e: float


class RatioStratum(Result):
    """Units that were assigned while weights were the same; counts in the order of the arms."""

    first_revision: int
    weights: tuple[float, ...]
    n_units: tuple[int, ...]


class SampleRatio(Result):
    """Whether the arms get their shares of the units; `alarm` stays once it has been raised."""

    alarm: bool
    alpha: float
    p_value: float
    strata: tuple[RatioStratum, ...]
    history: tuple[RatioLook, ...]


class RevisionFigures(Result):
    """A revision, when it came and how many units it assigned."""

    revision: int
    at_ms: int
    state: State
    weights: tuple[float, ...]
    traffic_share: float
    max_duration_s: float
    n_units: int


class LeftOut(Result):
    """What the comparisons do not use.

    Attributes:
        n_overridden: answers whose arm a tester chose.
        n_request_outcomes: of single requests as units, which say nothing about a user.
        n_late: values of the primary metric after the unit's window.
        n_clipped: values outside the range that the definition gives, set to its end.
        n_without_culture: units without a culture, left out of the effects per culture.
        n_other_arm: units of arms that the experiment does not have.
    """

    n_overridden: int
    n_request_outcomes: int
    n_late: int
    n_clipped: int
    n_without_culture: int
    n_other_arm: int


class Conclusion(Result):
    """What to do, and why; `arm` is the one to ship."""

    verdict: Verdict
    arm: str | None
    reason: str


class Progress(Result):
    """How far along the experiment is.

    Attributes:
        started_ms, ended_ms: when it ran first and when it was stopped, None for not yet.
        elapsed_s: how long it ran.
        planned_units: units of two arms that the plan asks for, None without one.
        units_per_day: so far, None before the first.
    """

    started_ms: int | None
    ended_ms: int | None
    elapsed_s: float
    max_duration_s: float
    n_units: int
    n_answers: int
    planned_units: int | None
    units_per_day: float | None


class Analysis(Result):
    """All that an experiment's events say at one moment.

    `recorded_decision` is what people decided, in their words; empty before. `n_by_model` counts
    answers by the base model that the service had for them, most first.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    experiment: str
    hypothesis: str
    state: State
    revision: int
    at_ms: int
    control: str
    primary: Measured
    alpha: float
    unit_value: UnitValue
    outcome_window_s: float
    recorded_decision: str
    decision: Conclusion
    progress: Progress
    comparisons: tuple[Comparison, ...]
    arms: tuple[ArmFigures, ...]
    sample_ratio: SampleRatio
    revisions: tuple[RevisionFigures, ...]
    left_out: LeftOut
    n_by_model: dict[str, int] = {}
