"""The alignment score against values worked out by hand and against the published table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import CultureNotCovered
from survey_data.library import SurveyLibrary
from survey_data.model import Pack
from survey_data.similarity import ComparisonUnavailable, CultureSimilarity, alignment_score

MakePack = Callable[..., Pack]


@pytest.mark.parametrize(
    ("chosen", "gold", "n_options", "expected"),
    [
        ([1, 2], [1, 2], [4, 10], 1.0),
        ([2], [1], [4], 2 / 3),  # 1 - 1/3
        ([4], [1], [4], 0.0),  # 1 - 3/3
        ([1, 1], [1, 8], [4, 10], 0.262135),  # 1 - 7/sqrt(9 + 81)
    ],
)
def test_the_alignment_score_by_hand(
    chosen: list[int], gold: list[int], n_options: list[int], expected: float
) -> None:
    assert alignment_score(chosen, gold, n_options) == pytest.approx(expected, abs=1e-6)


def test_the_alignment_score_of_no_question_is_not_defined() -> None:
    with pytest.raises(ValueError, match="not defined"):
        alignment_score([], [], [])


@pytest.mark.parametrize(("gold", "n_options"), [([1], [4, 4]), ([1, 1], [4])])
def test_the_alignment_score_wants_one_of_each(gold: list[int], n_options: list[int]) -> None:
    with pytest.raises(ValueError, match="zip"):
        alignment_score([1, 2], gold, n_options)


def test_the_published_country_table_is_reproduced(shared: Path) -> None:
    folder = shared / "data" / "culturespa"
    questions = json.loads((folder / "wvs_questions.json").read_bytes())
    n_options = {question["Q_id"]: len(question["option_lst"]) for question in questions}
    cells = json.loads((folder / "proportions_group_by_country.json").read_bytes())
    table = json.loads((folder / "country_similarity.json").read_bytes())
    items = [f"Q{n}" for n in range(1, 260) if n != 223] + ["Q234A"]
    wrong = []
    for one, row in table.items():
        for other, published in row.items():
            asked = [item for item in items if cells[one][item] and cells[other][item]]
            # The first code of a cell is the modal one.
            ones, others = (
                [int(next(iter(cells[country][item]))) for item in asked]
                for country in (one, other)
            )
            score = alignment_score(ones, others, [n_options[item] for item in asked])
            if round(100 * score, 1) != published:
                wrong.append((one, other, score, published))
    assert sum(len(row) for row in table.values()) == 306
    assert not wrong


def similarity(catalogue: CultureCatalogue, *packs: Pack) -> CultureSimilarity:
    return CultureSimilarity(SurveyLibrary(packs, catalogue))


def test_the_most_and_least_similar_come_extreme_first(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    pack = make_pack({"DEU": [0, 0], "FRA": [0, 0], "ITA": [1, 0], "KEN": [3, 1], "NGA": [3, 3]})
    compared = similarity(catalogue, pack).contrast("DEU", 2)
    assert compared.most_similar == ("FRA", "ITA")
    assert compared.least_similar == ("NGA", "KEN")


def test_scores_are_percentages(make_pack: MakePack, catalogue: CultureCatalogue) -> None:
    pack = make_pack({"DEU": [0], "FRA": [0], "ITA": [1], "NGA": [3]})
    # Four options: 1 - d/3 for a distance of d.
    expected = {"FRA": 100.0, "ITA": 100 * 2 / 3, "NGA": 0.0}
    assert similarity(catalogue, pack).scores("DEU") == pytest.approx(expected)


def test_equal_scores_are_in_the_order_of_codes(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    pack = make_pack({"DEU": [1], "NLD": [0], "FRA": [0], "ITA": [2], "CHE": [2]})
    compared = similarity(catalogue, pack).contrast("DEU", 2)
    assert compared == (("CHE", "FRA"), ("CHE", "FRA"))


def test_no_culture_is_both_like_and_unlike_where_scores_differ(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    pack = make_pack({"DEU": [0], "FRA": [0], "ITA": [1], "NGA": [3]})
    compared = similarity(catalogue, pack).contrast("DEU", 3)
    assert compared == (("FRA",), ("NGA",))


def test_only_questions_that_both_answered_count(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    pack = make_pack({"DEU": [0, 0], "FRA": [0, None], "ITA": [3, 0], "NGA": [None, 3]})
    scores = similarity(catalogue, pack).scores("FRA")
    assert scores == {"DEU": 100.0, "ITA": 0.0}


def test_the_pack_that_knows_the_culture_best_is_compared_in(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    small = make_pack({"DEU": [0], "JPN": [0], "KOR": [1]}, pack_id="small")
    large = make_pack({"DEU": [0, 1], "FRA": [0, 1], "ITA": [1, 1]}, pack_id="large")
    found = similarity(catalogue, small, large)
    assert set(found.scores("DEU")) == {"FRA", "ITA"}
    assert set(found.scores("JPN")) == {"DEU", "KOR"}


def test_a_culture_alone_in_its_pack_cannot_be_compared(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    found = similarity(catalogue, make_pack({"DEU": [0], "FRA": [0]}))
    with pytest.raises(ComparisonUnavailable, match="Found 1 other"):
        found.contrast("DEU")


def test_an_uncovered_culture_cannot_be_compared(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    with pytest.raises(CultureNotCovered):
        similarity(catalogue, make_pack({"DEU": [0]})).contrast("JPN")
