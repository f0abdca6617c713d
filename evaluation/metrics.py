"""How near an answer is to what people said, one small pure function per metric.

Shares are in option order, one per option, together 1 (within `TOLERANCE`; they are normalised).
Options are indices from 0. The alignment score is in `survey_data.similarity`.

Source: METHODS, 'Metrics'.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from survey_data.model import Scale

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

# As in packs: shares that were rounded to three decimals still pass.
TOLERANCE = 0.005

_CANNOT = r"(?:can't|cannot|can not|could not|couldn't|won't|will not|unable to|not able to)"
_ANSWERING = (
    r"(?:answer|assist|choose|comment|comply|discuss|engage|express|fulfil|give|have|help|offer"
    r"|participate|pick|provide|respond|select|share|take part)"
)
_REFUSAL = re.compile(
    "|".join(
        (
            rf"\b{_CANNOT}(?: \w+ly)? {_ANSWERING}",
            rf"\bsorry\W+(?:but )?i {_CANNOT}",
            r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b",
            r"\bi (?:do not|don't) (?:have|hold) (?:any )?(?:personal |own )?"
            r"(?:beliefs?|experiences?|feelings?|opinions?|preferences?|values|views?)",
            r"\b(?:decline to|prefer not to|rather not) (?:answer|say|respond)",
            r"\bals (?:ki|künstliche intelligenz|(?:großes )?sprachmodell)\b",
            r"\bich kann\b[^.]*\bnicht (?:be)?antworten",
            r"\bcomo (?:una )?(?:ia|inteligencia artificial|modelo de lenguaje)\b",
            r"\bno puedo (?:contestar|responder|opinar|proporcionar)",
            r"\ben tant qu(?:'ia|'intelligence artificielle|e modèle de langage)\b",
            r"\bje ne peux pas (?:fournir|répondre|donner)",
            r"作为(?:一个|一名)?(?:ai|人工智能|(?:大型)?语言模型)",
            r"(?:无法|不能)(?:回答|提供)",
        )
    )
)


def distribution_similarity(shares: Sequence[float], wanted: Sequence[float]) -> float:
    """Return 1 minus the Jensen-Shannon distance to base 2, in [0, 1]; 1 is the same shares.

    The distance is the square root of the divergence. A share of 0 is allowed in both; shares
    with no option in common give 0, and a single option always 1.

    Raises:
        ValueError: there is no option, lengths differ, a share is negative or not a number, or
            shares do not sum to 1.

    Source: METHODS, metric 2.
    """
    one, other = _pair(shares, wanted)
    middle = (one + other) / 2
    divergence = (_relative_entropy(one, middle) + _relative_entropy(other, middle)) / 2
    # Rounding takes it below 0 for nearly equal shares, and above 1 for disjoint ones.
    return 1.0 - math.sqrt(min(1.0, max(0.0, divergence)))


def wasserstein(shares: Sequence[float], wanted: Sequence[float]) -> float:
    """Return the Wasserstein-1 distance on option positions, in [0, 1]; 0 is best.

    Positions are index / (n - 1), so that moving everybody from the first option to the last
    costs 1. Of meaning for ordinal and binary questions only.

    Raises:
        ValueError: as for `distribution_similarity`, or there is one option only.

    Source: METHODS, metric 3.
    """
    one, other = _pair(shares, wanted)
    _check_scale(len(one))
    moved = np.abs(np.cumsum(one - other))[:-1]
    return float(moved.sum()) / (len(one) - 1)


def total_variation(shares: Sequence[float], other: Sequence[float]) -> float:
    """Return half the summed differences of the shares, in [0, 1]; 0 is the same shares.

    Raises:
        ValueError: as for `distribution_similarity`.
    """
    one, second = _pair(shares, other)
    return float(np.abs(one - second).sum()) / 2


def exact_match(chosen: int, gold: int) -> float:
    """Return 1.0 where the chosen option is the modal one, else 0.0.

    Source: METHODS, metric 4.
    """
    return float(chosen == gold)


def soft_accuracy(chosen: int, gold: int, *, n_options: int, scale: Scale) -> float:
    """Return `1 - |a - g| / (n - 1)`, in [0, 1], 1 is best; for a nominal question equality.

    Raises:
        ValueError: there are fewer than two options, or an index is none of theirs.

    Source: METHODS, metric 4.
    """
    _check_scale(n_options)
    if not (0 <= chosen < n_options and 0 <= gold < n_options):
        raise ValueError(f"options {chosen} and {gold}; expected 0 to {n_options - 1}")
    if scale is Scale.NOMINAL:
        return exact_match(chosen, gold)
    return 1.0 - abs(chosen - gold) / (n_options - 1)


def order_shift(by_order: Sequence[Sequence[float]]) -> float:
    """Return how far shares move with the option order, in [0, 1]; 0 is not at all.

    It is the mean total variation over all pairs of orders. NaN with fewer than two orders.

    Args:
        by_order: the shares of one question read in each order, already back in option order.

    Raises:
        ValueError: as for `distribution_similarity`.
    """
    pairs = list(itertools.combinations(by_order, 2))
    if not pairs:
        return math.nan
    return math.fsum(total_variation(one, other) for one, other in pairs) / len(pairs)


def order_flips(chosen_by_order: Sequence[int | None]) -> float:
    """Return 1.0 where the chosen option depends on the option order, else 0.0; 0 is best.

    An unreadable answer (None) is left out; NaN where fewer than two can be read.

    Args:
        chosen_by_order: what was chosen of one question in each order, as indices in option order.
    """
    readable = [option for option in chosen_by_order if option is not None]
    return float(len(set(readable)) > 1) if len(readable) > 1 else math.nan


def is_refusal(text: str) -> bool:
    """Return whether `text` reads as a refusal to answer, rather than a muddled answer.

    A heuristic on set phrases ("I cannot answer", "as an AI", "I don't have personal opinions"),
    in English and a few in German, Spanish, French and Chinese; refusals in other words or
    languages are missed. Meant for answers that could not be read: it does not look for an option,
    and "I cannot answer, but 3" is a refusal to it although it can be read. An empty text is none.
    """
    return _REFUSAL.search(text.casefold().replace("\u2019", "'")) is not None


def ranks(matrix: Floats) -> Ints:
    """Return int64[c]: each culture's place in its own row, 1 to c, 1 is best.

    A tie counts against: with another column as good as its own, a culture is not first. With one
    culture it is always first.

    Args:
        matrix: float64[c, c], row i the answers given as culture i, column j the people of culture
            j, their similarity, higher is nearer.

    Raises:
        ValueError: the matrix is not square, is empty, or has a value that is not a number.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"a matrix of shape {matrix.shape}; expected a square one, not empty")
    if np.isnan(matrix).any():
        raise ValueError("a similarity is not a number; a culture without answers has no rank")
    return np.asarray((matrix >= np.diagonal(matrix)[:, None]).sum(axis=1), dtype=np.int64)


