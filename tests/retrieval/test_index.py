"""The index against numpy brute force, its order of ties, and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.encoder import Vectors
from retrieval.errors import CultureNotIndexed, VectorsInvalid
from retrieval.index import SIMILARITY_DECIMALS, Hit, QuestionIndex, build_index, check_vectors
from survey_data.library import SurveyLibrary


def unit(rows: Any) -> Vectors:
    array = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    return np.ascontiguousarray(array / np.linalg.norm(array, axis=1)[:, None], dtype=np.float32)


def keys_of(n: int) -> list[str]:
    # Falling numbers, so that the order of rows is not the alphabetical one.
    return [f"p:Q{n - row:03d}" for row in range(n)]


def index_of(vectors: Vectors, **answered: list[int]) -> QuestionIndex:
    keys = keys_of(len(vectors))
    asked = answered or {"DEU": list(range(len(vectors)))}
    return QuestionIndex(
        keys,
        vectors,
        answered={culture: [keys[row] for row in rows] for culture, rows in asked.items()},
        model_id="m",
    )


@st.composite
def searches(draw: st.DrawFn, *, ties: bool) -> tuple[Vectors, Vectors, list[int], int, list[int]]:
    """Draw vectors, a query, the answered rows, k, and the excluded rows."""
    n, dim = draw(st.integers(1, 60)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # One-hot rows: any number of exact ties, and products without rounding error.
    vectors = np.eye(dim)[rng.integers(0, dim, n)] if ties else rng.normal(size=(n, dim))
    masks = st.lists(st.booleans(), min_size=n, max_size=n)
    answered, excluded = (
        [row for row in range(n) if mask[row]] for mask in (draw(masks), draw(masks))
    )
    query = unit(rng.normal(size=dim))[0]
    return unit(vectors), query, answered or [0], draw(st.integers(0, n + 3)), excluded


@settings(max_examples=150, deadline=None)
@given(searches(ties=True))
def test_ties_are_in_row_order_as_in_brute_force(
    search: tuple[Vectors, Vectors, list[int], int, list[int]],
) -> None:
    vectors, query, answered, k, excluded = search
    keys = keys_of(len(vectors))
    hits = index_of(vectors, DEU=answered).search(query, "DEU", k, {keys[row] for row in excluded})
    cosines = [round(float(cosine), SIMILARITY_DECIMALS) for cosine in vectors @ query]
    allowed = sorted(set(answered) - set(excluded), key=lambda row: (-cosines[row], row))
    assert hits == [Hit(keys[row], cosines[row]) for row in allowed[:k]]


@settings(max_examples=100, deadline=None)
@given(searches(ties=False))
def test_hits_are_the_nearest_of_brute_force(
    search: tuple[Vectors, Vectors, list[int], int, list[int]],
) -> None:
    vectors, query, answered, k, excluded = search
    keys = keys_of(len(vectors))
    hits = index_of(vectors, DEU=answered).search(query, "DEU", k, {keys[row] for row in excluded})
    allowed = set(answered) - set(excluded)
    nearest = sorted((float(vectors[row] @ query) for row in allowed), reverse=True)
    assert {hit.key for hit in hits} <= {keys[row] for row in allowed}
    assert len({hit.key for hit in hits}) == len(hits)
    # To one unit of the last decimal: brute force sums in another order.
    assert [hit.similarity for hit in hits] == pytest.approx(nearest[:k], abs=2e-5)
    cosine_of = dict(zip(keys, vectors @ query, strict=True))
    assert all(hit.similarity == pytest.approx(cosine_of[hit.key], abs=2e-5) for hit in hits)


def test_cosines_that_differ_by_less_than_is_kept_are_ties() -> None:
    # Each row is nearer than the one before, by some 1e-7: below SIMILARITY_DECIMALS.
    index = index_of(unit([[1, 0.002 * (1 - row / 20)] for row in range(20)]))
    hits = index.search(unit([1, 0])[0], "DEU", 3)
    assert hits == [Hit(key, 1.0) for key in index.keys[:3]]
    assert index.nearest_question(unit([1, 0])[0]) == Hit(index.keys[0], 1.0)


def test_one_vector_serves_every_culture() -> None:
    index = index_of(unit(np.eye(3)), DEU=[0, 1], KEN=[1, 2])
    query = unit([3, 2, 1])[0]
    assert [hit.key for hit in index.search(query, "DEU", 3)] == ["p:Q003", "p:Q002"]
    assert [hit.key for hit in index.search(query, "KEN", 3)] == ["p:Q002", "p:Q001"]


def test_the_nearest_question_is_of_any_culture() -> None:
    index = index_of(unit([[1, 0], [0, 1], [0, 1]]), DEU=[0])
    assert index.nearest_question(unit([0, 1])[0]) == Hit("p:Q002", 1.0)


def test_excluding_unknown_keys_changes_nothing() -> None:
    index = index_of(unit(np.eye(2)))
    assert len(index.search(unit([1, 0])[0], "DEU", 2, {"gone:Q1"})) == 2


def test_a_culture_that_is_not_indexed_is_refused() -> None:
    with pytest.raises(CultureNotIndexed, match="has those of DEU"):
        index_of(unit([1, 0])).search(unit([1, 0])[0], "FRA", 1)


def test_a_negative_k_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        index_of(unit([1, 0])).search(unit([1, 0])[0], "DEU", -1)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.eye(3), "float64"),
        (np.asfortranarray(unit(np.eye(3) + 1)), "not C-contiguous"),
        (np.ones(3, dtype=np.float32), r"float32\[3\]"),
        (2 * unit(np.eye(3)), "Row 0 has length 2.0000"),
        (np.full((1, 3), np.nan, dtype=np.float32), "length nan"),
        (np.zeros((1, 3), dtype=np.float32), "length 0.0000"),
    ],
)
def test_vectors_that_break_the_rules_are_refused(vectors: Any, message: str) -> None:
    with pytest.raises(VectorsInvalid, match=message):
        check_vectors(vectors)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (unit([1, 0, 0])[0], "3 components, expected 2"),
        (np.array([1.0, 0.0]), "float64"),
        (np.array([1, 1], dtype=np.float32), "length 1.4142"),
        (unit(np.eye(2)), "Found 2 vectors"),
    ],
)
def test_a_query_that_breaks_the_rules_is_refused(query: Any, message: str) -> None:
    index = index_of(unit(np.eye(2)))
    with pytest.raises(VectorsInvalid, match=message):
        index.search(query, "DEU", 1)
    with pytest.raises(VectorsInvalid, match=message):
        index.nearest_question(query)


def test_an_empty_index_is_refused() -> None:
    with pytest.raises(VectorsInvalid, match="no vector"):
        QuestionIndex([], np.zeros((0, 3), dtype=np.float32), answered={}, model_id="m")


@pytest.mark.parametrize("keys", [["p:Q1"], ["p:Q1", "p:Q1"]])
def test_keys_that_do_not_fit_the_vectors_are_refused(keys: list[str]) -> None:
    with pytest.raises(VectorsInvalid, match="one key per vector"):
        QuestionIndex(keys, unit(np.eye(2)), answered={}, model_id="m")


def test_the_vectors_of_an_index_are_read_only() -> None:
    index = index_of(unit(np.eye(2)))
    with pytest.raises(ValueError, match="read-only"):
        index.vectors[0, 0] = 5
    assert index.vector("p:Q002").tolist() == [1.0, 0.0]


def test_questions_are_indexed_by_their_text_alone(
    make_library: Callable[..., SurveyLibrary], hash_encoder: Callable[..., Any]
) -> None:
    library, encoder = make_library(["Why?", "When?"]), hash_encoder()
    index = build_index(
        list(library.questions.values()), answered={"DEU": library.keys_of("DEU")}, encoder=encoder
    )
    assert encoder.encoded == ["Why?", "When?"]
    assert (index.keys, index.dim, len(index)) == (("p:Q0", "p:Q1"), 8, 2)
    assert index.search(encoder.encode(["When?"])[0], "DEU", 1) == [Hit("p:Q1", 1.0)]


def test_threads_may_search_at_once() -> None:
    rng = np.random.default_rng(0)
    index = index_of(unit(rng.normal(size=(300, 16))), DEU=list(range(0, 300, 2)), KEN=[1, 3, 5])
    queries = unit(rng.normal(size=(20, 16)))
    expected = [(index.search(q, "DEU", 7), index.search(q, "KEN", 7)) for q in queries]
    wrong: list[int] = []

    def search() -> None:
        for i, query in enumerate(queries):
            if (index.search(query, "DEU", 7), index.search(query, "KEN", 7)) != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
