"""Finds out what is known of an answer, or can be estimated, without asking a model.

What other peoples answered is also evidence for a model, weighted as an estimate weights it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from app.answering.asked import Asked
from app.answering.plan import Choice
from app.answering.requests import AnswerFrom, Request
from app.errors import SourceUnavailable
from estimation.estimator import Estimate, Estimator, Source
from retrieval.encoder import Encoder
from retrieval.evidence import Evidence
from retrieval.exemplar import Exemplar
from retrieval.selector import select_elsewhere
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.model import Question

NOT_NEAR = "it is no survey question, and none is near enough"
NO_OPTIONS = "it has no options, and it was not recognised as a survey question"


class Estimated(NamedTuple):
    """The best source's answer, None where that is the model, and others' to the same question."""

    estimate: Estimate | None
    elsewhere: tuple[Exemplar, ...] = ()


class EstimateFinder:
    """Finds the best source of an answer, in threads."""

    def __init__(
        self,
        library: SurveyLibrary,
        estimator: Estimator,
        encoder: Encoder,
        threads: Executor,
    ) -> None:
        self._library, self._estimator = library, estimator
        self._encoder, self._threads = encoder, threads

    async def find(
        self,
        request: Request,
        culture: Culture | None,
        choice: Choice,
        asked: Asked,
        evidence: Evidence,
    ) -> Estimated:
        """Return the answer of the best source that is wanted, and what the recipe shows of others.

        Raises:
            SourceUnavailable: an answer is wanted from a source that has none.
        """
        if culture is None:
            return Estimated(None)
        # What arms are compared by is how the model answers.
        is_compared = request.arm is not None or choice.experiment is not None
        wanted = AnswerFrom.MODEL if is_compared else request.answer_from
        n_elsewhere = choice.recipe.n_elsewhere
        if wanted is AnswerFrom.MODEL and not n_elsewhere:
            return Estimated(None)
        looking = _Looking(self._estimator, self._encoder, culture, asked, evidence)

        def find() -> Estimated:
            estimate = looking.find(wanted, request.withhold)
            if asked.survey is None or not n_elsewhere:
                return Estimated(estimate)
            donors = looking.find_donors(asked.survey, request.withhold)
            found = select_elsewhere(self._library, asked.survey, donors, n_elsewhere)
            return Estimated(estimate, found)

        return await asyncio.get_running_loop().run_in_executor(self._threads, find)


class _Looking:
    """One question to one culture."""

    def __init__(
        self,
        estimator: Estimator,
        encoder: Encoder,
        culture: Culture,
        asked: Asked,
        evidence: Evidence,
    ) -> None:
        self._estimator, self._encoder = estimator, encoder
        self._culture, self._asked, self._evidence = culture, asked, evidence

    def find(self, wanted: AnswerFrom, withhold: bool) -> Estimate | None:
        if wanted is AnswerFrom.MODEL:
            return None
        found = None
        if wanted is not AnswerFrom.TABLES and not withhold:
            found = self._find_people()
        if found is None and wanted is AnswerFrom.SURVEY:
            raise self._refuse(wanted, withhold)
        if found is None:
            found = self._estimate(withhold)
        if found is None and wanted is AnswerFrom.TABLES:
            raise self._refuse(wanted, withhold)
        return found

    def find_donors(self, survey: Question, withhold: bool) -> tuple[tuple[str, float], ...]:
        """Return the cultures whose answers make an estimate of a question, with their weights."""
        found = self._estimator.transfer(survey, self._culture.code, withhold=withhold)
        return () if found is None else found.donors

    def _find_people(self) -> Estimate | None:
        survey = self._asked.survey
        if survey is None:
            return None
        found = self._estimator.find_people(survey, self._culture.code)
        return None if found is None else _reorder(found, self._asked)

    def _estimate(self, withhold: bool) -> Estimate | None:
        survey, code = self._asked.survey, self._culture.code
        if survey is not None:
            found = self._estimator.transfer(survey, code, withhold=withhold)
            if found is not None:
                return _reorder(found, self._asked)
        question = self._asked.question
        if not question.options or self._evidence.below_floor:
            return None
        vectors = self._encoder.encode([question.text, *question.options]).astype(np.float64)
        return self._estimator.relate(vectors[0], vectors[1:], code, withhold=withhold)

    def _refuse(self, wanted: AnswerFrom, withhold: bool) -> SourceUnavailable:
        available = [] if (found := self._estimate(withhold)) is None else [found.source]
        if wanted is AnswerFrom.TABLES:
            available = [Source.SURVEY] if self._find_people() is not None else []
        because = self._explain(withhold)
        return SourceUnavailable(wanted, because, available=[*available, Source.MODEL])

    def _explain(self, withhold: bool) -> str:
        asked, name = self._asked, self._culture.name
        if asked.survey is None:
            return NOT_NEAR if asked.question.options else NO_OPTIONS
        if withhold and self._find_people() is not None:
            return "it is withheld"
        asked_of = self._estimator.list_asked(asked.survey)
        where = ", ".join(asked_of) or "nobody"
        return f"{asked.survey.key} was not asked in {name}; it was asked in {where}"


def _reorder(found: Estimate, asked: Asked) -> Estimate:
    """Return an estimate with its options in the order asked."""
    intervals = found.intervals
    return replace(
        found,
        shares=tuple(found.shares[place] for place in asked.places),
        intervals=None if intervals is None else tuple(intervals[p] for p in asked.places),
    )