def own_best_share(matrix: Floats) -> float:
    """Return the share of cultures with rank 1, in [0, 1]; higher is better, chance is 1/c.

    Raises:
        ValueError: as for `ranks`.
    """
    return float(np.mean(ranks(matrix) == 1))


def diversity(positions: Floats) -> float:
    """Return how far apart cultures' answers are, as a share of the scale, in [0, 1].

    It is the mean over pairs of cultures of the mean absolute difference over the questions that
    both answered. Neither high nor low is better: it is compared with the diversity of people.
    Pairs with no question in common are left out; NaN where no pair is left.

    Args:
        positions: float64[c, q], option index / (n - 1) of what each culture chose; NaN where it
            did not answer.

    Source: METHODS, metric 6.
    """
    pairs = itertools.combinations(positions, 2)
    apart = [np.abs(one - other) for one, other in pairs]
    known = [differences[~np.isnan(differences)] for differences in apart]
    means = [float(differences.mean()) for differences in known if differences.size]
    return math.fsum(means) / len(means) if means else math.nan


def spread(shares: Floats, n_options: Ints) -> Floats:
    """Return float64[r, q]: the entropy of each answer's shares, as a part of the largest possible.

    0 where all of it is on one option, 1 where all options have the same share. Neither is better:
    it is compared with people's. NaN where there are no shares.

    Args:
        shares: float64[r, q, n], 0 beyond a question's last option, NaN where there are none.
        n_options: int64[q], each at least 2.
    """
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0.0)
    return np.asarray(-(shares * logs).sum(axis=-1) / np.log2(n_options))


def _pair(shares: Sequence[float], other: Sequence[float]) -> tuple[Floats, Floats]:
    if len(shares) != len(other):
        raise ValueError(f"{len(shares)} and {len(other)} shares; expected as many")
    return _normalised(shares), _normalised(other)


def _normalised(shares: Sequence[float]) -> Floats:
    values = np.asarray(shares, dtype=np.float64)
    # False for a NaN as well.
    if not (values >= 0.0).all():
        raise ValueError(f"shares {list(shares)}; expected none below 0")
    total = float(values.sum())
    if not abs(total - 1.0) <= TOLERANCE:
        raise ValueError(f"shares {list(shares)} sum to {total:g}; expected 1")
    return values / total


def _check_scale(n_options: int) -> None:
    if n_options < 2:
        raise ValueError(f"{n_options} options; a scale needs at least 2")


def _relative_entropy(one: Floats, middle: Floats) -> float:
    """Return the bits by which `one` exceeds `middle`, which is above 0 wherever `one` is."""
    some = one > 0.0
    # A share so small that half of it is 0 adds nothing.
    some &= middle > 0.0
    return float((one[some] * np.log2(one[some] / middle[some])).sum())
