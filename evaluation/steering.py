"""Whether answers given as a culture are nearest to that culture: everybody against everybody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.figures import SteeringFigures
from evaluation.metrics import own_best_share, ranks
from survey_data.arrays import Floats


def measure_steering(
    cultures: Sequence[str], shares: Floats, people: Floats
) -> SteeringFigures | None:
    """Return how near each culture's answers are to every culture's people.

    None with fewer than two cultures, and where two have no answered question in common.

    Args:
        cultures: one code per row of the other two.
        shares: float64[c, q, n], answers given as each culture, 0 beyond a question's last option,
            NaN where there are none.
        people: float64[c, q, n], what each culture's people answered, in the same form.
    """
    matrix = similarity_matrix(shares, people)
    if len(cultures) < 2 or np.isnan(matrix).any():
        return None
    places = ranks(matrix)
    return SteeringFigures(
        cultures=tuple(cultures),
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        ranks={code: int(place) for code, place in zip(cultures, places, strict=True)},
        own_best_share=own_best_share(matrix),
    )


def similarity_matrix(shares: Floats, people: Floats) -> Floats:
    """Return float64[c, d]: mean distribution similarity of answers i and people j.

    The mean is over the questions that both have answers to, NaN where there are none. Arguments
    as for `measure_steering`, of c and d rows.
    """
    return np.array([[_similarity(own, others) for others in people] for own in shares])


def _similarity(own: Floats, others: Floats) -> float:
    both = ~(np.isnan(own[:, 0]) | np.isnan(others[:, 0]))
    if not both.any():
        return float("nan")
    one, other = own[both], others[both]
    middle = (one + other) / 2
    divergence = (_relative_entropy(one, middle) + _relative_entropy(other, middle)) / 2
    return float(np.mean(1.0 - np.sqrt(np.clip(divergence, 0.0, 1.0))))


def _relative_entropy(one: Floats, middle: Floats) -> Floats:
    """Return float64[q], in bits; an option without a share adds nothing."""
    ratio = np.divide(one, middle, out=np.ones_like(one), where=(one > 0.0) & (middle > 0.0))
    return np.asarray((one * np.log2(ratio)).sum(axis=1))
