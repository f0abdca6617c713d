from __future__ import annotations

from math import inf, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompting.errors import LabelLogprobsInvalid, PromptingError
from prompting.reading import (
    option_orders,
    read_labels,
    read_number_as_published,
    read_option,
)

AGREEMENT = ("Strongly agree", "Agree", "Disagree", "Strongly disagree")


def test_shares_are_the_probabilities_normalised() -> None:
    # 0.5 + 0.2 + 0.1 = 0.8; 0.5/0.8 = 0.625, 0.2/0.8 = 0.25, 0.1/0.8 = 0.125
    reading = read_labels([[log(0.5), log(0.2), log(0.1)]], [(0, 1, 2)])

    assert reading.option == 0
    assert reading.shares == pytest.approx((0.625, 0.25, 0.125))
    assert reading.label_mass == pytest.approx(0.8)
    assert not reading.unreadable
    assert reading.reason == ""


def test_orders_are_mapped_back_before_they_are_averaged() -> None:
    # Forwards, place 0 is option 0:  option 0 has 0.6, option 1 has 0.3.
    # Backwards, place 0 is option 1: option 1 has 0.1, option 0 has 0.7.
    # Means 0.65 and 0.2, mass 0.85; 0.65/0.85 = 0.764706, 0.2/0.85 = 0.235294
    reading = read_labels([[log(0.6), log(0.3)], [log(0.1), log(0.7)]], [(0, 1), (1, 0)])

    assert reading.option == 0
    assert reading.shares == pytest.approx((0.764706, 0.235294), abs=1e-6)
    assert reading.label_mass == pytest.approx(0.85)


def test_a_liking_for_the_first_place_cancels_out_over_all_rotations() -> None:
    # Whatever is shown first gets 0.8, the others 0.1: each option is first once in three.
    first = [log(0.8), log(0.1), log(0.1)]
    reading = read_labels([first] * 3, option_orders(3, 3, ordinal=False))

    assert reading.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_of_equal_shares_the_first_option_is_chosen() -> None:
    assert read_labels([[log(0.3), log(0.3)]], [(0, 1)]).option == 0


def test_a_reading_of_too_little_mass_is_void() -> None:
    # 0.02 + 0.02 = 0.04 < 0.05
    reading = read_labels([[log(0.02), log(0.02)]], [(0, 1)])

    assert reading.unreadable
    assert reading.option is None
    assert reading.shares is None
    assert reading.label_mass == pytest.approx(0.04)
    assert "0.040" in reading.reason


def test_the_least_mass_is_the_callers_choice() -> None:
    assert read_labels([[log(0.02), log(0.02)]], [(0, 1)], min_label_mass=0.04 - 1e-9).option == 0


def test_no_mass_at_all_is_void_even_where_none_is_asked_for() -> None:
    assert read_labels([[-inf, -9999.0]], [(0, 1)], min_label_mass=0.0).unreadable


def test_a_mass_that_rounding_lifted_above_one_is_one() -> None:
    # bfloat16: 0.7 + 0.3004 = 1.0004
    reading = read_labels([[log(0.7), log(0.3004)]], [(0, 1)])

    assert reading.label_mass == 1.0
    assert sum(reading.shares or ()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("logprobs", "orders"),
    [
        ([], []),
        ([[-1.0]], []),
        ([[-1.0, -1.0]], [(0, 1), (1, 0)]),
        ([[-1.0]], [(0, 1)]),
        ([[-1.0, -1.0]], [(0, 0)]),
        ([[-1.0, -1.0], [-1.0, -1.0, -1.0]], [(0, 1), (0, 1, 2)]),
        ([[]], [()]),
        ([[-1.0, nan]], [(0, 1)]),
        ([[-1.0, 0.5]], [(0, 1)]),
    ],
)
def test_log_probabilities_that_do_not_fit_are_refused(
    logprobs: list[list[float]], orders: list[tuple[int, ...]]
) -> None:
    with pytest.raises(LabelLogprobsInvalid) as caught:
        read_labels(logprobs, orders)

    assert isinstance(caught.value, PromptingError)


@given(st.lists(st.floats(min_value=-20.0, max_value=-3.1), min_size=1, max_size=20))
def test_shares_sum_to_one_and_order_like_the_log_probabilities(values: list[float]) -> None:
    reading = read_labels([values], [tuple(range(len(values)))], min_label_mass=0.0)

    assert sum(reading.shares or ()) == pytest.approx(1.0)
    assert reading.option is not None
    assert values[reading.option] == max(values)


