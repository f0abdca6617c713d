"""Intervals: their arithmetic by hand, and how often they hold what they should."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, nan, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.bootstrap import (
    alignment_gain_interval,
    alignment_interval,
    gain_interval,
    mean_interval,
    mean_of,
    percentile_interval,
    question_weights,
    resample_alignment,
    resample_means,
)
from evaluation.figures import BootstrapInterval
from survey_data.arrays import Floats
from survey_data.similarity import alignment_score

N_POPULATION = 20_000
N_CULTURES = 4
N_SIMULATIONS = 4000
N_DRAWS = 500
# Another sample meets the same draws only after so many: draws shared by all would share their
# error too.
N_WEIGHTS = 40


def alignment_of(missed: Floats, widest: Floats) -> float:
    # Every question drawn once.
    draws, _ = resample_alignment(missed, widest, np.ones((1, missed.shape[1])))
    return float(draws[0])


def test_weights_are_counts_of_draws_with_replacement() -> None:
    weights = question_weights(7, n_draws=50)

    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.min() == 0.0
    assert np.array_equal(weights, question_weights(7, n_draws=50))
    assert not np.array_equal(weights, question_weights(7, n_draws=50, seed=1))


@pytest.mark.parametrize(("n_questions", "n_draws"), [(0, 1), (1, 0)])
def test_weights_of_nothing_are_refused(n_questions: int, n_draws: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        question_weights(n_questions, n_draws=n_draws)


def test_a_mean_is_over_cultures_of_means_over_questions() -> None:
    # Rows: (1 + 3)/2 = 2, 5, nobody. Their mean is 3.5, whereas that of all cells is 3.
    values = np.array([[1.0, 3.0], [nan, 5.0], [nan, nan]])
    assert mean_of(values) == pytest.approx(3.5)
    # Weights (2, 0): the first row is 1, the second has no question. (1, 1): as above.
    draws = resample_means(values, np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    assert draws.tolist() == pytest.approx([1.0, 3.5, 4.0])


def test_a_draw_without_any_cell_is_not_a_number() -> None:
    assert isnan(resample_means(np.array([[nan, 5.0]]), np.array([[2.0, 0.0]]))[0])
    assert isnan(mean_of(np.array([[nan]])))
    assert isnan(alignment_of(np.array([[nan]]), np.array([[9.0]])))


def test_alignment_is_that_of_each_culture_averaged() -> None:
    # First row: 1 - sqrt(1 + 4)/sqrt(9 + 81). Second: 1 - 3/9, its first answer unreadable.
    missed = np.array([[1.0, 4.0], [nan, 9.0]])
    widest = np.array([[9.0, 81.0], [9.0, 81.0]])
    expected = (1 - sqrt(5 / 90) + 1 - 3 / 9) / 2

    assert alignment_of(missed, widest) == pytest.approx(expected)
    # Weights (2, 0): 1 - sqrt(2)/sqrt(18) = 2/3 in the first row alone.
    draws, _ = resample_alignment(missed, widest, np.array([[2.0, 0.0], [1.0, 1.0]]))
    assert draws.tolist() == pytest.approx([2 / 3, expected])


def test_alignment_equals_the_alignment_score() -> None:
    rng = np.random.default_rng(5)
    n_options = rng.integers(2, 12, size=40)
    chosen, gold = (rng.integers(0, n_options) for _ in range(2))
    missed = np.asarray((chosen - gold) ** 2, dtype=np.float64)[None]
    widest = np.asarray((n_options - 1) ** 2, dtype=np.float64)[None]
    found = alignment_of(missed, widest)

    assert found == pytest.approx(
        alignment_score(chosen.tolist(), gold.tolist(), n_options.tolist())
    )


def test_an_interval_takes_percentiles_farther_out() -> None:
    draws = np.linspace(0.0, 1.0, 100_001)
    # t(0.975, 9) = 2.2622, times sqrt(10/9) = 2.3845; Phi(-2.3845) = 0.00855.
    assert percentile_interval(0.5, draws, n_questions=10) == pytest.approx(
        (0.5, 0.00855, 0.99145), abs=1e-5
    )
    # For many questions it is the plain percentile interval.
    assert percentile_interval(0.5, draws, n_questions=100_000) == pytest.approx(
        (0.5, 0.025, 0.975), abs=1e-4
    )


def test_draws_that_are_not_a_number_are_left_out() -> None:
    draws = np.array([nan, 1.0, nan, 1.0])
    assert percentile_interval(1.0, draws, n_questions=5) == BootstrapInterval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("value", "draws", "n_questions"), [(1.0, [1.0], 1), (1.0, [nan], 5), (nan, [1.0], 5)]
)
def test_where_no_interval_can_be_had(value: float, draws: list[float], n_questions: int) -> None:
    assert percentile_interval(value, np.array(draws), n_questions=n_questions) is None


def test_only_questions_with_an_answer_count() -> None:
    weights = question_weights(3, n_draws=200)
    assert mean_interval(np.array([[1.0, nan, nan]]), weights) is None
    assert mean_interval(np.array([[1.0, nan, nan], [nan, 2.0, nan]]), weights) is not None
    assert alignment_interval(np.array([[1.0, nan, nan]]), np.full((1, 3), 9.0), weights) is None


def test_a_gain_is_over_the_cells_that_both_have() -> None:
    # Differences: 0.1, 0.2 and 0.3 in common; 0.9 has no partner.
    values = np.array([[0.5, 0.6, 0.9, 0.8]])
    baseline = np.array([[0.4, 0.4, nan, 0.5]])
    found = gain_interval(values, baseline, question_weights(4))

    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert 0.1 - 1e-9 <= found.low < 0.2 < found.high <= 0.3 + 1e-9


def test_a_constant_gain_is_certain_however_different_the_questions() -> None:
    baseline = np.random.default_rng(0).random((3, 50))
    found = gain_interval(baseline + 0.1, baseline, question_weights(50, n_draws=200))

    assert found == pytest.approx((0.1, 0.1, 0.1))


def test_a_gain_in_alignment_is_of_scores_over_the_cells_that_both_have() -> None:
    # The second question counts for one of the two only, so it counts for neither.
    # Ours: 1 - sqrt(1 + 0)/sqrt(9 + 9) = 0.764298. Theirs: 1 - sqrt(4 + 9)/sqrt(18) = 0.150163.
    missed = np.array([[1.0, 81.0, 0.0]])
    baseline = np.array([[4.0, nan, 9.0]])
    widest = np.array([[9.0, 81.0, 9.0]])

    found = alignment_gain_interval(missed, baseline, widest, question_weights(3))

    assert found is not None
    assert found.value == pytest.approx(0.614135, abs=1e-6)


def test_a_gain_in_alignment_is_made_anew_in_every_draw() -> None:
    # Draws (2, 0), (1, 1) and (0, 2) of a question with 4 options, gain 1/3, and one with 10:
    # 1/3, (sqrt(4 + 81) - sqrt(1 + 0))/sqrt(90) = 0.866428, 1. The mean of cells knows no 0.866428.
    missed, baseline = np.array([[1.0, 0.0]]), np.array([[4.0, 81.0]])
    weights = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])

    found = alignment_gain_interval(missed, baseline, np.array([[9.0, 81.0]]), weights)

    # Of two questions the percentiles are the least and the greatest draw.
    assert found == pytest.approx((0.866428, 1 / 3, 1.0), abs=1e-3)


@pytest.mark.parametrize("n_questions", [10, 60])
def test_the_same_answers_gain_nothing_in_alignment_for_certain(n_questions: int) -> None:
    missed = np.random.default_rng(2).integers(0, 4, size=(2, n_questions)).astype(float) ** 2

    found = alignment_gain_interval(missed, missed, missed * 0 + 9.0, question_weights(n_questions))

    assert found == (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def similarities() -> Floats:
    """Skewed values, a question's alike in all cultures, one cell in ten without answer."""
    rng = np.random.default_rng(11)
    by_question = rng.beta(5.0, 1.5, size=N_POPULATION)
    by_cell = rng.beta(5.0, 1.5, size=(N_CULTURES, N_POPULATION))
    values = 0.6 * by_question + 0.4 * by_cell - 0.05 * np.arange(N_CULTURES)[:, None]
    return np.where(rng.random(values.shape) < 0.1, nan, values)


