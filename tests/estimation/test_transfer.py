"""Estimates from others' answers: by another route, by hand, and never from what is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from estimation.donors import RIDGE_PENALTY, STACK_PENALTY, blend, fit_donors
from estimation.residuals import (
    KRIGING_NOISE,
    KRIGING_SCALE,
    MEAN_CENTRE,
    MEAN_SCALE,
    MEAN_SHRINKAGE,
    correct,
    krige,
)
from estimation.shares import FLOOR
from estimation.table import AnswerTable
from estimation.transfer import TransferModel
from tests.estimation.tables import CODES, made_library, random_library, unit_rows


def test_stacking_weights_minimise_what_they_should() -> None:
    table = AnswerTable(random_library(n_cultures=4))
    rows, donors = list(range(8)), [1, 2, 3]
    found = fit_donors(table, 0, donors, rows).stacked

    def loss(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        off = table.shares[rows, 0] - np.einsum("d,tdo->to", weights, table.shares[rows][:, donors])
        pull = STACK_PENALTY**2 * ((weights - 1.0 / len(donors)) ** 2).sum()
        return float((off**2).sum() + pull)

    bounds = [(0.0, None)] * len(donors)
    expected = minimize(loss, np.full(3, 1 / 3), bounds=bounds, options={"ftol": 1e-14}).x
    assert found == pytest.approx(expected, abs=1e-4)


def test_tilts_are_the_ridge_regression_of_departures() -> None:
    table = AnswerTable(random_library(n_cultures=4))
    rows, donors = list(range(8)), [1, 2, 3]
    centre = table.logits[rows][:, donors].mean(axis=1)
    x = np.concatenate([table.logits[r][donors].T - centre[i][:, None] for i, r in enumerate(rows)])
    y = np.concatenate([table.logits[r, 0] - centre[i] for i, r in enumerate(rows)])
    x = np.vstack([x, np.sqrt(RIDGE_PENALTY) * np.eye(3)])
    expected = np.linalg.lstsq(x, np.concatenate([y, np.zeros(3)]), rcond=None)[0]

    assert fit_donors(table, 0, donors, rows).tilts == pytest.approx(expected)


def test_without_common_questions_all_donors_count_the_same() -> None:
    library = made_library(
        {
            "made": {"Q0": {"DEU": (0.2, 0.8), "KEN": (0.6, 0.4)}},
            "other": {"P": {"MEX": (0.5, 0.5)}},
        }
    )
    table = AnswerTable(library)
    mexico = table.column("MEX")
    found = TransferModel(table, unit_rows(2)).estimate(table.row("made:Q0"), mexico)

    # The mean of the shares and that of their log-ratios, worked out by hand.
    odds = np.log((0.4 + FLOOR) / (0.6 + FLOOR))
    mean = (np.log((0.2 + FLOOR) / (0.8 + FLOOR)) + np.log((0.6 + FLOOR) / (0.4 + FLOOR))) / 2.0
    expected = 1.0 / (1.0 + np.exp(-(odds + mean) / 2.0))
    assert found is not None
    assert found.shares[0] == pytest.approx(expected)
    assert dict(found.donors) == {table.column("DEU"): 0.5, table.column("KEN"): 0.5}


def test_weights_of_those_who_were_asked_sum_to_one() -> None:
    table = AnswerTable(random_library(n_cultures=5))
    table.asked[9, 2] = False
    donors = fit_donors(table, 0, [1, 2, 3, 4], list(range(8)))
    blended = blend(table, donors, [9, 10])

    assert blended.weights.sum(axis=1) == pytest.approx(1.0)
    assert blended.weights[0, 1] == 0.0


def test_departures_are_kriged_and_averaged() -> None:
    vectors, values = unit_rows(5), np.random.default_rng(2).normal(size=(3, 2))
    rows, cosines = np.array([0, 2, 3]), unit_rows(5) @ unit_rows(1, seed=9)[0]
    found = correct(krige(rows, values, vectors), cosines).logits

    kernel = np.exp((vectors[rows] @ vectors[rows].T - 1.0) / KRIGING_SCALE)
    near = np.exp((cosines[rows] - 1.0) / KRIGING_SCALE)
    kriged = near @ np.linalg.inv(kernel + KRIGING_NOISE * np.eye(3)) @ values
    weights = np.exp((cosines[rows] - MEAN_CENTRE) / MEAN_SCALE)
    mean = weights @ values / (weights.sum() + MEAN_SHRINKAGE)
    assert found == pytest.approx((kriged + mean) / 2.0)


def test_what_is_barred_is_never_used() -> None:
    library = random_library(n_questions=10)
    table, vectors = AnswerTable(library), unit_rows(10)
    barred = frozenset({3, 4})
    before = TransferModel(table, vectors).estimate(3, 0, barred=barred)
    poison = (0.98, 0.01, 0.01)
    for row in barred:
        table.shares[row, 0] = poison
        table.logits[row, 0] = np.log(poison)
    after = TransferModel(table, vectors).estimate(3, 0, barred=barred)
    unbarred = TransferModel(table, vectors).estimate(3, 0)

    assert before is not None
    assert after is not None
    assert unbarred is not None
    np.testing.assert_array_equal(before.shares, after.shares)
    assert not np.allclose(unbarred.shares, after.shares)


def test_its_own_answer_to_the_question_is_never_used() -> None:
    table, vectors = AnswerTable(random_library()), unit_rows(12)
    before = TransferModel(table, vectors).estimate(3, 0)
    table.shares[3, 0] = (0.98, 0.01, 0.01)
    table.logits[3, 0] = np.log(table.shares[3, 0])
    after = TransferModel(table, vectors).estimate(3, 0)

    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.shares, after.shares)


def test_a_culture_alone_has_nobody_to_be_told_by() -> None:
    table = AnswerTable(random_library(n_cultures=1))
    assert TransferModel(table, unit_rows(12)).estimate(0, 0) is None


@pytest.mark.parametrize("n_questions", [1, 2, 12])
def test_equal_shares_are_estimated_as_such(n_questions: int) -> None:
    equal = dict.fromkeys(CODES[:3], (0.25, 0.25, 0.25, 0.25))
    table = AnswerTable(made_library({"made": {f"Q{i}": equal for i in range(n_questions)}}))
    found = TransferModel(table, unit_rows(n_questions)).estimate(0, 0)

    assert found is not None
    assert found.shares == pytest.approx(0.25)


def test_a_culture_that_answers_like_another_is_told_by_it() -> None:
    library = random_library(n_questions=30, n_cultures=4)
    table, vectors = AnswerTable(library), unit_rows(30)
    table.shares[:, 0] = table.shares[:, 2]
    table.logits[:, 0] = table.logits[:, 2]
    found = TransferModel(table, vectors).estimate(5, 0)

    assert found is not None
    assert found.donors[0][0] == 2
    assert np.abs(found.shares - table.shares[5, 2]).max() < 0.1
