"""Selectors choose what they promise, and never show a question its own answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from retrieval.encoder import Encoder
from retrieval.exemplar import Exemplar
from retrieval.index import QuestionIndex
from retrieval.index_files import library_index
from retrieval.selector import (
    ChrfSelector,
    ExemplarPool,
    Query,
    Selector,
    make_selector,
    select_elsewhere,
)
from retrieval.selector_name import SelectorName
from survey_data.cultures import CultureCatalogue
from survey_data.errors import CultureNotCovered
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Question, ResponseDistribution, Scale
from tests.packs import made_manifest

MakeLibrary = Callable[..., SurveyLibrary]
MakeEncoder = Callable[..., Any]
ALL = pytest.mark.parametrize("name", list(SelectorName))
TEXTS = [f"{word} matters how much?" for word in ("Family", "Work", "Faith", "Money", "Sport")]


def keys(exemplars: Sequence[Exemplar]) -> list[str]:
    return [exemplar.question.key for exemplar in exemplars]


def selector_of(
    name: SelectorName, library: SurveyLibrary, encoder: Encoder, **options: Any
) -> Selector:
    index = library_index(library, encoder)
    return make_selector(name, library, index=index, encoder=encoder, **options)


@pytest.fixture(scope="module")
def shipped_selectors(
    shipped: SurveyLibrary, shipped_index: QuestionIndex, minilm: Encoder
) -> Mapping[SelectorName, Selector]:
    return {
        name: make_selector(name, shipped, index=shipped_index, encoder=minilm)
        for name in SelectorName
    }


@ALL
def test_k_exemplars_of_the_culture_are_returned(
    name: SelectorName, shipped_selectors: Mapping[SelectorName, Selector]
) -> None:
    asked = Query("How much do you trust your neighbours?", topic="Social values")
    exemplars = shipped_selectors[name].select(asked, "DEU", 5)
    assert len(set(keys(exemplars))) == 5
    assert {exemplar.distribution.culture for exemplar in exemplars} == {"DEU"}
    for exemplar in exemplars:
        assert exemplar.distribution.question == exemplar.question.key


@ALL
def test_the_same_query_gets_the_same_exemplars(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    library = make_library(TEXTS)
    one, other = (selector_of(name, library, hash_encoder()) for _ in range(2))
    asked = Query("Sport and work?", topic="Life", seed=3)
    assert one.select(asked, "DEU", 3) == other.select(asked, "DEU", 3)


@ALL
def test_the_asked_key_is_never_shown(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = selector_of(name, make_library(TEXTS), hash_encoder())
    found = selector.select(Query("put in other words", key="p:Q2"), "DEU", 9)
    assert sorted(keys(found)) == ["p:Q0", "p:Q1", "p:Q3", "p:Q4"]


@ALL
def test_the_asked_text_is_never_shown_whatever_its_case_and_blanks(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    library = make_library([*TEXTS, "work  matters HOW much?"])
    selector = selector_of(name, library, hash_encoder())
    asked = Query(" WORK matters how\nmuch? ", topic="Life")
    assert sorted(keys(selector.select(asked, "DEU", 9))) == ["p:Q0", "p:Q2", "p:Q3", "p:Q4"]


@ALL
def test_excluded_questions_are_passed_over(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = selector_of(name, make_library(TEXTS), hash_encoder())
    found = selector.select(Query("Money?", topic="Life"), "DEU", 9, {"p:Q0", "p:Q3"})
    assert sorted(keys(found)) == ["p:Q1", "p:Q2", "p:Q4"]


@ALL
def test_what_the_culture_was_not_asked_is_passed_over(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    library = make_library(TEXTS, not_asked={"KEN": [0, 4]})
    selector = selector_of(name, library, hash_encoder())
    asked = Query("Family and sport?", topic="Life")
    everywhere = keys(selector.select(asked, "DEU", 9))
    there = [key for key in everywhere if key not in {"p:Q0", "p:Q4"}]
    assert keys(selector.select(asked, "KEN", 2)) == there[:2]


@ALL
def test_no_exemplars_are_returned_where_none_are_wanted(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = selector_of(name, make_library(TEXTS), hash_encoder())
    assert selector.select(Query("Why?"), "DEU", 0) == ()


@ALL
def test_a_culture_without_a_survey_is_refused(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = selector_of(name, make_library(TEXTS), hash_encoder())
    with pytest.raises(CultureNotCovered):
        selector.select(Query("Why?"), "FRA", 1)


def test_dense_finds_the_question_that_means_the_same(
    shipped_selectors: Mapping[SelectorName, Selector],
) -> None:
    asked = Query("Do you feel close to your nation?")
    (nearest, second) = shipped_selectors[SelectorName.DENSE].select(asked, "DEU", 2)
    assert nearest.question.key == "wvs7:Q257"  # attached to your country
    assert nearest.similarity is not None
    assert second.similarity is not None
    assert 1 > nearest.similarity > second.similarity > 0


def test_dense_takes_a_given_vector_without_encoding(
    make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    encoder = hash_encoder()
    selector = selector_of(SelectorName.DENSE, make_library(TEXTS), encoder)
    vector = hash_encoder().encode([TEXTS[3]])[0]
    encoder.encoded.clear()
    (found,) = selector.select(Query("anything", vector=vector), "DEU", 1)
    assert (found.question.key, found.similarity, encoder.encoded) == ("p:Q3", 1.0, [])


NEAR = {"a": (1, 0, 0), "b": (0.99, 0.14, 0), "c": (0.98, 0, 0.2), "d": (0, 1, 0), "e": (0, 0, 1)}


def near_selector(
    make_library: MakeLibrary, hash_encoder: MakeEncoder, near_duplicate: float | None
) -> Selector:
    encoder = hash_encoder(dim=3, told={**NEAR, "asked": (1, 0.1, 0.05)})
    library = make_library(list(NEAR))
    return selector_of(SelectorName.DENSE, library, encoder, near_duplicate=near_duplicate)


def test_dense_passes_over_near_duplicates_of_what_it_took(
    make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = near_selector(make_library, hash_encoder, 0.97)
    # b is nearest; its cosine with a is 0.990 and with c 0.970, so d comes next.
    assert keys(selector.select(Query("asked"), "DEU", 3)) == ["p:Q1", "p:Q3", "p:Q4"]


def test_dense_keeps_near_duplicates_where_told(
    make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = near_selector(make_library, hash_encoder, None)
    assert keys(selector.select(Query("asked"), "DEU", 3)) == ["p:Q1", "p:Q0", "p:Q2"]


def test_near_duplicates_need_an_index(make_library: MakeLibrary) -> None:
    with pytest.raises(ValueError, match="needs an index"):
        ExemplarPool(make_library(["a"]), near_duplicate=0.9)


def test_chrf_passes_over_near_duplicates_where_told(
    make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    library = make_library(["work and play", "work and plays", "sleep"])
    told = {"work and play": (1, 0), "work and plays": (1, 0), "sleep": (0, 1)}
    index = library_index(library, hash_encoder(dim=2, told=told))
    asked = Query("work and")
    pool = ExemplarPool(library, index=index, near_duplicate=0.97)
    assert keys(ChrfSelector(pool).select(asked, "DEU", 2)) == ["p:Q0", "p:Q2"]
    assert keys(ChrfSelector(ExemplarPool(library)).select(asked, "DEU", 2)) == ["p:Q0", "p:Q1"]


def test_chrf_ties_are_in_pack_order(make_library: MakeLibrary, hash_encoder: MakeEncoder) -> None:
    library = make_library(["zz", "abc", "yy", "xx"])
    selector = selector_of(SelectorName.CHRF, library, hash_encoder())
    found = selector.select(Query("abcd"), "DEU", 4)
    assert keys(found) == ["p:Q1", "p:Q0", "p:Q2", "p:Q3"]
    assert [exemplar.similarity for exemplar in found[1:]] == [0.0, 0.0, 0.0]


def test_chrf_gives_the_published_lists(shared: Path, catalogue: CultureCatalogue) -> None:
    folder = shared / "data" / "culturespa"
    items = json.loads((folder / "wvs_questions.json").read_bytes())
    published = json.loads((folder / "self_alignment_examples.json").read_bytes())
    evaluated = {f"Q{n}" for n in range(1, 260) if n != 223} | {"Q234A"}
    pool = ExemplarPool(_one_country([i for i in items if i["Q_id"] in evaluated], catalogue))
    selector = ChrfSelector(pool)
    wrong = []
    for item in items:
        asked = Query(item["question"], key=f"wvs:{item['Q_id']}")
        found = [key.removeprefix("wvs:") for key in keys(selector.select(asked, "DEU", 259))]
        if found != published[item["Q_id"]]:
            wrong.append(item["Q_id"])
    assert len(published) == 291
    assert not wrong


def _one_country(items: Sequence[Mapping[str, Any]], catalogue: CultureCatalogue) -> SurveyLibrary:
    """Return a library in which Germany answered every item."""
    questions = tuple(
        Question(
            key=f"wvs:{item['Q_id']}",
            topic="all",
            text=item["question"],
            options=tuple(item["option_lst"]),
            scale=Scale.NOMINAL,
        )
        for item in items
    )
    manifest = made_manifest("wvs")
    answers = tuple(ResponseDistribution(question.key, "DEU", (1.0,)) for question in questions)
    return SurveyLibrary([Pack(manifest, questions, answers)], catalogue)


TOPICS = ["Home", "Work", "Home", "Work", "Home"]


@pytest.mark.parametrize(
    "asked",
    [
        Query("Why?", topic="Home"),
        Query("Why?", key="p:Q4"),
        Query(TEXTS[2].upper() + "!"),  # told to be nearest to Q2
    ],
)
def test_topic_draws_from_the_topic_only(
    make_library: MakeLibrary, hash_encoder: MakeEncoder, asked: Query
) -> None:
    library = make_library(TEXTS, topics=TOPICS)
    encoder = hash_encoder()
    encoder.told[TEXTS[2].upper() + "!"] = hash_encoder().encode([TEXTS[2]])[0]
    selector = selector_of(SelectorName.TOPIC, library, encoder)
    home = {"p:Q0", "p:Q2", "p:Q4"} - {asked.key}
    assert set(keys(selector.select(asked, "DEU", 5))) == home


def test_topic_finds_nothing_in_a_topic_that_is_not_there(
    make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = selector_of(SelectorName.TOPIC, make_library(TEXTS), hash_encoder())
    assert selector.select(Query("Why?", topic="Cooking"), "DEU", 5) == ()


@pytest.mark.parametrize("name", [SelectorName.RANDOM, SelectorName.TOPIC])
def test_seed_and_question_decide_a_draw_and_nothing_else(
    name: SelectorName, shipped_selectors: Mapping[SelectorName, Selector]
) -> None:
    def drawn(culture: str, **query: Any) -> list[str]:
        asked = Query(topic="Social values", **query)
        return keys(shipped_selectors[name].select(asked, culture, 5))

    assert drawn("USA", text="Why?", seed=1) == drawn("BRA", text=" why? ", seed=1)
    assert drawn("USA", text="Why?", seed=1) != drawn("USA", text="Why?", seed=2)
    assert drawn("USA", text="Why?", seed=1) != drawn("USA", text="When?", seed=1)


def test_random_draws_are_even(make_library: MakeLibrary, hash_encoder: MakeEncoder) -> None:
    selector = selector_of(SelectorName.RANDOM, make_library(TEXTS), hash_encoder())
    first = [keys(selector.select(Query("Why?", seed=s), "DEU", 1))[0] for s in range(1000)]
    # 1000 draws of 5: 200 each, standard deviation sqrt(1000 x 0.2 x 0.8) = 12.6.
    assert all(abs(first.count(f"p:Q{i}") - 200) < 64 for i in range(5))


@pytest.mark.parametrize("name", [SelectorName.RANDOM, SelectorName.TOPIC])
def test_a_draw_has_no_similarity(
    name: SelectorName, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    selector = selector_of(name, make_library(TEXTS), hash_encoder())
    found = selector.select(Query("Why?", topic="Life"), "DEU", 2)
    assert [exemplar.similarity for exemplar in found] == [None, None]


def test_the_heaviest_other_cultures_that_were_asked_are_shown(shipped: SurveyLibrary) -> None:
    religion = shipped.questions["wvs7:Q6"]
    # France was not asked; a negative weight says that likeness means the opposite.
    weights = [("NLD", 0.5), ("FRA", 0.3), ("AUS", 0.2), ("NZL", 0.1), ("KEN", 0.0), ("USA", -0.1)]

    found = select_elsewhere(shipped, religion, weights, 2)
    every = select_elsewhere(shipped, religion, weights, 20)

    assert [exemplar.distribution.culture for exemplar in found] == ["NLD", "AUS"]
    assert [exemplar.distribution.culture for exemplar in every] == ["NLD", "AUS", "NZL"]
    assert {exemplar.question for exemplar in every} == {religion}
    assert every[0].elsewhere == (shipped.catalogue["NLD"], 0.5)
    assert every[0].distribution == shipped.distribution("wvs7:Q6", "NLD")
    assert select_elsewhere(shipped, religion, weights, 0) == ()
