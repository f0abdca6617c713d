"""The figures of every condition over one set of cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from evaluation import bootstrap, metrics
from evaluation.asking import Condition, Response
from evaluation.cells import Cells
from evaluation.comparisons import find_same_prompt, list_comparisons
from evaluation.coverage import measure_intervals
from evaluation.errors import TooFewAnswers
from evaluation.estimates import RELATED, TRANSFER
from evaluation.figures import (
    Before,
    BootstrapInterval,
    ConditionFigures,
    CultureFigures,
    IntervalFigures,
    Section,
    SteeringFigures,
)
from evaluation.run_folder import RunAnswers
from evaluation.runner import RunPlan
from evaluation.steering import measure_steering
from prompting.recipe import Method
from survey_data.arrays import Floats

PLAIN = Method.PLAIN.value
Group = TypeVar("Group", str, int)


class SectionSpec(BaseModel):
    """Which cells a section of the report is over, and what it says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    note: str
    cultures: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Tables:
    """All that was answered in a run: a table of cells per condition, and the raw answers."""

    plan: RunPlan
    cells: Mapping[str, Cells]
    answers: RunAnswers


def locate_cells(plan: RunPlan, of: SectionSpec) -> tuple[list[int], list[int]]:
    """Return the places in `plan` of a section's cultures, and of what any of them was asked.

    A question that was never asked would take up draws.
    """
    cultures = [i for i, code in enumerate(plan.cultures) if code in of.cultures]
    questions = [
        j
        for j, question in enumerate(plan.questions)
        if question.key in of.questions
        and any(plan.library.distribution(question.key, plan.cultures[i]) for i in cultures)
    ]
    return cultures, questions


def build_section(tables: Tables, of: SectionSpec) -> Section:
    """Return the figures over the cells of one section.

    Raises:
        TooFewAnswers: it has fewer than two questions, so that there can be no interval.
    """
    plan = tables.plan
    cultures, columns = locate_cells(plan, of)
    if len(columns) < 2 or not cultures:
        raise TooFewAnswers(f"{len(columns)} questions in {len(cultures)} cultures", of.title)
    part = _Part(tables, of, cultures, columns)
    return Section(
        title=of.title,
        note=of.note,
        cultures=tuple(plan.cultures[i] for i in cultures),
        n_questions=len(columns),
        n_cells=int((~np.isnan(part.people[..., 0])).sum()),
        people_diversity=part.people_diversity(),
        people_entropy=part.people_entropy(),
        # Recorded answers may be of a culture that the section does not have.
        conditions=tuple(part.score(c) for c in plan.conditions if part.has_answers(c)),
        intervals=tuple(part.measure_intervals()),
    )


