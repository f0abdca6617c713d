"""From where peoples stand on the cultural map to where a model's answers as them stand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import dist
from typing import NamedTuple

from app.state.model_maps import ModelMap
from prompting.recipe import Method
from survey_data.cultures import Culture

NO_WAY = "none"
Point = tuple[float, float]


class WayUnknown(ValueError):
    """A map has no answers that were given in this way."""

    def __init__(self, way: str, known: Sequence[str]) -> None:
        super().__init__(f"“{way}” is none of {', '.join(known)}.")


class Arrow(NamedTuple):
    """From a people's place to that of the answers as them; `length` in units of the map."""

    culture: Culture
    people: Point
    answers: Point

    @property
    def length(self) -> float:
        """How far the answers are from the people."""
        return dist(self.people, self.answers)


class Arrows(NamedTuple):
    """A model's answers by one way beside the peoples they are given as, the farthest first."""

    of: ModelMap
    way: str
    rows: tuple[Arrow, ...]

    @property
    def mean_length(self) -> float:
        """How far the answers are from the peoples, on average."""
        return sum(row.length for row in self.rows) / len(self.rows)

    @property
    def n_beyond_error(self) -> int:
        """How many answers are farther from their people than the error of the map."""
        return sum(row.length > self.of.error for row in self.rows)

    @property
    def people_apart(self) -> float | None:
        """How far the peoples are from each other, on average; None of one alone."""
        return _measure_apart([row.people for row in self.rows])

    @property
    def answers_apart(self) -> float | None:
        """How far the answers are from each other, on average; None of one people alone."""
        return _measure_apart([row.answers for row in self.rows])


def draw_arrows(
    of: ModelMap, way: str, peoples: Sequence[tuple[Culture, float, float]]
) -> Arrows | None:
    """Return the arrows of a way; an empty one is the first that names a people.

    None for the way `none`, and if none of the `peoples` is on the map.

    Raises:
        WayUnknown: nobody was asked so.
    """
    if way == NO_WAY:
        return None
    if way and way not in of.ways:
        raise WayUnknown(way, [*of.ways, NO_WAY])
    as_peoples = [name for name in of.ways if name != Method.PLAIN]
    chosen = way or next(iter(as_peoples or of.ways))
    places = of.ways[chosen]
    rows = [
        Arrow(culture, (x, y), (places[culture.code].x, places[culture.code].y))
        for culture, x, y in peoples
        if culture.code in places
    ]
    rows.sort(key=lambda row: (-row.length, row.culture.name))
    return Arrows(of, chosen, tuple(rows)) if rows else None


def _measure_apart(points: Sequence[Point]) -> float | None:
    lengths = [dist(a, b) for a, b in combinations(points, 2)]
    return sum(lengths) / len(lengths) if lengths else None
