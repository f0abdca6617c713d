"""Whether answers given as a culture are nearest to that culture: all against all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evaluation.figures import SteeringFigures
from evaluation.metrics import rank_own
from survey_data.arrays import Floats
from survey_data.distances import similarity_of_rows


def measure_steering(
    cultures: Sequence[str], shares: Floats, people: Floats
) -> SteeringFigures | None:
    """Return how near each culture's answers are to every culture's people.

    None with fewer than two cultures, or if two of them have no answered question in common.

    Args:
        cultures: one code per row of the other two.
        shares: float64[c, q, n], answers given as each culture, 0 beyond a question's last option,
            NaN where there is no answer.
        people: float64[c, q, n], what each culture's people answered, in the same form.
    """
    matrix = similarity_matrix(shares, people)
    if len(cultures) < 2 or np.isnan(matrix).any():
        return None
    places = rank_own(matrix)
    return SteeringFigures(
        cultures=tuple(cultures),
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        ranks={code: int(place) for code, place in zip(cultures, places, strict=True)},
        own_best_share=float(np.mean(places == 1)),
    )


def similarity_matrix(shares: Floats, people: Floats) -> Floats:
    """Return float64[c, d]: mean distribution similarity of answers i and people j.

    The mean is over the questions that both answered, NaN if there are none. Arguments as for
    `measure_steering`, of c and d rows.
    """
    return np.array([[_mean_similarity(own, others) for others in people] for own in shares])


def _mean_similarity(own: Floats, others: Floats) -> float:
    both = ~(np.isnan(own[:, 0]) | np.isnan(others[:, 0]))
    return float(similarity_of_rows(own[both], others[both]).mean()) if both.any() else math.nan
