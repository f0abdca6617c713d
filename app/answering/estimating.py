"""Finds out what is known of an answer, or can be estimated, without asking a model."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np

from app.answering.asked import Asked
from app.answering.plan import Choice
from app.answering.requests import AnswerFrom, Request
from app.errors import SourceUnavailable
from estimation.estimator import Estimate, Estimator, Source
from retrieval.encoder import Encoder
from retrieval.evidence import Evidence
from survey_data.cultures import Culture

NOT_NEAR = "it is no survey question, and none is near enough"
NO_OPTIONS = "it has no options, and it was not recognised as a survey question"


class EstimateFinder:
    """Finds the best source of an answer, in threads."""

    def __init__(self, estimator: Estimator, encoder: Encoder, threads: Executor) -> None:
        self._estimator, self._encoder, self._threads = estimator, encoder, threads

    async def find(
        self,
        request: Request,
        culture: Culture | None,
        choice: Choice,
        asked: Asked,
        evidence: Evidence,
    ) -> Estimate | None:
        """Return the answer of the best source that is wanted; None where that is the model.

        Raises:
            SourceUnavailable: an answer is wanted from a source that has none.
        """
        if culture is None:
            return None
        # What arms are compared by is how the model answers.
        if request.arm is not None or choice.experiment is not None:
            return None
        if request.answer_from is AnswerFrom.MODEL:
            return None
        looking = _Looking(self._estimator, self._encoder, culture, asked, evidence)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, looking.find, request.answer_from, request.withhold
        )


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
        return self._estimator.relate(vectors[0], vectors[1:], code)

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
