"""The primary metric's effect in each culture, alone and partially pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis.differences import Difference, Pair, compare_means, compare_quantiles
from experiments.analysis.result import CultureEffect, Cultures, Span, finite_or_none
from experiments.metrics import Metric
from experiments.statistics.cultures import pool_partially
from experiments.statistics.differences import BlockShape
from experiments.statistics.means import Interval, ValueModel
from survey_data.arrays import Strings

N_CODES = 249
"""Alpha-3 codes of ISO 3166-1, all that can come where nobody says which."""


def estimate_culture_effects(
    pair: Pair,
    cultures: Strings,
    metric: Metric,
    known_values: ValueModel,
    *,
    alpha: float,
    shape: BlockShape,
    possible: Sequence[str],
    names: Mapping[str, str],
) -> Cultures:
    """Return the effects of all cultures that have units.

    Args:
        pair: settled units of the arm and of control.
        cultures: str[n], of the units; those without one are left out.
        metric: the primary one.
        known_values: what is known about block differences beforehand.
        alpha: of this arm, over all its cultures.
        shape: units per block.
        possible: cultures that may come, empty for all there are.
        names: of cultures, by code.
    """
    present = sorted(set(cultures.tolist()) - {""})
    n_possible = _count_possible(possible, present)
    pairs = [pair.at(cultures == culture) for culture in present]
    found = [_compare(own, metric, known_values, alpha / n_possible, shape) for own in pairs]
    pooled = pool_partially([each.now.estimate for each in found], [each.error for each in found])
    spans = np.column_stack([pooled.estimate, pooled.low, pooled.high]).tolist()
    return Cultures(
        alpha=alpha,
        n_possible=n_possible,
        mean=finite_or_none(pooled.mean),
        spread=finite_or_none(pooled.spread) if found else None,
        effects=tuple(
            _describe_effect(culture, names.get(culture, culture), own, each, Interval(*span))
            for culture, own, each, span in zip(present, pairs, found, spans, strict=True)
        ),
    )


def _count_possible(possible: Sequence[str], present: Sequence[str]) -> int:
    """Return over how many cultures the error rate is split; it must not grow with the looks."""
    return len({*possible, *present}) if possible else N_CODES


def _compare(
    own: Pair, metric: Metric, known_values: ValueModel, alpha: float, shape: BlockShape
) -> Difference:
    """Return the difference at the last look."""
    if metric.quantile is not None:
        return compare_quantiles(own, metric.quantile, alpha=alpha, n_looks=1)
    return compare_means(own, known_values, alpha=alpha, shape=shape, n_looks=1)


def _describe_effect(
    culture: str, name: str, own: Pair, found: Difference, pooled: Interval
) -> CultureEffect:
    return CultureEffect(
        culture=culture,
        name=name,
        n_treatment=int(own.treated.sum()),
        n_control=int((~own.treated).sum()),
        raw=Span.of(found.now),
        pooled=Span.of(pooled),
        found=found.now.low > 0.0 or found.now.high < 0.0,
    )
