"""From the answers of a finished run to its figures; no model is needed any more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evaluation.ability import score_ability
from evaluation.cells import CellRow, Cells, read_cells
from evaluation.cultural_map import MAP_ITEMS, place_answers
from evaluation.decoding import DEFAULT_RULES, ReadingRules
from evaluation.figures import CulturalMap, Figures, SampleQuestion
from evaluation.pooling import derive
from evaluation.run_folder import RunAnswers
from evaluation.runner import RunPlan
from evaluation.sections import SectionSpec, Tables, build_section, locate_cells
from survey_data.model import Question

N_SAMPLES = 6
# Fewer questions say little of a whole country's place.
MIN_MAP_QUESTIONS = 30


class RunFacts(NamedTuple):
    """What a report says about a run besides its figures."""

    respondent: str
    pack: str
    compared: str
    pack_title: str
    created: str
    settings: dict[str, str]
    notes: tuple[str, ...] = ()


def score_run(
    plan: RunPlan,
    answers: RunAnswers,
    *,
    sections: Sequence[SectionSpec],
    about: RunFacts,
    rules: ReadingRules = DEFAULT_RULES,
) -> Figures:
    """Return the figures of a finished run, the same ones for the same answers.

    Samples are taken from the last section.

    Raises:
        AnswersMissing: the run is not finished.
        TooFewAnswers: a section has fewer than two questions, so that there can be no interval.
    """
    tables = tabulate_answers(plan, answers, rules)
    plan, cells = tables.plan, tables.cells
    return Figures(
        **about._asdict(),
        culture_names={code: plan.library.catalogue[code].name for code in plan.cultures},
        sections=tuple(build_section(tables, of) for of in sections),
        samples=tuple(_take_samples(plan, cells, sections[-1])),
        cultural_map=_draw_map(plan, cells),
        ability=plan.ability and score_ability(plan.ability, answers, rules),
    )


def tabulate_answers(
    plan: RunPlan, answers: RunAnswers, rules: ReadingRules = DEFAULT_RULES
) -> Tables:
    """Return the cells of every condition of a finished run, and of what is made of its answers.

    Raises:
        AnswersMissing: the run is not finished.
    """
    cells = {c.name: read_cells(plan, c, answers, rules) for c in plan.conditions}
    derived, made = derive(plan, cells)
    whole = RunAnswers(answers.asks | made.asks, answers.responses | made.responses)
    cells |= {c.name: read_cells(plan, c, whole, rules) for c in derived}
    return Tables(replace(plan, conditions=(*plan.conditions, *derived)), cells, whole)


def _take_samples(
    plan: RunPlan, cells: Mapping[str, Cells], of: SectionSpec
) -> list[SampleQuestion]:
    """Return a few cells, evenly spread over the questions and cultures of a section."""
    rows, columns = locate_cells(plan, of)
    cultures, questions = [plan.cultures[i] for i in rows], [plan.questions[j] for j in columns]
    found = []
    n_samples = min(N_SAMPLES, len(questions))
    for number in range(n_samples):
        question = questions[number * len(questions) // n_samples]
        among = [c for c in cultures if plan.library.distribution(question.key, c) is not None]
        culture = among[number % len(among)]
        people = plan.library.distribution(question.key, culture)
        answers = {
            name: _find_shares(plan, table, question, culture) for name, table in cells.items()
        }
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


def _draw_map(plan: RunPlan, cells: Mapping[str, Cells]) -> CulturalMap | None:
    """Return the cultural map; None if too little was asked to place anybody.

    Enough are many questions, or all that the map's own items are made of.
    """
    asked = {question.key for question in plan.questions}
    if len(asked) < MIN_MAP_QUESTIONS and not asked.issuperset(MAP_ITEMS):
        return None
    people = {
        code: {
            question.key: cell.shares
            for question in plan.questions
            if (cell := plan.library.distribution(question.key, code)) is not None
        }
        for code in plan.cultures
    }
    positions = {code: plan.library.catalogue[code].position for code in plan.cultures}
    places = {
        code: (of.survival_expression, of.traditional_secular)
        for code, of in positions.items()
        if of is not None
    }
    conditions = {
        condition.name: {
            code: {
                question.key: shares
                for question in plan.questions
                if (shares := _find_shares(plan, cells[condition.name], question, code))
            }
            for code in plan.cultures_of(condition)
        }
        for condition in plan.conditions
        if condition.kind in ("method", "recorded", "estimate")
    }
    try:
        return place_answers(plan.questions, people, places=places, conditions=conditions)
    except ValueError:
        # Too few of the cultures have a published place to fit anything to.
        return None


def _find_shares(
    plan: RunPlan, table: Cells, question: Question, culture: str
) -> tuple[float, ...]:
    """Return the shares that were answered with the first seed, if there are any."""
    first = CellRow(culture, table.rows[0].seed)
    if first not in table.rows:
        return ()
    row = table.rows.index(first)
    shares = table.shares[row, plan.questions.index(question), : len(question.options)]
    values: list[float] = shares.tolist()
    return () if any(map(math.isnan, values)) else tuple(values)
