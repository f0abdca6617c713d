"""Conditions from the tables, and what methods come to when calibrated and pooled with them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from estimation.donors import fit_donors
from estimation.fit_files import fit_estimator
from estimation.shares import central_option
from evaluation.asking import Absent, Condition, Response
from evaluation.cells import read_cells
from evaluation.coverage import MIN_QUESTIONS, measure_intervals
from evaluation.estimates import ALL, Known, TableEstimates
from evaluation.pooling import derive, name_derived
from evaluation.run_folder import AskKey, AskRecord, RunAnswers
from evaluation.runner import RunPlan
from retrieval.index_files import library_index
from survey_data.arrays import Floats
from survey_data.distances import distribution_similarity
from survey_data.library import SurveyLibrary
from tests.estimation.tables import CODES, made_library, random_library
from tests.retrieval.conftest import HashEncoder

N_QUESTIONS = 14
KEYS = tuple(f"made:Q{i}" for i in range(N_QUESTIONS))
MakeEstimates = Callable[..., TableEstimates]


@pytest.fixture
def estimates(tmp_path: Path) -> MakeEstimates:
    """Return a function that makes the rules for a library; the questions of a pair are hidden."""

    def made(library: SurveyLibrary, known: Known = ALL) -> TableEstimates:
        encoder = HashEncoder()
        index = library_index(library, encoder)
        pairs = {key: frozenset(KEYS[i - i % 2 : i - i % 2 + 2]) for i, key in enumerate(KEYS)}
        return TableEstimates(
            library,
            fit_estimator(tmp_path, library, encoder, index),
            "made",
            vectors=index.vectors.astype(np.float64),
            hidden=pairs,
            known=known,
        )

    return made


def shares_of(response: Response) -> Floats:
    assert response.shares is not None
    return np.array(response.shares)


def poisoned(library: SurveyLibrary, culture: str, *keys: str) -> SurveyLibrary:
    """Return the library with other answers of a culture to some questions."""
    packs = [
        replace(
            pack,
            distributions=tuple(
                replace(cell, shares=(0.98, 0.01, 0.01))
                if cell.culture == culture and cell.question in keys
                else cell
                for cell in pack.distributions
            ),
        )
        for pack in library.packs
    ]
    return SurveyLibrary(packs, library.catalogue)


def test_there_are_two_estimates_and_two_references(estimates: MakeEstimates) -> None:
    library = random_library(N_QUESTIONS)

    names = {c.name: c.kind for c in estimates(library).make_conditions()}
    thin = [c.name for c in estimates(library, Known(cultures=1)).make_conditions()]

    assert names == {
        "transfer": "estimate",
        "related": "estimate",
        "most similar by shares": "reference",
        "stacked countries": "reference",
    }
    assert thin == ["transfer", "most similar by shares", "stacked countries"]


def test_one_culture_has_nobody_to_transfer_from(estimates: MakeEstimates) -> None:
    alone = estimates(random_library(N_QUESTIONS, n_cultures=1))

    assert [c.name for c in alone.make_conditions()] == ["related"]


@pytest.mark.parametrize("rule", ["transfer", "relate", "most_similar", "stack_countries"])
def test_what_is_hidden_is_never_used(estimates: MakeEstimates, rule: str) -> None:
    library = random_library(N_QUESTIONS)
    question = library.questions["made:Q4"]
    before = getattr(estimates(library), rule)(question, "DEU")

    # Its own answer, and that to the other question of the pair.
    hidden = getattr(estimates(poisoned(library, "DEU", "made:Q4", "made:Q5")), rule)
    others = [key for key in KEYS if key not in ("made:Q4", "made:Q5")]
    open_ = getattr(estimates(poisoned(library, "DEU", *others)), rule)

    # World means, which `related` departs from, have the culture's own answer in them elsewhere.
    assert_allclose(shares_of(hidden(question, "DEU")), shares_of(before), atol=1e-9)
    assert open_(question, "DEU") != before


def test_donors_are_other_cultures_found_without_what_is_hidden(estimates: MakeEstimates) -> None:
    library = random_library(N_QUESTIONS)
    question = library.questions["made:Q4"]

    found = estimates(library).find_donors(question, "DEU")
    hidden = estimates(poisoned(library, "DEU", "made:Q4", "made:Q5")).find_donors(question, "DEU")

    weights = [weight for _, weight in found]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1.0)
    assert {code for code, _ in found} == set(library.cultures) - {"DEU"}
    assert hidden == found


def test_the_most_similar_is_found_on_other_questions(estimates: MakeEstimates) -> None:
    library = random_library(N_QUESTIONS)
    question = library.questions["made:Q0"]
    others = [key for key in KEYS if key not in ("made:Q0", "made:Q1")]

    found = estimates(library).most_similar(question, "DEU")

    def shares(key: str, culture: str) -> tuple[float, ...]:
        cell = library.distribution(key, culture)
        assert cell is not None
        return cell.shares

    def similarity(culture: str) -> float:
        return math.fsum(
            distribution_similarity(shares(key, "DEU"), shares(key, culture)) for key in others
        )

    nearest = max(CODES[1:4], key=similarity)
    assert_allclose(shares_of(found), np.array(shares("made:Q0", nearest)))


def test_stacked_countries_are_weighted_as_donors_are(estimates: MakeEstimates) -> None:
    library = random_library(N_QUESTIONS)
    rules = estimates(library)
    table = rules._table

    found = rules.stack_countries(library.questions["made:Q0"], "DEU")

    column = table.column("DEU")
    others = [c for c in range(4) if c != column]
    weights = fit_donors(table, column, others, range(2, N_QUESTIONS)).stacked
    expected = weights / weights.sum() @ table.shares[0, others]
    assert_allclose(shares_of(found), expected)


def test_a_question_asked_of_nobody_else_has_equal_shares(estimates: MakeEstimates) -> None:
    answers = {f"Q{i}": {"DEU": (0.6, 0.3, 0.1), "KEN": (0.2, 0.3, 0.5)} for i in range(14)}
    answers["Q0"] = {"DEU": (0.6, 0.3, 0.1)}
    library = made_library({"made": answers})
    rules, question = estimates(library), library.questions["made:Q0"]

    for rule in (rules.transfer, rules.most_similar, rules.stack_countries):
        assert_allclose(shares_of(rule(question, "DEU")), np.full(3, 1 / 3))


def test_thin_tables_know_as_little_as_is_said(estimates: MakeEstimates) -> None:
    library = random_library(N_QUESTIONS, n_cultures=6)
    question = library.questions["made:Q0"]

    few = estimates(library, Known(cultures=1))
    shares = shares_of(few.stack_countries(question, "DEU"))
    cells = (library.distribution("made:Q0", other) for other in CODES if other != "DEU")
    assert sum(np.allclose(shares, cell.shares) for cell in cells if cell) == 1

    rules = estimates(library, Known(answers=3))
    known = rules._usable(rules._view("DEU"), 0)
    assert len(known) == 3
    assert not {0, 1} & set(known.tolist())
    used = [KEYS[row] for row in known]
    unused = [key for key in KEYS if key not in used]
    altered = estimates(poisoned(library, "DEU", *unused), Known(answers=3))
    assert_allclose(
        shares_of(altered.transfer(question, "DEU")),
        shares_of(rules.transfer(question, "DEU")),
        atol=1e-9,
    )


def test_what_is_known_is_told_in_words() -> None:
    assert ALL.describe() == ""
    assert Known(3, 10).describe() == "3 other cultures asked, 10 own answers known"


def scored(
    library: SurveyLibrary, shares: Mapping[str, Callable[[str, str], Response]]
) -> tuple[RunPlan, RunAnswers]:
    """Return a finished run of conditions that answer by rules."""
    kinds = {"transfer": "estimate"}
    plan = RunPlan(
        conditions=tuple(
            Condition(name, kinds.get(name, "method"), Absent(name))  # type: ignore[arg-type]
            for name in shares
        ),
        cultures=library.cultures,
        questions=tuple(library.questions.values()),
        library=library,
    )
    asks, responses = {}, {}
    for condition in plan.conditions:
        for ask in plan.asks(condition):
            digest = f"{condition.name} {ask.culture} {ask.question.key}"
            key = AskKey(condition.name, ask.culture, ask.question.key, ask.order, ask.seed)
            asks[key] = AskRecord(digest, (), steered=True)
            responses[digest] = shares[condition.name](ask.question.key, ask.culture)
    return plan, RunAnswers(asks, responses)


def overconfident(library: SurveyLibrary) -> Callable[[str, str], Response]:
    """Return a method that knows people's shares and is four times too sure of them."""

    def answer(key: str, culture: str) -> Response:
        cell = library.distribution(key, culture)
        assert cell is not None
        raised = np.array(cell.shares) ** 4
        return Response(shares=tuple(raised / raised.sum()), option=cell.mode)

    return answer


