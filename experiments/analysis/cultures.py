"""The primary metric's effect in each culture, alone and partially pooled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from experiments.analysis.differences import Difference, Pair
from experiments.analysis.result import CultureEffect, Cultures, Span
from experiments.statistics.cultures import pool_partially
from experiments.statistics.means import EffectInterval
from survey_data.arrays import Strings

N_CODES = 249
"""Alpha-3 codes of ISO 3166-1, all that can come if nobody says which."""


def estimate_culture_effects(
    pair: Pair,
    cultures: Strings,
    compare: Callable[[Pair, float], Difference],
    *,
    alpha: float,
    possible: Sequence[str],
    names: Mapping[str, str],
) -> Cultures:
    """Return the effects of all cultures that have units.

    `cultures` are those of the units, str[n]; units without one are left out. `compare` returns the
    difference in a culture's units, at its part of `alpha`: that is split over the `possible`
    cultures, empty for all there are, since it must not grow with the looks.
    """
    present = sorted(set(cultures.tolist()) - {""})
    n_possible = len({*possible, *present}) if possible else N_CODES
    pairs = [pair.at(cultures == culture) for culture in present]
    found = [compare(own, alpha / n_possible) for own in pairs]
    pooled = pool_partially([each.now.estimate for each in found], [each.error for each in found])
    spans = np.column_stack([pooled.estimate, pooled.low, pooled.high]).tolist()
    return Cultures(
        alpha=alpha,
        n_possible=n_possible,
        mean=pooled.mean,
        spread=pooled.spread if found else None,
        effects=tuple(
            CultureEffect(
                culture=culture,
                name=names.get(culture, culture),
                n_treatment=int(own.treated.sum()),
                n_control=int((~own.treated).sum()),
                raw=Span.of(each.now),
                pooled=Span.of(EffectInterval(*span)),
                found=each.now.low > 0.0 or each.now.high < 0.0,
            )
            for culture, own, each, span in zip(present, pairs, found, spans, strict=True)
        ),
    )
