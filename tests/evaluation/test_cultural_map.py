from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.cultural_map import (
    PENALTIES,
    CulturalMapModel,
    index_positions,
    mean_positions,
    place_answers,
)
from survey_data.arrays import Floats
from survey_data.cultures import read_catalogue
from survey_data.model import Question, Scale
from survey_data.packs import read_pack

PACK = Path(__file__).resolve().parents[2] / "survey_data" / "packs" / "wvs7"


def linear_world(n_cultures: int = 20, n_questions: int = 4) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    positions = rng.random((n_cultures, n_questions))
    return positions, positions @ rng.normal(size=(n_questions, 2)) + (0.5, -1.0)


def question(key: str, n_options: int, scale: Scale = Scale.ORDINAL) -> Question:
    return Question(key, "Topic", "Text?", tuple(map(str, range(n_options))), scale)


def test_a_linear_map_is_recovered_and_its_left_out_error_is_next_to_nothing() -> None:
    positions, coordinates = linear_world()
    model = CulturalMapModel.fit(positions[:-1], coordinates[:-1])

    assert model.error < 1e-4
    assert model.penalty == PENALTIES[0]
    assert model.place(positions[-1:]) == pytest.approx(coordinates[-1:], abs=1e-4)


def test_the_places_are_those_of_a_ridge_regression_in_primal_form() -> None:
    positions, coordinates = linear_world()
    coordinates = coordinates + np.random.default_rng(0).normal(size=coordinates.shape)
    model = CulturalMapModel.fit(positions, coordinates)

    z = (positions - positions.mean(axis=0)) / positions.std(axis=0)
    q = z.shape[1]
    centred = coordinates - coordinates.mean(axis=0)
    weights = np.linalg.solve(z.T @ z + q * model.penalty * np.eye(q), z.T @ centred)
    assert model.place(positions) == pytest.approx(coordinates.mean(axis=0) + z @ weights)


def test_answers_that_say_nothing_of_the_place_have_the_error_of_the_mean_of_the_others() -> None:
    # Without any relation the largest penalties win, which place everybody near the mean.
    rng = np.random.default_rng(1)
    positions, coordinates = rng.random((20, 60)), rng.normal(size=(20, 2))
    others = (coordinates.sum(axis=0) - coordinates) / 19
    baseline = np.sqrt(np.square(coordinates - others).sum(axis=1).mean())

    error = CulturalMapModel.fit(positions, coordinates).error
    assert error == pytest.approx(baseline, rel=0.15)


def test_the_error_is_that_of_models_that_never_saw_the_culture() -> None:
    positions, coordinates = linear_world(n_cultures=8)
    coordinates = coordinates + np.random.default_rng(0).normal(size=coordinates.shape)
    squares = []
    for left in range(8):
        kept = np.arange(8) != left
        model = CulturalMapModel.fit(positions[kept], coordinates[kept])
        miss = model.place(positions[left : left + 1])[0] - coordinates[left]
        squares.append(np.square(miss).sum())

    error = CulturalMapModel.fit(positions, coordinates).error
    assert error == pytest.approx(np.sqrt(np.mean(squares)))


def test_a_question_that_was_not_asked_counts_as_the_mean() -> None:
    positions, coordinates = linear_world()
    model = CulturalMapModel.fit(positions, coordinates)
    asked = positions[:1].copy()
    asked[0, 1] = np.nan
    filled = asked.copy()
    filled[0, 1] = positions[:, 1].mean()

    assert model.place(asked) == pytest.approx(model.place(filled))
    nothing = np.full((1, positions.shape[1]), np.nan)
    assert model.place(nothing)[0] == pytest.approx(coordinates.mean(axis=0))


def test_a_question_that_all_answer_alike_or_nobody_is_of_no_account() -> None:
    positions, coordinates = linear_world()
    empty = np.full((len(positions), 1), np.nan)
    padded = np.hstack([positions, np.full((len(positions), 1), 0.5), empty])
    model = CulturalMapModel.fit(padded, coordinates)

    others = np.array([[0.9, 0.1]] * len(positions))
    found = model.place(np.hstack([positions, others]))
    assert found == pytest.approx(CulturalMapModel.fit(positions, coordinates).place(positions))


@pytest.mark.parametrize(
    ("positions", "coordinates", "message"),
    [
        (np.zeros((4, 3)), np.zeros((4, 2)), "at least 5"),
        (np.zeros((6, 3)), np.zeros((5, 2)), "expected"),
        (np.zeros((6, 3)), np.zeros((6, 2)), "differ"),
        (np.zeros((6, 0)), np.zeros((6, 2)), "differ"),
        (np.eye(6), np.full((6, 2), np.nan), "not a number"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    positions: Floats, coordinates: Floats, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CulturalMapModel.fit(positions, coordinates)


def test_places_need_the_features_of_the_fit() -> None:
    model = CulturalMapModel.fit(*linear_world())

    with pytest.raises(ValueError, match=r"expected \[m, 4\]"):
        model.place(np.zeros((1, 3)))


def test_a_mean_position_is_the_mean_index_over_the_last_index() -> None:
    # 0.5 * 0 + 0.25 * 1 + 0.25 * 2 = 0.75, over 2: 0.375
    questions = [question("a", 3), question("b", 2), question("c", 3, Scale.NOMINAL)]
    found = mean_positions(questions, [{"a": (0.5, 0.25, 0.25), "c": (1, 0, 0)}, {"b": (0, 1)}])

    assert found == pytest.approx(np.array([[0.375, np.nan], [np.nan, 1.0]]), nan_ok=True)


def test_the_indices_of_postmaterialism_and_autonomy() -> None:
    answers = {
        "wvs7:Q154": (0.4, 0.3, 0.2, 0.1),  # 0.3 + 0.1 put a postmaterialist aim first
        "wvs7:Q8": (0.9, 0.1),
        "wvs7:Q14": (0.7, 0.3),
        "wvs7:Q15": (0.2, 0.8),
        "wvs7:Q17": (0.4, 0.6),  # (0.9 + 0.7 + (1 - 0.2) + (1 - 0.4)) / 4 = 0.75
    }
    found = index_positions([answers])[0]

    assert found[-2:] == pytest.approx([0.4, 0.75])
    assert np.isnan(found[:8]).all()


def test_people_of_the_shipped_survey_are_placed_near_their_published_places() -> None:
    pack, catalogue = read_pack(PACK), read_catalogue()
    people: dict[str, dict[str, tuple[float, ...]]] = {code: {} for code in pack.cultures}
    for cell in pack.distributions:
        people[cell.culture][cell.question] = cell.shares
    places = {
        code: (position.survival_expression, position.traditional_secular)
        for code in people
        if (position := catalogue[code].position)
    }
    chart = place_answers(
        pack.questions, people, places=places, conditions={"plain": {"ZWE": people["DEU"]}}
    )

    assert chart.error < 0.3
    (point,) = chart.conditions["plain"]
    assert point.culture == "ZWE"
    # Zimbabwe's answers are Germany's here, so they stand where Germans do.
    assert (point.x, point.y) == pytest.approx(places["DEU"], abs=0.4)
    assert {p.culture: (p.x, p.y) for p in chart.people} == places