@pytest.mark.parametrize(
    ("n_options", "n_orders", "ordinal", "expected"),
    [
        (3, 1, True, [(0, 1, 2)]),
        (3, 2, True, [(0, 1, 2), (2, 1, 0)]),
        (3, 8, True, [(0, 1, 2), (2, 1, 0)]),  # no third order of a scale makes sense
        (1, 2, True, [(0,)]),
        (3, 1, False, [(0, 1, 2)]),
        (3, 3, False, [(0, 1, 2), (1, 2, 0), (2, 0, 1)]),
        (3, 9, False, [(0, 1, 2), (1, 2, 0), (2, 0, 1)]),
        (4, 2, False, [(0, 1, 2, 3), (2, 3, 0, 1)]),  # shifts 0 and 1·4//2 = 2
        (5, 3, False, [(0, 1, 2, 3, 4), (1, 2, 3, 4, 0), (3, 4, 0, 1, 2)]),  # 0, 5//3, 10//3
        (2, 2, False, [(0, 1), (1, 0)]),
    ],
)
def test_orders(
    n_options: int, n_orders: int, ordinal: bool, expected: list[tuple[int, ...]]
) -> None:
    assert list(option_orders(n_options, n_orders, ordinal=ordinal)) == expected


@given(st.integers(1, 20), st.integers(1, 30), st.booleans())
def test_orders_are_different_permutations_with_the_own_order_first(
    n_options: int, n_orders: int, ordinal: bool
) -> None:
    orders = option_orders(n_options, n_orders, ordinal=ordinal)

    assert orders[0] == tuple(range(n_options))
    assert len(set(orders)) == len(orders) <= n_orders
    assert all(sorted(order) == list(range(n_options)) for order in orders)


@pytest.mark.parametrize(("n_options", "n_orders"), [(0, 1), (3, 0)])
def test_orders_of_nothing_are_refused(n_options: int, n_orders: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        option_orders(n_options, n_orders, ordinal=True)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.", 2),
        ("Option 3", 3),
        ("-3", 3),
        ("2.5", 2),
        ("0", 0),
        ("10", 10),
        ("07", 7),
        ("I choose 4 out of 10", 4),
        ("11", None),
        ("2021", None),
        ("As an AI, I have no opinion.", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_the_published_parser(text: str, number: int | None) -> None:
    assert read_number_as_published(text) == number


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("2", 1),
        (" 2.\n", 1),
        ("2)", 1),
        ("02", 1),
        ("**2**", 1),
        ("2. Agree", 1),
        ("2 (Agree)", 1),
        ("Answer: 4", 3),
        ("Option 3", 2),
        ("- 3", 2),
        ("٢", 1),  # Arabic two
        ("Agree", 1),
        (" strongly  AGREE. ", 0),
        ("'Disagree'", 2),
    ],
)
def test_an_option_is_read_from_its_number_or_its_exact_wording(text: str, option: int) -> None:
    reading = read_option(text, AGREEMENT)

    assert reading.option == option
    assert reading.shares is None
    assert reading.label_mass is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("5", "5 is no option; the options are 1 to 4"),
        ("0", "0 is no option"),
        ("-3", "-3 is no option"),
        ("2.5", "2.5 is no option"),
        ("11", "11 is no option"),
        ("9" * 5000, "is no option"),
        ("I cannot answer that.", "no number"),
        ("I agree", "no number"),
        (" . ", "empty"),
        ("", "empty"),
    ],
)
def test_what_is_no_option_is_unreadable_and_says_why(text: str, reason: str) -> None:
    reading = read_option(text, AGREEMENT)

    assert reading.unreadable
    assert reason in reading.reason


def test_a_scale_may_start_at_zero() -> None:
    assert read_option("0", ("0", "1", "2"), first_number=0).option == 0
    assert read_option("3", ("0", "1", "2"), first_number=0).unreadable


def test_a_bare_number_is_the_options_number_even_where_options_are_numbers() -> None:
    children = ("0", "1", "2 or more")

    assert read_option("1", children).option == 0
    assert read_option("2 or more", children).option == 2


def test_a_wording_that_two_options_share_is_not_guessed() -> None:
    assert read_option("Yes", ("Yes", "yes.")).unreadable
