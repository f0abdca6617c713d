"""What an experiment measures: metrics, which of them decides, and which must not get worse."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    """What the values of a metric are, and what is compared."""

    PROPORTION = "proportion"
    MEAN = "mean"
    RATING = "rating"
    QUANTILE = "quantile"


class Direction(StrEnum):
    """Which values are better."""

    HIGHER = "higher"
    LOWER = "lower"


# Recorded by Milieu itself with every answer; outcomes carry all other metrics.
RECORDED_METRICS = (
    "latency_ms",
    "n_prompt_tokens",
    "n_reply_tokens",
    "refused",
    "unreadable",
    "label_mass",
    "alignment",
    "fell_back",
    "failed",
)
# Of these a value is yes or no.
RECORDED_TRUTHS = ("refused", "unreadable", "fell_back", "failed")


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity.

    Attributes:
        direction: which values are better.
        quantile: in (0, 1), for a quantile only: which one is compared.
        lowest, highest: bounds of the values, None if there are none.
    """

    name: str
    kind: MetricKind
    direction: Direction
    quantile: float | None = None
    lowest: float | None = None
    highest: float | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether Milieu itself records it, and no outcome carries it."""
        return self.name in RECORDED_METRICS


@dataclass(frozen=True, slots=True)
class PrimaryMetric:
    """The metric that decides; `smallest_effect` > 0, in its units, is the least worth having."""

    metric: Metric
    smallest_effect: float


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that must not get worse by `margin` >= 0 or more, in its units."""

    metric: Metric
    margin: float