def equal(key: str, culture: str) -> Response:
    return Response(shares=(1 / 3, 1 / 3, 1 / 3), option=0)


def test_a_method_is_calibrated_and_pooled() -> None:
    library = random_library(30)
    plan, answers = scored(library, {"icl": overconfident(library), "transfer": equal})
    cells = {c.name: read_cells(plan, c, answers) for c in plan.conditions}

    conditions, made = derive(plan, cells)

    assert [c.name for c in conditions] == ["calibrated icl", "pooled icl"]
    assert name_derived(cells, ["icl"]) == tuple(c.name for c in conditions)
    found = {c.name: read_cells(plan, c, made).similarity.mean() for c in conditions}
    assert found["calibrated icl"] > cells["icl"].similarity.mean() + 0.1
    assert (
        found["pooled icl"]
        >= max(found["calibrated icl"], cells["transfer"].similarity.mean()) - 0.003
    )


def test_nothing_is_derived_without_estimates() -> None:
    library = random_library()
    plan, answers = scored(library, {"icl": equal})
    cells = {c.name: read_cells(plan, c, answers) for c in plan.conditions}

    assert derive(plan, cells) == ((), RunAnswers({}, {}))
    assert name_derived(cells, ["icl"]) == ()


def test_no_answer_is_put_right_by_itself() -> None:
    library = random_library(20)
    rules = {"icl": overconfident(library), "transfer": equal}
    plan, answers = scored(library, rules)
    cells = {c.name: read_cells(plan, c, answers) for c in plan.conditions}
    before = derive(plan, cells)[1]

    other = poisoned(library, "DEU", "made:Q3")
    after = derive(replace(plan, library=other), cells)[1]

    changed = {
        key.question
        for key, ask in before.asks.items()
        if before.responses[ask.digest] != after.responses[ask.digest]
    }
    assert changed
    assert "made:Q3" not in changed


