"""Heads and feed-forward units whose weights are set by hand.

Weights are given per place in its unit (`places.UNITS`), so that a number says what it comes to
if a flag is set: for a head in score units, logarithms of how much more a key counts, and for
a gate in units of its activation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mini_model.places import CONSTANT, HEAD_SIZE, HIDDEN_SIZE, LENGTH, ONE, ROPE_THETA, UNITS

# Rotary pairs of a head: the fast ones tell neighbours apart, those in between tell near from far,
# and the slow ones hardly turn within 1,024 tokens, so that they compare contents.
FAST, RECENT, LINEAR, SLOW = range(10), range(11, 15), 14, range(14, 32)
# The norm before a part multiplies a vector of length 1 by this.
_NORM = math.sqrt(HIDDEN_SIZE)
# Attention divides the product of query and key by this.
_DIVISOR = math.sqrt(HEAD_SIZE)

PlaceWeights = Mapping[int, float]
Matrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class Projection(NamedTuple):
    """What is made of a vector's places from `source` on: `strength` times `rows` of them.

    `rows` is float[n, m]: n components from m places.
    """

    source: int
    strength: float
    rows: Matrix


class Head:
    """One head of a layer, cleared: its scores are sums of what queries ask and keys offer.

    Args:
        layer: The layer, whose weights are changed.
        number: Which of its heads.
        length: How long the vectors are that the layer reads. Longer ones score less.
    """

    def __init__(self, layer: torch.nn.Module, number: int, *, length: float) -> None:
        rows = slice(number * HEAD_SIZE, (number + 1) * HEAD_SIZE)
        names = (f"self_attn.{name}_proj.weight" for name in "qkvo")
        query, key, value, output = (layer.get_parameter(name) for name in names)
        self._query, self._key, self._value = (part[rows] for part in (query, key, value))
        self._output = output[:, rows]
        # The weight that brings a normed vector back to its length.
        self._unnorm = length / _NORM
        for part in (self._query, self._key, self._value, self._output):
            part.zero_()

    def prefer(self, pairs: Sequence[int], *, strengths: Sequence[float], distance: float) -> None:
        """Add `strengths`, times the cosine of each pair's turn from keys `distance` tokens ago."""
        for pair, strength in zip(pairs, strengths, strict=True):
            size = math.sqrt(_DIVISOR * strength) * self._unnorm / ONE
            turn = distance * turn_per_token(pair)
            self._query[pair, CONSTANT] = size * math.cos(turn)
            self._query[pair + HEAD_SIZE // 2, CONSTANT] = -size * math.sin(turn)
            self._key[pair, CONSTANT] = size

    def slope(self, pairs: Sequence[int], *, strength: float) -> None:
        """Add `-strength * sin(turn)` of each pair: near keys are preferred, far if negative."""
        for pair in pairs:
            size = math.sqrt(_DIVISOR * abs(strength)) * self._unnorm / ONE
            self._query[pair + HEAD_SIZE // 2, CONSTANT] = math.copysign(size, strength)
            self._key[pair, CONSTANT] = size

    def match(self, place: int, *, asked: PlaceWeights, offered: PlaceWeights) -> None:
        """Add the product of what is asked and what is offered; `place` is one of the head."""
        for at, weight in asked.items():
            self._query[place, at] = _DIVISOR * weight * self._unnorm / UNITS[at]
        self._set_key(place, offered)

    def offer(self, place: int, scores: PlaceWeights) -> None:
        """Add `scores` that the key alone decides, to queries of length 1, to longer ones less."""
        self._query[place, CONSTANT] = _DIVISOR / (ONE * _NORM)
        self._set_key(place, scores)

    def compare(
        self, first: int, *, asked: Sequence[Projection], offered: Sequence[Projection]
    ) -> None:
        """Add an eighth of the inner product of the sums of two vectors' projections.

        The places that it takes of the head are those of `content` from `first` on.
        """
        for part, projections in ((self._query, asked), (self._key, offered)):
            for source, strength, rows in projections:
                weights = torch.from_numpy((strength * self._unnorm * rows).astype(np.float32))
                for i, row in enumerate(weights):
                    part[content(first + i), source : source + len(row)] = row

    def copy(
        self, source: int, target: int, *, n: int = 1, start: int = 0, by: float = 1.0
    ) -> None:
        """Write `by` times the places from `source` on into those from `target` on, unit for unit.

        The head's places from `start` on are used for it.
        """
        for i in range(n):
            ratio = by * UNITS[target + i] / UNITS[source + i]
            self._value[start + i, source + i] = 1.0
            self._output[target + i, start + i] = ratio * self._unnorm

    def _set_key(self, place: int, weights: PlaceWeights) -> None:
        for at, weight in weights.items():
            self._key[place, at] = weight * self._unnorm / UNITS[at]


class LayerUnits:
    """The units of a layer's feed-forward part: each writes its gate times what it takes in."""

    def __init__(self, layer: torch.nn.Module) -> None:
        names = (f"mlp.{name}_proj.weight" for name in ("gate", "up", "down"))
        self._gate, self._up, self.down = (layer.get_parameter(name) for name in names)

    def set(self, unit: int, *, gate: PlaceWeights, up: PlaceWeights, down: PlaceWeights) -> None:
        """Set one unit, for vectors of length `LENGTH`; `down` is what it writes, in length."""
        self._gate[unit], self._up[unit], self.down[:, unit] = 0.0, 0.0, 0.0
        for part, weights in ((self._gate, gate), (self._up, up)):
            for place, weight in weights.items():
                part[unit, place] = weight * LENGTH / (_NORM * UNITS[place])
        for place, weight in down.items():
            self.down[place, unit] = weight


def content(i: int) -> int:
    """Return the i-th place of a head that hardly turns, the slowest first: 0 to 35."""
    return SLOW[-1 - i // 2] + (HEAD_SIZE // 2) * (i % 2)


def turn_per_token(pair: int) -> float:
    """Return by what angle a rotary pair turns from one token to the next, in radians."""
    return float(ROPE_THETA ** (-2 * pair / HEAD_SIZE))


def all_of(flags: Sequence[int], *, height: float) -> PlaceWeights:
    """Return a gate that is at `height` if all flags are set, else closed."""
    gate = {place: 2 * height for place in flags}
    return gate | {CONSTANT: -(2 * len(flags) - 1) * height}


def both(one: PlaceWeights, other: PlaceWeights) -> PlaceWeights:
    """Return the sum of two gates: open if one is and the other takes nothing from it."""
    return {place: one.get(place, 0.0) + other.get(place, 0.0) for place in {**one, **other}}
