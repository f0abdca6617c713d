"""From the answers of a finished run to its figures; no model is needed any more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evaluation import bootstrap
from evaluation.ability import AbilityPlan, score_ability
from evaluation.asking import Response
from evaluation.cells import CellRow, Cells, read_cells
from evaluation.cultural_map import MapAnswers, cultural_map
from evaluation.decoding import ReadBy
from evaluation.figures import Ability, CulturalMap, Figures, SampleQuestion
from evaluation.run_folder import AskKey, AskRecord
from evaluation.runner import RunPlan
from evaluation.sections import SectionPlan, Tables, build_section, list_asked
from prompting.reading import MIN_LABEL_MASS
from survey_data.model import Question

N_SAMPLES = 6
# Fewer questions say little of a whole country's place.
MIN_MAP_QUESTIONS = 30


@dataclass(frozen=True)
class Scoring:
    """How answers are read and figures are made.

    Attributes:
        read_by: the parser of answers in text.
        min_label_mass: under which a reading of log-probabilities is void.
        n_draws, seed: of the bootstrap.
    """

    read_by: ReadBy = ReadBy.LOGPROBS
    min_label_mass: float = MIN_LABEL_MASS
    n_draws: int = bootstrap.N_DRAWS
    seed: int = 0


class RunFacts(NamedTuple):
    """What a report says of a run besides its figures."""

    respondent: str
    pack: str
    compared: str
    pack_title: str
    created: str
    settings: dict[str, str]
    notes: tuple[str, ...] = ()


def score_run(
    plan: RunPlan,
    *,
    asked: Mapping[AskKey, AskRecord],
    answers: Mapping[str, Response],
    sections: Sequence[SectionPlan],
    about: RunFacts,
    scoring: Scoring | None = None,
) -> Figures:
    """Return the figures of a finished run, the same ones for the same answers.

    Samples are taken from the last section.

    Raises:
        TooFewAnswers: a section has fewer than two questions, so that no interval can be had.
    """
    how = scoring or Scoring()
    cells = {
        condition.name: read_cells(
            plan,
            condition,
            asked=asked,
            answers=answers,
            read_by=how.read_by,
            min_label_mass=how.min_label_mass,
        )
        for condition in plan.conditions
    }
    tables = Tables(plan, cells, asked, answers)
    found = [build_section(tables, of, n_draws=how.n_draws, seed=how.seed) for of in sections]
    return Figures(
        **about._asdict(),
        culture_names={code: plan.library.catalogue[code].name for code in plan.cultures},
        sections=tuple(found),
        samples=tuple(_samples(plan, cells, sections[-1])),
        cultural_map=_cultural_map(plan, cells),
        ability=_ability(plan.ability, tables, how),
    )


def _ability(plan: AbilityPlan | None, tables: Tables, how: Scoring) -> Ability | None:
    if plan is None:
        return None
    return score_ability(
        plan,
        asked=tables.asked,
        answers=tables.answers,
        min_label_mass=how.min_label_mass,
        n_draws=how.n_draws,
        seed=how.seed,
    )


def _samples(plan: RunPlan, cells: Mapping[str, Cells], of: SectionPlan) -> list[SampleQuestion]:
    """Return a few cells, evenly spread over the questions and cultures of a section."""
    rows, columns = list_asked(plan, of)
    cultures, questions = [plan.cultures[i] for i in rows], [plan.questions[j] for j in columns]
    found = []
    n_samples = min(N_SAMPLES, len(questions))
    for number in range(n_samples):
        question = questions[number * len(questions) // n_samples]
        among = [c for c in cultures if plan.library.distribution(question.key, c) is not None]
        culture = among[number % len(among)]
        people = plan.library.distribution(question.key, culture)
        answers = {name: _answer(plan, table, question, culture) for name, table in cells.items()}
        found.append(
            SampleQuestion(
                key=question.key,
                text=question.text,
                options=question.options,
                culture=culture,
                people=() if people is None else people.shares,
                answers={name: shares for name, shares in answers.items() if shares},
            )
        )
    return found


def _cultural_map(plan: RunPlan, cells: Mapping[str, Cells]) -> CulturalMap | None:
    """Return the cultural map; None where too little was asked to place anybody."""
    if len(plan.questions) < MIN_MAP_QUESTIONS:
        return None
    catalogue, people, places = plan.library.catalogue, {}, {}
    for code in plan.cultures:
        people[code] = {
            question.key: cell.shares
            for question in plan.questions
            if (cell := plan.library.distribution(question.key, code)) is not None
        }
        if (place := catalogue[code].position) is not None:
            places[code] = (place.survival_expression, place.traditional_secular)
    conditions: dict[str, dict[str, MapAnswers]] = {}
    for condition in plan.conditions:
        if condition.kind not in ("method", "recorded"):
            continue
        table = cells[condition.name]
        conditions[condition.name] = {
            code: {
                question.key: shares
                for question in plan.questions
                if (shares := _answer(plan, table, question, code))
            }
            for code in plan.cultures_of(condition)
        }
    try:
        return cultural_map(plan.questions, people, places=places, conditions=conditions)
    except ValueError:
        # Too few of the cultures have a published place to fit anything to.
        return None


def _answer(plan: RunPlan, table: Cells, question: Question, culture: str) -> tuple[float, ...]:
    """Return the shares that were answered with the first seed, none where there are none."""
    first = CellRow(culture, table.rows[0].seed)
    if first not in table.rows:
        return ()
    row = table.rows.index(first)
    shares = table.shares[row, plan.questions.index(question), : len(question.options)]
    values: list[float] = shares.tolist()
    return () if any(map(math.isnan, values)) else tuple(values)