def test_an_unreadable_answer_stays_so_and_is_the_estimate_when_pooled() -> None:
    library = random_library(20)

    def silent(key: str, culture: str) -> Response:
        return Response() if key == "made:Q3" else overconfident(library)(key, culture)

    plan, answers = scored(library, {"icl": silent, "transfer": equal})
    cells = {c.name: read_cells(plan, c, answers) for c in plan.conditions}

    conditions, made = derive(plan, cells)

    calibrated, pooled = (read_cells(plan, c, made) for c in conditions)
    assert (calibrated.unreadable[:, 3] == 1.0).all()
    assert np.nansum(calibrated.unreadable) == len(library.cultures)
    assert_allclose(pooled.shares[:, 3, :3], 1 / 3)


def test_an_estimate_names_the_option_that_is_off_by_the_fewest_places() -> None:
    shares = (0.35, 0.0, 0.3, 0.34, 0.01)
    library = made_library({"made": {f"Q{i}": {"DEU": (0.0, 0.0, 1.0, 0.0, 0.0)} for i in "ab"}})

    def answer(key: str, culture: str) -> Response:
        return Response(shares=shares, option=0)

    plan, answers = scored(library, {"icl": answer, "transfer": answer})
    method, estimate = (read_cells(plan, c, answers) for c in plan.conditions)

    assert central_option(np.array(shares)) == 2
    assert (method.missed == 4.0).all()
    assert (estimate.missed == 0.0).all()
    assert (estimate.exact == 0.0).all()


def test_intervals_cover_nine_in_ten_of_what_they_were_not_learned_from() -> None:
    random = np.random.default_rng(2)
    people = random.dirichlet(np.full(4, 2.0), size=(6, 200))
    logits = np.log(people) + random.normal(scale=0.4, size=people.shape)
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    n_options = np.full(200, 4)

    found = measure_intervals("x", shares, people, cultures=CODES, n_options=n_options)

    assert found is not None
    assert 0.88 <= found.coverage <= 0.92
    assert set(found.by_culture) == set(CODES)
    assert 0.0 < found.width < 0.6
    few = slice(MIN_QUESTIONS - 1)
    assert (
        measure_intervals(
            "x", shares[:, few], people[:, few], cultures=CODES, n_options=n_options[few]
        )
        is None
    )


def test_rules_are_asked_as_respondents(estimates: MakeEstimates) -> None:
    library = random_library(N_QUESTIONS)
    condition = estimates(library).make_conditions()[0]
    plan = RunPlan((condition,), library.cultures, tuple(library.questions.values()), library)
    ask = next(plan.asks(condition))

    async def respond() -> Response:
        return await condition.respondent.respond(await condition.respondent.request(ask))

    shares = asyncio.run(respond()).shares
    assert shares is not None
    assert math.fsum(shares) == pytest.approx(1.0)
