"""Maps of peoples: distances are kept where they can be, and the same each time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimation.positions import measure_distances, place_cultures, scale_distances
from tests.estimation.tables import made_library

ALIKE, OTHER = (0.5, 0.5), (1.0, 0.0)


def test_points_of_a_plane_keep_their_distances() -> None:
    # A rectangle of 3 by 4 has diagonals of 5.
    points = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [0.0, 4.0]])
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    found, kept = scale_distances(distances)

    assert np.linalg.norm(found[:, None] - found[None], axis=-1) == pytest.approx(distances)
    assert kept == pytest.approx(1.0)
    assert found[np.abs(found).argmax(axis=0), [0, 1]].min() > 0


def test_points_that_are_all_apart_are_kept_in_part() -> None:
    # A regular simplex of 4 corners has 3 dimensions of the same size: two of them hold 2/3.
    found, kept = scale_distances(1.0 - np.eye(4))

    assert kept == pytest.approx(2 / 3)
    assert np.isfinite(found).all()


def test_who_answers_alike_stands_in_one_place() -> None:
    library = made_library(
        {
            "made": {
                "Q0": {"DEU": ALIKE, "KEN": ALIKE, "MEX": OTHER},
                "Q1": {"DEU": ALIKE, "KEN": ALIKE},
            }
        }
    )
    distances = measure_distances(library, library.packs[0], ("DEU", "KEN", "MEX"))
    found = place_cultures(library, library.packs[0])
    places = dict(zip(found.cultures, found.points, strict=True))

    # Of (1/2, 1/2) and (1, 0) the divergence is 0.3113 bits: half of (1/2 log2 2/3 + 1/2 log2 2)
    # and of log2 4/3.
    divergence = (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2) + math.log2(4 / 3)) / 2
    assert distances[0].tolist() == pytest.approx([0.0, 0.0, math.sqrt(divergence)])
    assert places["DEU"] == pytest.approx(places["KEN"], abs=1e-6)
    assert np.linalg.norm(places["DEU"] - places["MEX"]) == pytest.approx(math.sqrt(divergence))


def test_two_peoples_make_no_map() -> None:
    library = made_library({"made": {"Q0": {"DEU": ALIKE, "KEN": OTHER}}})
    found = place_cultures(library, library.packs[0])

    assert found.points.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert found.kept == 0.0
