"""A stream of values in four numbers, now (`Tally`) or at every moment of its past (`Running`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
            before it, which is what a bet on that value could know. `Tally` says what stands for
            the mean before the first value.
        cubes: float64[k], the same with third powers, for the skewness.
    """

    n: Ints
    total: Floats
    squares: Floats
    cubes: Floats

    @property
    def mean(self) -> Floats:
        """float64[k]; NaN where no value was in."""
        return np.divide(self.total, self.n, out=np.full_like(self.total, np.nan), where=self.n > 0)

    def at(self, looks: ArrayLike) -> Running:
        """Return the rows of `looks`, which are indices or a mask."""
        rows = np.asarray(looks)
        return Running(self.n[rows], self.total[rows], self.squares[rows], self.cubes[rows])


@dataclass(frozen=True, slots=True)
class Tally:
    """A stream as it stands; what has to be kept of it to go on.

    Attributes:
        n: how many values were in, 0 or more.
        total: their sum.
        squares: as in `Running`.
        cubes: as in `Running`.
        centre: what the first value is measured from. None leaves its distance out, which only
            asymptotic intervals allow.
        strays: how far from `centre` later values may be measured from, 0 for all from `centre`.
        limit: how far from `centre` a value can be.
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    cubes: float = 0.0
    centre: float | None = None
    strays: float = math.inf
    limit: float = math.inf

    @property
    def running(self) -> Running:
        """The present moment as a `Running` of one row."""
        return Running(
            np.array([self.n], dtype=np.int64),
            np.array([self.total], dtype=np.float64),
            np.array([self.squares], dtype=np.float64),
            np.array([self.cubes], dtype=np.float64),
        )

    def history(self, values: ArrayLike) -> Running:
        """Return how the stream stands after each of further `values`, float64[k].

        Raises:
            ValueError: `values` is not one-dimensional, or one of them is not finite or beyond
                `limit`.
        """
        new = check_finite(values, "values")
        if self.centre is not None and math.isfinite(self.limit):
            beyond = np.flatnonzero(np.abs(new - self.centre) > self.limit * ROUNDING)
            if beyond.size:
                ends = f"{self.centre - self.limit:g} to {self.centre + self.limit:g}"
                raise ValueError(f"values[{beyond[0]}] is {new[beyond[0]]:g}; expected {ends}")
        n = self.n + np.arange(1, new.size + 1, dtype=np.int64)
        total = self.total + np.cumsum(new)
        expected = (total - new) / np.maximum(n - 1, 1)
        if self.n == 0 and new.size:
            expected[0] = new[0] if self.centre is None else self.centre
        if self.centre is not None:
            np.clip(expected, self.centre - self.strays, self.centre + self.strays, out=expected)
        away = new - expected
        squares = self.squares + np.cumsum(np.square(away))
        return Running(n, total, squares, self.cubes + np.cumsum(away**3))

    def extend(self, values: ArrayLike) -> Tally:
        """Return the tally with further `values`, float64[k], in.

        Raises:
            ValueError: as for `history`.
        """
        after = self.history(values)
        if not after.n.size:
            return self
        return replace(
            self,
            n=int(after.n[-1]),
            total=float(after.total[-1]),
            squares=float(after.squares[-1]),
            cubes=float(after.cubes[-1]),
        )


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
