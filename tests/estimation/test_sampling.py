"""Sampling intervals agree with scipy's and cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from estimation.sampling import DESIGN_EFFECT, LEVEL, count_effective, sampling_intervals
from estimation.shares import FLOOR, log_ratios, to_shares
from survey_data.model import ResponseDistribution


@pytest.mark.parametrize(("chosen", "n"), [(0, 40), (7, 40), (20, 40), (40, 40), (350, 1000)])
def test_intervals_are_wilsons(chosen: int, n: int) -> None:
    share = chosen / n
    cell = ResponseDistribution("made:Q", "DEU", (share, 1.0 - share), n_effective=float(n))
    expected = binomtest(chosen, n).proportion_ci(LEVEL, method="wilson")
    found = sampling_intervals(cell)

    assert found is not None
    assert found[0] == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_weights_a_design_effect_is_assumed() -> None:
    cell = ResponseDistribution("made:Q", "DEU", (0.5, 0.5), n_respondents=800, non_response=0.25)
    assert count_effective(cell) == 600 / DESIGN_EFFECT


def test_without_a_number_of_people_there_is_no_interval() -> None:
    assert sampling_intervals(ResponseDistribution("made:Q", "DEU", (0.5, 0.5))) is None


def test_nine_of_ten_samples_have_the_true_share_in_their_interval() -> None:
    random = np.random.default_rng(3)
    n, true = 300, np.array([0.05, 0.25, 0.7])
    covered = []
    for counts in random.multinomial(n, true, size=1500):
        cell = ResponseDistribution("made:Q", "DEU", tuple(counts / n), n_effective=float(n))
        intervals = sampling_intervals(cell)
        assert intervals is not None
        covered += [i.low <= share <= i.high for i, share in zip(intervals, true, strict=True)]
    assert 0.88 <= np.mean(covered) <= 0.92


def test_log_ratios_are_centred_and_lead_back_to_the_shares() -> None:
    shares = np.array([0.0, 0.2, 0.8])
    ratios = log_ratios(shares)

    assert ratios.sum() == pytest.approx(0.0)
    assert ratios[2] - ratios[1] == pytest.approx(np.log((0.8 + FLOOR) / (0.2 + FLOOR)))
    assert to_shares(ratios) == pytest.approx((shares + FLOOR) / (1.0 + 3 * FLOOR))
