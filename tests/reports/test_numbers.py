from __future__ import annotations

import pytest

from reports.numbers import (
    count,
    decimal,
    duration,
    interval,
    join_names,
    number,
    percent,
    quantity,
    rate,
    with_sign,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((0.739, 0.711, 0.764), "0.739 [0.711, 0.764]"),
        ((-0.0271, -0.045, -0.01), "\u22120.027 [\u22120.045, \u22120.010]"),
        ((-0.0001, -0.003, 0.0002), "0.000 [\u22120.003, 0.0002]"),
        ((0.0, 0.0, 0.0), "0.000 [0.000, 0.000]"),
        (None, "\u2013"),
    ],
)
def test_an_interval_shows_on_which_side_of_zero_it_ends(
    value: tuple[float, float, float] | None, expected: str
) -> None:
    assert interval(value) == expected


def test_small_shares_and_large_counts_are_written_as_they_are() -> None:
    assert [percent(0.0), percent(0.0001), percent(0.5), percent(0.9999), percent(None)] == [
        "0.0 %",
        "under 0.1 %",
        "50.0 %",
        "over 99.9 %",
        "\u2013",
    ]
    assert count(1_234_567) == "1\u202f234\u202f567"
    assert decimal(None) == "\u2013"


def test_a_share_near_its_end_is_bounded_by_the_digit_that_is_shown() -> None:
    assert [percent(share, 0) for share in (0.001, 0.3, 0.999)] == [
        "under 1 %",
        "30 %",
        "over 99 %",
    ]
    assert [rate(0.5), rate(0.125)] == ["50 %", "12.5 %"]


def test_a_difference_has_its_sign_and_zero_has_none() -> None:
    assert [with_sign(value) for value in (0.12345, -2.0, 0.0, None)] == [
        "+0.123",
        "\u22122",
        "0",
        "\u2013",
    ]
    assert [decimal(value, 2, is_signed=True) for value in (0.126, -0.001, -0.5)] == [
        "+0.13",
        "0.00",
        "\u22120.50",
    ]


def test_significant_digits_stay_and_zeros_behind_the_point_go() -> None:
    assert [number(value) for value in (12345.6, 0.5, 0.012344)] == [
        "12\u202f350",
        "0.5",
        "0.01234",
    ]


def test_words_fit_their_count() -> None:
    assert [quantity(n, "unit") for n in (0, 1, 2000)] == ["0 units", "1 unit", "2\u202f000 units"]
    assert [join_names(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert [duration(s) for s in (5.0, 60.0, 5400.0, 172_800.0)] == [
        "5 seconds",
        "1 minute",
        "1.5 hours",
        "2 days",
    ]
