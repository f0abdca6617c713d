"""Where answers stand on the Inglehart-Welzel cultural map, estimated from what people answered.

The map's two dimensions are factor scores over ten items. Here a ridge regression learns them from
the countries whose published place is known, so that answers to any questions of a survey can be
placed, with an error that is measured rather than assumed.

With all ten items (`index_positions`) a country of the shipped `wvs7` pack that is left out is
placed 0.24 from its published place (root mean square over 19 countries), with all 246 ordinal
and binary questions (`mean_positions`) 0.41; the mean of the other countries is 1.66 off. A
random part is worse: five of the ten items about 0.5, any 50 questions about 0.55. So
`place_answers` fits both and keeps the one with the smaller error.

Source: the items of the map are those of Inglehart & Welzel (2005), Modernization, Cultural Change
and Democracy, appendix; the autonomy index is theirs too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from evaluation.figures import CulturalMap, CulturePlace
from survey_data.arrays import Floats
from survey_data.model import Question, Scale

MIN_CULTURES = 5
# Relative to the variance of a feature, as features are standardised; 10 is nearly the mean.
PENALTIES: tuple[float, ...] = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 3))

MapAnswers: TypeAlias = Mapping[str, Sequence[float]]
"""One respondent's or one people's share per option, by question key."""

_Features: TypeAlias = Callable[[Sequence[MapAnswers]], Floats]

_ONE_ITEM = ("Q46", "Q57", "Q45", "Q209", "Q164", "Q182", "Q184", "Q254")
_MORE_AUTONOMOUS = ("Q8", "Q14")
_LESS_AUTONOMOUS = ("Q15", "Q17")
_FIRST_AIM, _POSTMATERIALIST = "Q154", (1, 3)
_PACK = "wvs7"
MAP_ITEMS = tuple(
    f"{_PACK}:{item}" for item in (*_ONE_ITEM, *_MORE_AUTONOMOUS, *_LESS_AUTONOMOUS, _FIRST_AIM)
)
"""The keys of the questions that the map's ten items are made of."""