@pytest.fixture(scope="module")
def answers() -> tuple[Floats, Floats]:
    """`missed` and `widest` of questions with as many options as the survey's."""
    rng = np.random.default_rng(12)
    n_options = rng.choice(
        [2, 3, 4, 5, 10, 11], p=np.array([35, 43, 107, 23, 42, 9]) / 259, size=N_POPULATION
    )
    # A hard question is hard in all cultures.
    off_by_question = rng.beta(0.8, 3.0, size=N_POPULATION)
    off = 0.7 * off_by_question + 0.3 * rng.beta(0.8, 3.0, size=(N_CULTURES, N_POPULATION))
    missed = np.round(off * (n_options - 1)) ** 2
    missed = np.where(rng.random(missed.shape) < 0.05, nan, missed)
    return missed, np.broadcast_to((n_options - 1.0) ** 2, missed.shape)


Sampled = Callable[[NDArray[np.int64], Floats], BootstrapInterval | None]


def coverage(truth: float, sampled: Sampled, n_questions: int, *, n: int = N_SIMULATIONS) -> float:
    """Return how often the interval from a sample of questions holds the truth of all."""
    rng = np.random.default_rng(n_questions)
    all_weights = [
        question_weights(n_questions, n_draws=N_DRAWS, seed=seed) for seed in range(N_WEIGHTS)
    ]
    held = 0
    for i in range(n):
        columns = rng.integers(0, N_POPULATION, size=n_questions)
        found = sampled(columns, all_weights[i % N_WEIGHTS])
        assert found is not None
        held += found.low <= truth <= found.high
    return held / n


