"""How the shares of many peoples lie beside each other, and in which colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from survey_data.model import Question, Scale

N_STEPS, N_NOMINAL = 11, 8


class Segment(NamedTuple):
    """A part of a stacked bar: where it starts and how wide it is, both in [0, 1]."""

    start: float
    width: float
    colour: str
    label: str
    share: float


class Stack(NamedTuple):
    """The stacked bars of several peoples, and where in [0, 1] their middle is."""

    bars: tuple[tuple[Segment, ...], ...]
    middle: float
    is_diverging: bool


def name_colours(question: Question) -> tuple[str, ...]:
    """Return the class of the colour of each option."""
    n = len(question.options)
    if question.scale is Scale.NOMINAL:
        return tuple(f"n{place % N_NOMINAL}" for place in range(n))
    return tuple(f"d{round(place * (N_STEPS - 1) / (n - 1))}" for place in range(n))


def stack_shares(question: Question, rows: Sequence[Sequence[float]]) -> Stack:
    """Return stacked bars. Those of a scale meet in its middle, a neutral option lies across it.

    Options without an order are stacked from the left.
    """
    is_diverging = question.scale is not Scale.NOMINAL
    lefts = [_measure_left(shares) if is_diverging else 0.0 for shares in rows]
    left = max(lefts, default=0.0)
    right = max((sum(row) - own for row, own in zip(rows, lefts, strict=True)), default=1.0)
    full = left + right or 1.0
    colours = name_colours(question)
    bars = []
    for shares, own in zip(rows, lefts, strict=True):
        start, segments = left - own, []
        for label, colour, share in zip(question.options, colours, shares, strict=True):
            segments.append(Segment(start / full, share / full, colour, label, share))
            start += share
        bars.append(tuple(segments))
    return Stack(tuple(bars), left / full, is_diverging)


def _measure_left(shares: Sequence[float]) -> float:
    n = len(shares)
    left = sum(shares[: n // 2])
    return left + shares[n // 2] / 2.0 if n % 2 else left


class Steps(NamedTuple):
    """The classes of a map: `edges` are the shares at which one ends and the next begins."""

    edges: tuple[float, ...]

    def find(self, share: float) -> int:
        """Return the class of a share, the lowest is 0."""
        inner = self.edges[1:-1]
        return sum(share >= edge for edge in inner)


def cut_steps(shares: Sequence[float], n: int = 7) -> Steps:
    """Return up to `n` classes of equal width and of whole percents that hold all `shares`."""
    low = int(min(shares, default=0.0) * 100)
    high = max(int(-(-max(shares, default=1.0) * 100 // 1)), low + 1)
    width = max(1, -(-(high - low) // n))
    edges = list(range(low, high + width, width))
    return Steps(tuple(edge / 100 for edge in edges))
