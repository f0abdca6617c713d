"""From what a model answered to an option: by the labels' log-probabilities, or by its words.

An answer that cannot be read is data, not an error: a `Reading` without option, with the reason.

Source: METHODS, 'Reading an answer'; the published parser is that of Xu et al., arXiv 2410.12971.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from prompting.errors import LabelLogprobsInvalid
from survey_data.wording import fold_text

MIN_LABEL_MASS = 0.05
MAX_PUBLISHED = 10

_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)?")
_BARE_NUMBER = re.compile(r"(\d+)[.):]?")
_WRAPPING = " \t\r\n\"'“”\u2018\u2019«»*`.!"


@dataclass(frozen=True, slots=True)
class Reading:
    """Which option an answer chose, and how sure the model was.

    Attributes:
        option: index of the chosen option, None where the answer could not be read.
        shares: the model's probability of each option, in option order, together 1; None where
            there are no probabilities: a reading of text, or a void one.
        label_mass: probability in [0, 1] that the model gave to all labels together, before
            normalising; higher is more trustworthy. None for a reading of text.
        reason: why the answer could not be read; empty where it could.
    """

    option: int | None
    shares: tuple[float, ...] | None = None
    label_mass: float | None = None
    reason: str = ""

    @property
    def unreadable(self) -> bool:
        """Whether no option was found."""
        return self.option is None


def option_orders(n_options: int, n_orders: int, *, ordinal: bool) -> tuple[tuple[int, ...], ...]:
    """Return up to `n_orders` different orders to show options in, their own order first.

    `order[place]` is the index of the option that is shown there. The options of an ordinal scale
    are shown forwards and backwards, never else; those of a nominal one are rotated, by steps as
    even as can be. Fewer orders come back where there are no more.

    Raises:
        ValueError: there is no option, or no order is asked for.
    """
    if n_options < 1 or n_orders < 1:
        raise ValueError(f"{n_options} options in {n_orders} orders; expected at least 1 of each")
    own = tuple(range(n_options))
    if ordinal:
        # One option is the same in both directions.
        return tuple(dict.fromkeys((own, own[::-1])))[:n_orders]
    n_orders = min(n_orders, n_options)
    shifts = [i * n_options // n_orders for i in range(n_orders)]
    return tuple(own[shift:] + own[:shift] for shift in shifts)


def read_labels(
    logprobs: Sequence[Sequence[float]],
    orders: Sequence[Sequence[int]],
    *,
    min_label_mass: float = MIN_LABEL_MASS,
) -> Reading:
    """Return the reading of one question asked in one or more option orders.

    `logprobs[i][place]` is the natural log-probability of the label shown at `place` in
    `orders[i]`. Each option's probability is averaged over the orders, which cancels a liking for
    a place, and then normalised; the label mass is what they sum to before. The option with the
    largest share is chosen, the first of equal ones. Below `min_label_mass`, or without any mass,
    the reading is void.

    Raises:
        LabelLogprobsInvalid: lengths do not fit, an order is no permutation, or a value is above
            0 or not a number.
    """
    _check(logprobs, orders)
    n_options = len(orders[0])
    mean = [0.0] * n_options
    for values, order in zip(logprobs, orders, strict=True):
        for value, option in zip(values, order, strict=True):
            mean[option] += math.exp(value) / len(orders)
    total = math.fsum(mean)
    mass = min(1.0, total)
    if total == 0.0 or mass < min_label_mass:
        reason = f"the labels have a mass of {mass:.3f}; at least {min_label_mass:g} is needed"
        return Reading(None, label_mass=mass, reason=reason)
    shares = tuple(value / total for value in mean)
    return Reading(max(range(n_options), key=shares.__getitem__), shares, mass)


def read_number_as_published(text: str) -> int | None:
    """Return the number that the paper's parser finds: the first run of digits, if 0 to 10.

    It knows neither sign nor fraction nor the question: "-3" is 3, "2.5" is 2, "11" is None.
    """
    found = _DIGITS.search(text)
    if found is None:
        return None
    # Longer runs are no number of interest, and a very long one int() refuses.
    digits = found[0].lstrip("0") or "0"
    return int(digits) if len(digits) <= 2 and int(digits) <= MAX_PUBLISHED else None


def read_option(text: str, options: Sequence[str], *, first_number: int = 1) -> Reading:
    """Return the option that `text` names by its number, or by being exactly its wording.

    In this order: a bare number ("2", "2.") is the option's number, even where the options are
    numbers themselves; a text that is an option's wording, but for case, blanks, quotes and a full
    stop, is that option; else the first number in the text is taken. A number that is not one of
    the question's, such as -3 or 2.5, is not read.
    """
    answer = text.strip(_WRAPPING)
    if not answer:
        return Reading(None, reason="the answer is empty")
    bare = _BARE_NUMBER.fullmatch(answer)
    if bare is None:
        alike = [i for i, option in enumerate(options) if _folded(option) == _folded(answer)]
        if len(alike) == 1:
            return Reading(alike[0])
    number = bare[1] if bare else None
    if number is None and (found := _NUMBER.search(answer)):
        number = found[0]
    if number is None:
        return Reading(None, reason="the answer has no number and is no option")
    numbers = {str(first_number + i): i for i in range(len(options))}
    option = numbers.get(_western(number).lstrip("0") or "0")
    if option is None:
        span = f"{first_number} to {first_number + len(options) - 1}"
        return Reading(None, reason=f"{number[:20]} is no option; the options are {span}")
    return Reading(option)


def _check(logprobs: Sequence[Sequence[float]], orders: Sequence[Sequence[int]]) -> None:
    if not orders or len(logprobs) != len(orders):
        found = f"{len(logprobs)} lists for {len(orders)} orders"
        raise LabelLogprobsInvalid(found, expected="as many lists as orders, at least one")
    own = list(range(len(orders[0])))
    for values, order in zip(logprobs, orders, strict=True):
        if not own or sorted(order) != own:
            expected = f"each of {len(own)} options once, at least one"
            raise LabelLogprobsInvalid(f"order {list(order)}", expected=expected)
        if len(values) != len(order):
            found = f"{len(values)} values for {len(order)} options"
            raise LabelLogprobsInvalid(found, expected="one value per option")
        # False for a NaN as well.
        if not all(value <= 0.0 for value in values):
            raise LabelLogprobsInvalid(f"values {list(values)}", expected="values of at most 0")


def _western(number: str) -> str:
    """Return `number` in the digits 0 to 9; Arabic, Bengali and other scripts have their own."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in number)


def _folded(text: str) -> str:
    return fold_text(text.strip(_WRAPPING))