@dataclass(frozen=True, slots=True)
class CulturalMapModel:
    """A ridge regression from answers to places on the map.

    A place is `centre + z @ weights`, z the standardised features. In dual form, for Z of shape
    [c, q] and Y of shape [c, 2] over the cultures it was fitted on::

        weights = Zᵀ (Z Zᵀ / q + penalty * I)⁻¹ (Y - centre) / q

    Attributes:
        mean, scale: float64[q], of each feature over the cultures. A feature that never varies or
            that no culture has is ignored (scale infinite).
        weights: float64[q, 2].
        centre: float64[2], the mean place.
        penalty: the one with the smallest leave-one-out error of `PENALTIES`, the larger of equal
            ones.
        error: root mean square distance, in units of the map and 0 at best, between the place of a
            culture and the one estimated by a model that was fitted, and its penalty chosen,
            without it.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    centre: Floats
    penalty: float
    error: float

    @classmethod
    def fit(cls, positions: Floats, coordinates: Floats) -> CulturalMapModel:
        """Return the model of the cultures' places.

        Args:
            positions: float64[c, q], features of each culture's people, such as mean option
                positions in [0, 1]; NaN if they were not asked, which counts as the mean.
            coordinates: float64[c, 2], survival to self-expression, traditional to secular.

        Raises:
            ValueError: fewer than `MIN_CULTURES` cultures, a coordinate that is not finite, shapes
                that do not fit, or no feature that tells cultures apart.
        """
        _check(positions, coordinates)
        _, scale = _moments(positions)
        if not np.isfinite(scale).any():
            raise ValueError("no question has answers that differ between the cultures")
        misses = [_measure_miss(positions, coordinates, row) for row in range(len(positions))]
        return _fit(
            positions,
            coordinates,
            penalty=_choose_penalty(positions, coordinates),
            error=float(np.sqrt(np.mean(np.square(misses)))),
        )

    def place(self, positions: Floats) -> Floats:
        """Return float64[m, 2], the places of float64[m, q] features like those of `fit`.

        A row of nothing but NaN is placed at the centre.

        Raises:
            ValueError: the number of features is another than in `fit`.
        """
        if positions.ndim != 2 or positions.shape[1] != len(self.mean):
            raise ValueError(
                f"positions of shape {positions.shape}, expected [m, {len(self.mean)}]"
            )
        return self.centre + _standardise(positions, self.mean, self.scale) @ self.weights


def mean_positions(questions: Sequence[Question], answers: Sequence[MapAnswers]) -> Floats:
    """Return float64[m, q]: the mean option position, in [0, 1], of each of m rows of answers.

    The position of an option is its index over the number of options less 1. Nominal questions are
    left out, so q may be less than `len(questions)`. NaN if a row has no answer.
    """
    keys = [question.key for question in questions if question.scale is not Scale.NOMINAL]
    return _table([[_position(row, key) for key in keys] for row in answers], len(keys))


def index_positions(answers: Sequence[MapAnswers]) -> Floats:
    """Return float64[m, 10]: the map's ten items, each in [0, 1], of each of m rows of answers.

    They are the items of the World Values Survey by their keys in the pack `wvs7`: happiness,
    trust, authority, petitions, God, homosexuality, abortion and national pride as mean option
    positions; the share whose first aim for the country is a postmaterialist one; and autonomy:
    independence and determination over faith and obedience as qualities for children. NaN if an
    answer is missing.
    """
    rows = [
        [
            *(_position(row, f"{_PACK}:{item}") for item in _ONE_ITEM),
            _postmaterialism(row),
            _autonomy(row),
        ]
        for row in answers
    ]
    return _table(rows, len(_ONE_ITEM) + 2)


def place_answers(
    questions: Sequence[Question],
    people: Mapping[str, MapAnswers],
    *,
    places: Mapping[str, tuple[float, float]],
    conditions: Mapping[str, Mapping[str, MapAnswers]],
) -> CulturalMap:
    """Return the map: `people` where they are published, each condition's answers as estimated.

    Args:
        questions: those that were asked.
        people: what the people of each culture answered, by culture code.
        places: published places (survival to self-expression, traditional to secular) by culture
            code. A culture without one is placed by its answers, but nothing is fitted to it.
        conditions: by name, what was answered as each culture.

    Raises:
        ValueError: fewer than `MIN_CULTURES` of `people` have a place, or their answers do not
            differ.
    """
    known = sorted(people.keys() & places.keys())
    coordinates = _table([places[code] for code in known], 2)

    of_people = [{q.key: people[c][q.key] for q in questions if q.key in people[c]} for c in known]
    every: _Features = partial(mean_positions, questions)
    candidates = [(every, CulturalMapModel.fit(every(of_people), coordinates))]
    ten = index_positions(of_people)
    if np.isfinite(_moments(ten)[1]).any():
        candidates.append((index_positions, CulturalMapModel.fit(ten, coordinates)))
    features, model = min(candidates, key=lambda candidate: candidate[1].error)
    return CulturalMap(
        people=tuple(_name_places(known, coordinates)),
        conditions={
            name: tuple(_name_places(list(rows), model.place(features(list(rows.values())))))
            for name, rows in conditions.items()
        },
        error=model.error,
    )


def _check(positions: Floats, coordinates: Floats) -> None:
    n_cultures = len(coordinates)
    if coordinates.shape != (n_cultures, 2) or positions.shape[:1] != (n_cultures,):
        found = f"positions of shape {positions.shape}, coordinates of shape {coordinates.shape}"
        raise ValueError(f"{found}; expected [c, q] and [c, 2]")
    if not np.isfinite(coordinates).all():
        raise ValueError("a coordinate is not a number; leave cultures without a place out")
    if n_cultures < MIN_CULTURES:
        raise ValueError(f"{n_cultures} cultures have a place, at least {MIN_CULTURES} are needed")


def _fit(
    positions: Floats, coordinates: Floats, *, penalty: float, error: float
) -> CulturalMapModel:
    mean, scale = _moments(positions)
    features = _standardise(positions, mean, scale)
    n_features = max(1, int(np.isfinite(scale).sum()))
    kernel = features @ features.T / n_features
    centre = coordinates.mean(axis=0)
    dual = np.linalg.solve(kernel + penalty * np.eye(len(kernel)), coordinates - centre)
    weights = features.T @ dual / n_features
    return CulturalMapModel(mean, scale, weights, centre, penalty, error)


def _choose_penalty(positions: Floats, coordinates: Floats) -> float:
    """Return the penalty with the smallest leave-one-out error over all cultures."""
    misses = np.array([_misses(positions, coordinates, row) for row in range(len(positions))])
    squares = np.square(misses).sum(axis=0)
    # Of penalties that are equal but for rounding the larger one is the more careful.
    nearly_best = squares <= 1.000001 * squares.min()
    return float(np.array(PENALTIES)[nearly_best].max())


def _misses(positions: Floats, coordinates: Floats, row: int) -> Floats:
    """Return, per penalty, how far off a model of the others places the culture in `row`.

    One eigendecomposition serves all penalties: (K + p I)⁻¹ = V (e + p)⁻¹ Vᵀ.
    """
    left, place = positions[row], coordinates[row]
    positions, coordinates = (np.delete(of, row, axis=0) for of in (positions, coordinates))
    mean, scale = _moments(positions)
    features = _standardise(positions, mean, scale)
    n_features = max(1, int(np.isfinite(scale).sum()))
    values, vectors = np.linalg.eigh(features @ features.T / n_features)
    values = np.maximum(values, 0.0)
    centre = coordinates.mean(axis=0)
    turned = vectors.T @ (coordinates - centre)
    towards = (_standardise(left[None], mean, scale) @ features.T / n_features) @ vectors
    found = [centre + ((towards / (values + penalty)) @ turned)[0] for penalty in PENALTIES]
    return np.asarray(np.linalg.norm(np.array(found) - place, axis=1))


def _measure_miss(positions: Floats, coordinates: Floats, row: int) -> float:
    """Return how far off the culture in `row` is placed, the penalty too chosen without it."""
    others = (np.delete(of, row, axis=0) for of in (positions, coordinates))
    penalty = _choose_penalty(*others)
    return float(_misses(positions, coordinates, row)[PENALTIES.index(penalty)])


def _moments(positions: Floats) -> tuple[Floats, Floats]:
    """Return each feature's mean, and its standard deviation, infinite if it never varies."""
    asked = np.isfinite(positions)
    count = np.maximum(asked.sum(axis=0), 1)
    mean = np.where(asked, positions, 0.0).sum(axis=0) / count
    squares = np.square(np.where(asked, positions - mean, 0.0)).sum(axis=0)
    deviation = np.sqrt(squares / count)
    return mean, np.where(deviation > 1e-9, deviation, np.inf)


def _standardise(positions: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.where(np.isfinite(positions), positions - mean, 0.0) / scale


def _position(answers: MapAnswers, key: str) -> float:
    if key not in answers:
        return float("nan")
    shares = answers[key]
    mean = sum(index * share for index, share in enumerate(shares))
    return mean / (len(shares) - 1)


def _postmaterialism(answers: MapAnswers) -> float:
    shares = answers.get(f"{_PACK}:{_FIRST_AIM}")
    return float("nan") if shares is None else float(sum(shares[i] for i in _POSTMATERIALIST))


def _autonomy(answers: MapAnswers) -> float:
    """Return the index in [0, 1]; the first option of its four items is that they matter."""
    more = [1.0 - _position(answers, f"{_PACK}:{item}") for item in _MORE_AUTONOMOUS]
    less = [_position(answers, f"{_PACK}:{item}") for item in _LESS_AUTONOMOUS]
    return sum(more + less) / 4


def _table(rows: Sequence[Sequence[float]], n_columns: int) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(len(rows), n_columns)


def _name_places(codes: Sequence[str], places: Floats) -> list[CulturePlace]:
    return [
        CulturePlace(culture=code, x=float(x), y=float(y))
        for code, (x, y) in zip(codes, places, strict=True)
    ]