@pytest.mark.parametrize("n_questions", [50, 250])
def test_a_mean_is_covered(n_questions: int, similarities: Floats) -> None:
    found = coverage(
        mean_of(similarities),
        lambda columns, weights: mean_interval(similarities[:, columns], weights),
        n_questions,
    )
    assert 0.93 <= found <= 0.97


def test_a_mean_of_few_questions_is_covered_nearly(similarities: Floats) -> None:
    found = coverage(
        mean_of(similarities),
        lambda columns, weights: mean_interval(similarities[:, columns], weights),
        10,
    )
    assert 0.91 <= found <= 0.97


@pytest.mark.parametrize("n_cultures", [1, N_CULTURES])
def test_an_alignment_score_is_covered(n_cultures: int, answers: tuple[Floats, Floats]) -> None:
    missed, widest = (values[:n_cultures] for values in answers)
    found = coverage(
        alignment_of(missed, widest),
        lambda columns, weights: alignment_interval(
            missed[:, columns], widest[:, columns], weights
        ),
        250,
        n=1500,
    )
    assert 0.93 <= found <= 0.97


def test_an_alignment_score_of_few_questions_is_covered_nearly(
    answers: tuple[Floats, Floats],
) -> None:
    missed, widest = answers
    found = coverage(
        alignment_of(missed, widest),
        lambda columns, weights: alignment_interval(
            missed[:, columns], widest[:, columns], weights
        ),
        50,
        n=1500,
    )
    # Short of 0.95: of 50 questions some ten carry the score. See `alignment_interval`.
    assert 0.90 <= found <= 0.97


def test_an_alignment_score_without_a_miss_is_certain() -> None:
    missed = np.zeros((2, 5))

    assert alignment_interval(missed, missed + 9.0, question_weights(5)) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("n_questions", [50, 250])
def test_a_paired_gain_is_covered(n_questions: int, similarities: Floats) -> None:
    rng = np.random.default_rng(13)
    # A method that helps much on few questions and is else the same but for noise.
    gain = 0.3 * rng.beta(0.5, 4.0, size=N_POPULATION)
    noise = rng.normal(0.0, 0.02, size=similarities.shape)
    baseline = similarities - gain + noise
    baseline[rng.random(baseline.shape) < 0.05] = nan
    found = coverage(
        mean_of(similarities - baseline),
        lambda columns, weights: gain_interval(
            similarities[:, columns], baseline[:, columns], weights
        ),
        n_questions,
    )
    assert 0.93 <= found <= 0.97


@pytest.mark.parametrize("n_questions", [50, 250])
def test_a_paired_gain_in_alignment_is_covered(n_questions: int) -> None:
    rng = np.random.default_rng(14)
    n_options = rng.choice(
        [2, 3, 4, 5, 10, 11], p=np.array([35, 43, 107, 23, 42, 9]) / 259, size=N_POPULATION
    )
    shape = (N_CULTURES, N_POPULATION)
    people = 0.6 * rng.beta(0.6, 0.6, size=N_POPULATION) + 0.4 * rng.beta(0.6, 0.6, size=shape)
    # One answer for all cultures, and a method that goes a part of the way to each.
    plain = np.broadcast_to(rng.beta(2.0, 2.0, size=N_POPULATION), shape)
    better = np.clip(0.8 * plain + 0.2 * people + rng.normal(0.0, 0.06, size=shape), 0.0, 1.0)
    gold = np.round(people * (n_options - 1))
    missed, baseline = ((np.round(of * (n_options - 1)) - gold) ** 2 for of in (better, plain))
    missed[rng.random(shape) < 0.05] = nan
    widest = np.broadcast_to((n_options - 1.0) ** 2, shape)
    paired = np.where(np.isnan(missed), nan, baseline)
    found = coverage(
        alignment_of(missed, widest) - alignment_of(paired, widest),
        lambda columns, weights: alignment_gain_interval(
            missed[:, columns], baseline[:, columns], widest[:, columns], weights
        ),
        n_questions,
        n=1000,
    )
    assert 0.92 <= found <= 0.97


@pytest.mark.parametrize("n_questions", [2, 5, 10, 40])
def test_an_alignment_interval_stays_on_the_scale(n_questions: int) -> None:
    rng = np.random.default_rng(n_questions)
    n_options = rng.choice([2, 4, 10], size=n_questions)
    missed = rng.integers(0, n_options, size=(2, n_questions)).astype(float) ** 2
    widest = np.broadcast_to((n_options - 1.0) ** 2, missed.shape)

    found = alignment_interval(missed, widest, question_weights(n_questions))

    assert found is not None
    assert 0.0 <= found.low <= found.high <= 1.0