class _Part:
    """The cells of one section, every condition's with the same draws of questions.

    Attributes:
        people: float64[c, q, n], what people answered, as in `Cells.shares`.
    """

    def __init__(
        self,
        tables: Tables,
        of: SectionSpec,
        cultures: Sequence[int],
        columns: Sequence[int],
    ) -> None:
        self._tables, self._of = tables, of
        plan = tables.plan
        self._questions = [plan.questions[j] for j in columns]
        self._codes = [plan.cultures[i] for i in cultures]
        people = plan.library.tabulate(plan.questions, plan.cultures)
        self.people = people[np.ix_(cultures, columns)]
        self._n_options = np.array([len(question.options) for question in self._questions])
        self._weights = bootstrap.question_weights(len(columns))
        self._cells = {
            name: cells.part(
                [i for i, row in enumerate(cells.rows) if row.culture in of.cultures], columns
            )
            for name, cells in tables.cells.items()
        }
        self._references = [
            c.name for c in plan.conditions if c.kind == "reference" and self.has_answers(c)
        ]

    def has_answers(self, condition: Condition) -> bool:
        """Return whether the condition answered two questions, so that it has figures."""
        known = ~np.isnan(self._cells[condition.name].similarity)
        return int(known.any(axis=0).sum()) > 1

    def measure_intervals(self) -> Iterable[IntervalFigures]:
        """Yield how well the intervals of each estimate from the tables cover people's shares."""
        for source in (name for name in (TRANSFER, RELATED) if name in self._cells):
            found = measure_intervals(
                source,
                self._cells[source].shares,
                self.people,
                cultures=self._codes,
                n_options=self._n_options,
            )
            if found is not None:
                yield found

    def score(self, condition: Condition) -> ConditionFigures:
        """Return all figures of one condition."""
        cells = self._cells[condition.name]
        responses = self._find_responses(condition)
        people = self._find_cultures(cells)
        return ConditionFigures(
            name=condition.name,
            kind=condition.kind,
            alignment=bootstrap.alignment_interval(cells.missed, cells.widest, self._weights),
            similarity=self._sure(cells.similarity),
            wasserstein=bootstrap.mean_interval(cells.wasserstein, self._weights),
            exact=self._sure(cells.exact),
            soft=self._sure(cells.soft),
            **self._over_plain(condition),
            over_reference=self._gains(condition, self._references),
            unreadable=float(np.nanmean(cells.unreadable)),
            refused=float(np.nanmean(cells.refused)),
            order_shift=_mean_or_none(cells.order_shift),
            order_flips=_mean_or_none(cells.order_flips),
            diversity=self._diversity(cells),
            steering=self._steering(condition, cells),
            by_culture=dict(self._by_culture(cells)),
            by_topic=self._by_group(cells, [question.topic for question in self._questions]),
            by_n_options=self._by_group(cells, [len(q.options) for q in self._questions]),
            n_cells=int((~np.isnan(cells.similarity)).sum()),
            n_requests=len(responses),
            prompt_tokens=sum(response.prompt_tokens for response in responses),
            completion_tokens=sum(response.completion_tokens for response in responses),
            not_steered=float(np.nanmean(cells.not_steered)),
            over_method=self._gains(
                condition, list_comparisons(condition, self._tables.plan.conditions)
            ),
            before=self._before(condition),
            entropy=self._entropy(cells.shares),
            people_diversity=self.people_diversity(people),
            people_entropy=self.people_entropy(people),
        )

    def people_diversity(self, rows: Sequence[int] | None = None) -> float | None:
        """Return how far apart people are, in all cultures or in those of `rows`."""
        people = self.people[slice(None) if rows is None else list(rows)]
        positions = np.argmax(np.nan_to_num(people), axis=-1) / (self._n_options - 1)
        positions[np.isnan(people[..., 0])] = np.nan
        return _or_none(metrics.diversity(positions))

    def people_entropy(self, rows: Sequence[int] | None = None) -> float | None:
        """Return how widely people's answers spread, in all cultures or in those of `rows`."""
        return self._entropy(self.people[slice(None) if rows is None else list(rows)])

    def _entropy(self, shares: Floats) -> float | None:
        known = shares[~np.isnan(shares)]
        # Shares of one option are text that was read, or an option without shares.
        if not ((known > 0.0) & (known < 1.0)).any():
            return None
        return _or_none(bootstrap.mean_of(metrics.spread(shares, self._n_options)))

    def _gains(
        self, condition: Condition, baselines: Iterable[str]
    ) -> dict[str, BootstrapInterval]:
        cells = self._cells[condition.name]
        gains = {name: self._gain(cells, name) for name in baselines if name != condition.name}
        return {name: gain for name, gain in gains.items() if gain is not None}

    def _before(self, condition: Condition) -> Before | None:
        name = find_same_prompt(condition, self._tables.plan.conditions)
        if name is None:
            return None
        cells, before = self._cells[condition.name], self._cells[name]
        cultures = {row.culture for row in cells.rows}
        rows = [i for i, row in enumerate(before.rows) if row.culture in cultures]
        same = before.part(rows, range(len(self._questions)))
        return Before(
            condition=name,
            gain=self._gain(cells, name),
            diversity=self._diversity(same) if rows else None,
            entropy=self._entropy(same.shares),
        )

    def _sure(self, values: Floats) -> BootstrapInterval:
        found = bootstrap.mean_interval(values, self._weights)
        if found is None:
            n_questions = int((~np.isnan(values)).any(axis=0).sum())
            raise TooFewAnswers(f"answers to {n_questions} questions", self._of.title)
        return found

    def _over_plain(self, condition: Condition) -> dict[str, BootstrapInterval | None]:
        if condition.name == PLAIN or PLAIN not in self._cells:
            return {"over_plain": None}
        ours, theirs = self._pair(self._cells[condition.name], PLAIN)
        weights = self._weights
        return {
            "over_plain": bootstrap.gain_interval(ours.similarity, theirs.similarity, weights),
            "alignment_over_plain": bootstrap.alignment_gain_interval(
                ours.missed, theirs.missed, ours.widest, weights
            ),
            "soft_over_plain": bootstrap.gain_interval(ours.soft, theirs.soft, weights),
        }

    def _gain(self, cells: Cells, baseline: str) -> BootstrapInterval | None:
        """Return the gain over another condition; None if that one was not asked."""
        if baseline not in self._cells:
            return None
        ours, theirs = self._pair(cells, baseline)
        return bootstrap.gain_interval(ours.similarity, theirs.similarity, self._weights)

    def _pair(self, cells: Cells, baseline: str) -> tuple[Cells, Cells]:
        """Return the rows that both have, row by row of the same culture."""
        other = self._cells[baseline]
        # One with fewer seeds is compared with every seed of the one with more.
        rows = {i: _find_row(other, row.culture, row.seed) for i, row in enumerate(cells.rows)}
        both = {ours: theirs for ours, theirs in rows.items() if theirs is not None}
        columns = range(len(self._questions))
        return cells.part([*both], columns), other.part([*both.values()], columns)

    def _by_culture(self, cells: Cells) -> Iterable[tuple[str, CultureFigures]]:
        for code in self._codes:
            rows = [i for i, row in enumerate(cells.rows) if row.culture == code]
            similarity = bootstrap.mean_interval(cells.similarity[rows], self._weights)
            alignment = bootstrap.alignment_interval(
                cells.missed[rows], cells.widest[rows], self._weights
            )
            if similarity is not None:
                yield code, CultureFigures(alignment=alignment, similarity=similarity)

    def _by_group(self, cells: Cells, groups: Sequence[Group]) -> dict[Group, BootstrapInterval]:
        """Return the similarity per group of questions; a group of one has no interval."""
        found = {}
        for group in dict.fromkeys(groups):
            columns = [j for j, of in enumerate(groups) if of == group]
            weights = bootstrap.question_weights(len(columns), seed=len(columns))
            values = bootstrap.mean_interval(cells.similarity[:, columns], weights)
            if values is not None:
                found[group] = values
        return found

    def _find_cultures(self, cells: Cells) -> list[int]:
        """Return the places of the section's cultures that a condition answered as."""
        cultures = {row.culture for row in cells.rows}
        return [i for i, code in enumerate(self._codes) if code in cultures]

    def _first_seed(self, cells: Cells) -> list[int]:
        rows = (_find_row(cells, code, cells.rows[0].seed) for code in self._codes)
        return [row for row in rows if row is not None]

    def _diversity(self, cells: Cells) -> float | None:
        return _or_none(metrics.diversity(cells.position[self._first_seed(cells)]))

    def _steering(self, condition: Condition, cells: Cells) -> SteeringFigures | None:
        if condition.kind not in ("method", "control") or condition.name == PLAIN:
            return None
        answered = self._find_cultures(cells)
        codes = [self._codes[i] for i in answered]
        shares = cells.shares[self._first_seed(cells)]
        return measure_steering(codes, shares, self.people[answered])

    def _find_responses(self, condition: Condition) -> list[Response]:
        """Return the responses to this section's requests, each request's once."""
        keys = {question.key for question in self._questions}
        answers = self._tables.answers
        digests = {
            asked.digest
            for key, asked in answers.asks.items()
            if key.condition == condition.name
            and key.question in keys
            and key.culture in self._of.cultures
        }
        return [answers.responses[digest] for digest in digests]


def _find_row(cells: Cells, culture: str, seed: int) -> int | None:
    """Return the row of a culture and seed, or of its first seed; None without the culture."""
    rows = [i for i, row in enumerate(cells.rows) if row.culture == culture]
    return next((i for i in rows if cells.rows[i].seed == seed), rows[0] if rows else None)


def _mean_or_none(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
