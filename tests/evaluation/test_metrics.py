"""Metrics against values worked out by hand."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest

from evaluation.metrics import (
    diversity,
    order_flips,
    order_shift,
    rank_own,
    soft_accuracy,
)
from survey_data.library import SurveyLibrary
from survey_data.model import Scale


def test_one_option_is_no_scale() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        soft_accuracy(0, 0, n_options=1, scale=Scale.ORDINAL)


@pytest.mark.parametrize(
    ("chosen", "gold", "n_options", "scale", "expected"),
    [
        (1, 1, 4, Scale.ORDINAL, 1.0),
        (0, 1, 4, Scale.ORDINAL, 2 / 3),  # 1 - 1/3
        (0, 3, 4, Scale.ORDINAL, 0.0),
        (9, 0, 10, Scale.ORDINAL, 0.0),
        (0, 1, 2, Scale.BINARY, 0.0),
        (0, 1, 4, Scale.NOMINAL, 0.0),
        (2, 2, 4, Scale.NOMINAL, 1.0),
    ],
)
def test_soft_accuracy(
    chosen: int, gold: int, n_options: int, scale: Scale, expected: float
) -> None:
    assert soft_accuracy(chosen, gold, n_options=n_options, scale=scale) == pytest.approx(expected)


@pytest.mark.parametrize(("chosen", "gold"), [(-1, 0), (4, 0), (0, 4)])
def test_soft_accuracy_wants_options_of_the_question(chosen: int, gold: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 3"):
        soft_accuracy(chosen, gold, n_options=4, scale=Scale.ORDINAL)


def test_order_shift_is_the_mean_over_all_pairs_of_orders() -> None:
    # Pairs: 0.2, 0.5 and 0.3; their mean is 1/3.
    assert order_shift([[0.5, 0.5], [0.7, 0.3], [1.0, 0.0]]) == pytest.approx(1 / 3)
    assert order_shift([[0.5, 0.5], [0.5, 0.5]]) == 0.0
    assert isnan(order_shift([[0.5, 0.5]]))
    assert isnan(order_shift([]))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [([1, 1], 0.0), ([1, 0], 1.0), ([1, None, 1], 0.0), ([1, None, 0], 1.0), ([1, 1, 2], 1.0)],
)
def test_order_flips(chosen: list[int | None], expected: float) -> None:
    assert order_flips(chosen) == expected


@pytest.mark.parametrize("chosen", [[], [1], [1, None], [None, None]])
def test_a_flip_takes_two_readable_answers(chosen: list[int | None]) -> None:
    assert isnan(order_flips(chosen))


def test_ranks_are_places_in_the_own_row() -> None:
    # Row 0: 0.9 is best. Row 1: 0.5 behind 0.7. Row 2: 0.1 behind both.
    matrix = np.array([[0.9, 0.2, 0.3], [0.7, 0.5, 0.4], [0.3, 0.2, 0.1]])

    assert rank_own(matrix).tolist() == [1, 2, 3]


def test_a_tie_counts_against() -> None:
    assert rank_own(np.full((3, 3), 0.5)).tolist() == [3, 3, 3]
    assert rank_own(np.array([[0.5]])).tolist() == [1]


@pytest.mark.parametrize(
    "matrix", [np.zeros((2, 3)), np.zeros((0, 0)), np.zeros(3), np.array([[nan]])]
)
def test_ranks_of_what_is_no_matrix_of_similarities(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"matrix|number"):
        rank_own(matrix)


def test_diversity_is_the_mean_over_pairs_of_what_both_answered() -> None:
    # Pairs: (0 and 1): (1 + 0)/2 = 0.5. (0 and 2): 0.5, second not answered. (1 and 2): 0.5.
    positions = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, nan]])
    assert diversity(positions) == pytest.approx(0.5)
    # The pair (0, 1) has 0.2 on one question, (0, 2) and (1, 2) share none.
    assert diversity(np.array([[0.2, nan], [0.4, nan], [nan, 0.9]])) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "positions", [np.zeros((0, 2)), np.zeros((1, 2)), np.array([[0.5, nan], [nan, 0.5]])]
)
def test_diversity_takes_two_cultures_with_a_question_in_common(positions: np.ndarray) -> None:
    assert isnan(diversity(positions))


def test_the_diversity_of_people(released: SurveyLibrary) -> None:
    positions = np.full((18, 259), nan)
    for i, culture in enumerate(released.cultures):
        for j, question in enumerate(released.questions.values()):
            cell = released.distribution(question.key, culture)
            if cell is not None:
                positions[i, j] = cell.mode / (len(question.options) - 1)

    assert diversity(positions) == pytest.approx(0.222586, abs=1e-6)
