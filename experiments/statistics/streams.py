"""A stream of values, summarised by four numbers after each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from survey_data.arrays import Floats, Ints

ROUNDING = 1.0 + 1e-9


@dataclass(frozen=True, slots=True)
class Running:
    """A stream after each of its values, or at some of those moments.

    Attributes:
        n: int64[k], how many values were in.
        total: float64[k], their sum.
        squares: float64[k], the sum of squared distances of each value from the mean of those
            before it, which is what a bet on that value could know. `run_through` says what stands
            for the mean before the first value.
        cubes: float64[k], the same with third powers, for the skewness.
    """

    n: Ints
    total: Floats
    squares: Floats
    cubes: Floats

    @property
    def mean(self) -> Floats:
        """float64[k]; NaN if no value was in."""
        return np.divide(self.total, self.n, out=np.full_like(self.total, np.nan), where=self.n > 0)

    def at(self, looks: ArrayLike) -> Running:
        """Return the rows of `looks`, which are indices or a mask."""
        rows = np.asarray(looks)
        return Running(self.n[rows], self.total[rows], self.squares[rows], self.cubes[rows])


EMPTY = Running(np.zeros(1, dtype=np.int64), *np.zeros((3, 1)))
"""The one row of a stream before its first value."""


def run_through(
    values: ArrayLike,
    *,
    centre: float | None = None,
    strays: float = math.inf,
    limit: float = math.inf,
) -> Running:
    """Return how a stream stands after each of `values`, float64[k].

    The first value is measured from `centre`; None gives it no distance, which only asymptotic
    intervals allow. Later ones are measured from the mean so far, or as near to it as is within
    `strays` of `centre`. No value can be farther than `limit` from `centre`.

    Raises:
        ValueError: `values` is not one-dimensional, or one of them is not finite or is beyond
            `limit`.
    """
    new = check_finite(values, "values")
    n = np.arange(1, new.size + 1, dtype=np.int64)
    total = np.cumsum(new)
    expected = (total - new) / np.maximum(n - 1, 1)
    expected[:1] = new[:1] if centre is None else centre
    if centre is not None:
        beyond = np.flatnonzero(np.abs(new - centre) > limit * ROUNDING)
        if beyond.size:
            ends = f"{centre - limit:g} to {centre + limit:g}"
            raise ValueError(f"values[{beyond[0]}] is {new[beyond[0]]:g}; expected {ends}")
        np.clip(expected, centre - strays, centre + strays, out=expected)
    distances = new - expected
    return Running(n, total, np.cumsum(np.square(distances)), np.cumsum(distances**3))


def check_finite(values: ArrayLike, name: str) -> Floats:
    """Return `values` as float64[k].

    Raises:
        ValueError: they are not one-dimensional, or one of them is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"{name} has {found.ndim} dimensions; expected 1")
    if not np.isfinite(found).all():
        first = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ValueError(f"{name}[{first}] is {found[first]}; expected a finite number")
    return found
