"""Calibration and pooling of a model's shares."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import log_softmax

from estimation.calibration import (
    MODEL_AS_IS,
    OFFSET_PENALTY,
    TABLE_ALONE,
    Calibration,
    Sample,
    cross_fit,
    fit_model,
    fit_pool,
)
from estimation.shares import log_ratios, to_shares
from survey_data.arrays import Floats
from survey_data.distances import distribution_similarity


def draw(
    n_questions: int, *, n_options: int = 4, n_cultures: int = 3, noise: float = 0.5
) -> list[Sample]:
    """Return samples of a model that is twice too sure and likes the first place, and a table."""
    random = np.random.default_rng(n_options)
    samples = []
    for question in range(n_questions):
        for _ in range(n_cultures):
            truth = random.normal(size=n_options)
            seen = 2.0 * truth + random.normal(scale=noise, size=n_options)
            seen[0] += 1.5
            table = to_shares(truth + random.normal(scale=0.7, size=n_options))
            samples.append(Sample(question, to_shares(truth), to_shares(seen), table))
    return samples


def measure(samples: list[Sample], shares: list[Floats]) -> float:
    pairs = zip(samples, shares, strict=True)
    return float(
        np.mean([distribution_similarity(f.tolist(), s.people.tolist()) for s, f in pairs])
    )


def test_it_finds_the_largest_likelihood_as_another_optimiser_does() -> None:
    samples = draw(12)

    found = fit_model(samples)

    def loss(parameters: Floats) -> float:
        total = OFFSET_PENALTY / 2.0 * float((parameters[1:] ** 2).sum())
        for sample in samples:
            logits = parameters[0] * log_ratios(sample.model) + parameters[1:]
            total -= float((sample.people * log_softmax(logits)).sum()) / 3.0
        return total

    expected = minimize(
        loss, np.zeros(5), method="Nelder-Mead", options={"maxiter": 9000, "xatol": 1e-7}
    ).x
    assert_allclose([found.model, *found.offsets[4]], expected, atol=2e-3)


def test_it_cools_what_is_too_sure_and_takes_back_a_liking_for_a_place() -> None:
    samples = draw(60)

    found = fit_model(samples)

    assert found.model == pytest.approx(0.5, abs=0.1)
    assert found.offsets[4][0] == min(found.offsets[4])
    raw = measure(samples, [sample.model for sample in samples])
    assert measure(samples, cross_fit(samples, fit_model)) > raw + 0.1


def test_a_model_that_is_right_is_left_as_it_is() -> None:
    right = [s._replace(model=s.people) for s in draw(30)]

    assert fit_model(right) == MODEL_AS_IS
    assert MODEL_AS_IS.apply(right[0].model) is right[0].model


def test_a_pool_beats_both_of_its_parts() -> None:
    samples = draw(60, noise=1.5)

    pooled = measure(samples, cross_fit(samples, fit_pool))

    tables = [sample.table for sample in samples if sample.table is not None]
    assert pooled > measure(samples, tables) + 0.01
    assert pooled > measure(samples, cross_fit(samples, fit_model)) + 0.01


def test_a_model_that_says_nothing_leaves_the_table_as_it_is() -> None:
    random = np.random.default_rng(1)
    noise = [s._replace(model=to_shares(random.normal(size=4)), table=s.people) for s in draw(40)]

    assert fit_pool(noise) == TABLE_ALONE
    assert TABLE_ALONE.apply(noise[0].model, noise[0].table) is noise[0].table


def test_a_table_that_says_nothing_leaves_the_model() -> None:
    blank = [s._replace(table=np.full(4, 0.25)) for s in draw(40)]

    assert fit_pool(blank).table == 0.0


def test_what_is_asked_is_never_fitted_on() -> None:
    samples = draw(20)
    before = cross_fit(samples, fit_pool)
    poisoned = [
        s._replace(people=np.array([0.97, 0.01, 0.01, 0.01])) if s.question == 7 else s
        for s in samples
    ]

    after = cross_fit(poisoned, fit_pool)

    for place, sample in enumerate(samples):
        if sample.question == 7:
            assert_allclose(after[place], before[place])
    assert any(not np.allclose(a, b) for a, b in zip(after, before, strict=True))


def test_numbers_of_options_have_offsets_of_their_own() -> None:
    samples = draw(20) + [s._replace(question=100 + s.question) for s in draw(20, n_options=2)]

    assert {n: len(offsets) for n, offsets in fit_model(samples).offsets.items()} == {2: 2, 4: 4}
    # Of a number of options that was never seen, no place is known to be liked.
    assert_allclose(Calibration(1.0).apply(np.full(3, 1 / 3)), np.full(3, 1 / 3))


@pytest.mark.parametrize("n_questions", [0, 1])
def test_next_to_nothing_to_fit_on_is_no_reason_to_fail(n_questions: int) -> None:
    samples = draw(n_questions)

    assert_allclose(fit_model(samples).apply(np.full(4, 0.25)).sum(), 1.0)
    assert len(cross_fit(samples, fit_model)) == len(samples)


def test_a_pool_without_an_estimate_is_refused() -> None:
    with pytest.raises(ValueError, match="no estimate"):
        Calibration(0.5, 0.5).apply(np.full(4, 0.25))
