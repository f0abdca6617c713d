"""Estimates from like questions: by another route, and exactly without what is held out."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from estimation.related import (
    BOTH_PLACE,
    BOTH_WORDING,
    CULTURE_NOISE,
    PLACE,
    PLACE_SCALE,
    PRIOR,
    QUESTION_SCALE,
    WORDING,
    WORDING_SCALE,
    WORLD_NOISE,
    RelatedModel,
)
from estimation.shares import log_ratios, to_shares
from estimation.table import AnswerTable
from survey_data.arrays import Floats
from tests.estimation.tables import made_library, random_library, unit_rows

Point = tuple[Floats, Floats, float, int]


def kernel(one: Point, other: Point) -> float:
    (q1, o1, p1, n1), (q2, o2, p2, n2) = one, other
    question = np.exp((q1 @ q2 - 1.0) / QUESTION_SCALE)
    wording = np.exp((o1 @ o2 - 1.0) / WORDING_SCALE)
    place = np.exp(-((p1 - p2) ** 2) / PLACE_SCALE) * (n1 == n2)
    return float(
        wording * (WORDING + BOTH_WORDING * question) + place * (PLACE + BOTH_PLACE * question)
    )


def test_an_estimate_is_that_of_a_gaussian_process() -> None:
    table = AnswerTable(random_library(n_questions=4, n_cultures=3, n_options=4))
    vectors, wordings = unit_rows(4), unit_rows(4, seed=5)
    asked, options = unit_rows(1, seed=7)[0], unit_rows(4, seed=8)
    found = RelatedModel(table, vectors, wordings).estimate(asked, options, 1)

    points = [(vectors[q], wordings[i], i / 3.0, 4) for q in range(4) for i in range(4)]
    new = [(asked, options[i], i / 3.0, 4) for i in range(4)]
    between = np.array([[kernel(a, b) for b in points] for a in points])
    across = np.array([[kernel(a, b) for b in points] for a in new])
    world = np.concatenate([log_ratios(table.shares[q].mean(axis=0)) for q in range(4)])
    departures = np.concatenate([table.logits[q, 1] for q in range(4)]) - world
    noise = np.eye(16)
    logits = across @ np.linalg.solve(between + WORLD_NOISE * noise, world)
    logits += across @ np.linalg.solve(between + CULTURE_NOISE * noise, departures)
    told = np.einsum("ij,ji->i", across, np.linalg.solve(between + WORLD_NOISE * noise, across.T))
    assert found.shares == pytest.approx(to_shares(logits), abs=1e-6)
    assert found.variance == pytest.approx((PRIOR - told).mean(), abs=1e-3)


def test_what_is_held_out_is_estimated_as_if_it_had_never_been_asked() -> None:
    table = AnswerTable(random_library(n_questions=8, n_cultures=3, n_options=4))
    vectors, wordings = unit_rows(8), unit_rows(4, seed=5)
    unknown = frozenset({2, 6})
    [held] = RelatedModel(table, vectors, wordings).hold_out([(2, unknown)])
    without = RelatedModel(table, vectors, wordings, barred=unknown)

    for culture in range(3):
        expected = without.estimate(vectors[2], wordings, culture)
        assert held.shares[culture] == pytest.approx(expected.shares, abs=1e-6)
        assert held.variance == pytest.approx(expected.variance, abs=1e-3)


def test_no_matrix_of_all_pairs_is_kept() -> None:
    table = AnswerTable(random_library(n_questions=100, n_cultures=3, n_options=4))
    vectors, wordings = unit_rows(100), unit_rows(4, seed=5)
    tracemalloc.start()
    try:
        model = RelatedModel(table, vectors, wordings)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The axes, which tell the variance, are as many numbers of half the size.
    n_pairs = 4 * len(model.rows)
    assert n_pairs == 400
    assert kept < 8 * n_pairs**2


def test_what_is_barred_is_never_used() -> None:
    table = AnswerTable(random_library(n_questions=6, n_options=4))
    vectors, wordings = unit_rows(6), unit_rows(4, seed=5)
    before = RelatedModel(table, vectors, wordings, barred=frozenset({3}))
    expected = before.estimate(vectors[3], wordings, 0).shares
    table.shares[3], table.logits[3] = 0.0, 9.0
    after = RelatedModel(table, vectors, wordings, barred=frozenset({3}))

    np.testing.assert_array_equal(after.estimate(vectors[3], wordings, 0).shares, expected)


def test_few_options_of_a_question_far_from_all_get_equal_shares() -> None:
    table = AnswerTable(random_library(n_questions=3, n_options=2))
    vectors, wordings = np.eye(6)[:3], np.eye(6)[:2]
    far = RelatedModel(table, vectors, wordings).estimate(np.eye(6)[5], np.eye(6)[3:5], 0)

    assert far.shares == pytest.approx([0.5, 0.5])


def test_one_culture_and_one_question_are_enough() -> None:
    table = AnswerTable(made_library({"made": {"Q": {"DEU": (0.7, 0.2, 0.1, 0.0)}}}))
    vectors, wordings = unit_rows(1), unit_rows(4, seed=5)
    found = RelatedModel(table, vectors, wordings).estimate(vectors[0], wordings, 0)

    assert found.shares.argmax() == 0
    assert found.nearest[0] == 0


def test_a_culture_of_another_survey_takes_what_the_world_says() -> None:
    answers = {f"Q{i}": {"DEU": (0.8, 0.2), "KEN": (0.7, 0.3)} for i in range(4)}
    other = {"P": {"MEX": (0.1, 0.9)}}
    table = AnswerTable(made_library({"made": answers, "other": other}))
    vectors, wordings = unit_rows(5), unit_rows(len(table.wordings), seed=5)
    found = RelatedModel(table, vectors, wordings).estimate(
        vectors[0], wordings[table.wording_of[0, :2]], table.column("MEX")
    )

    assert found.shares.sum() == pytest.approx(1.0)
