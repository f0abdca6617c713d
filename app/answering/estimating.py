"""Finds out what is known of an answer, or can be estimated, without asking a model.

What other peoples answered is also evidence for a model, weighted as an estimate weights it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from app.answering.asked import Asked
from app.answering.plan import Choice, SourceFallback
from app.answering.requests import Request
from app.errors import SourceUnavailable
from estimation.estimator import Estimate, Estimator
from estimation.source import Source
from retrieval.encoder import Encoder
from retrieval.evidence import Evidence
from retrieval.exemplar import Exemplar
from retrieval.last_used import LastUsed
from retrieval.selector import select_elsewhere
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.model import Question

NOT_NEAR = "it is no survey question, and none is near enough"
NOT_ENGLISH = "it is no survey question, and others are related to it in English only"
OTHER_OPTIONS = "it is the survey question {key} with other options, and no other is near enough"
OTHER_OPTIONS_NOT_ENGLISH = (
    "it is the survey question {key} with other options, and others are related to it in English "
    "only"
)
NO_OPTIONS = "it has no options, and it was not recognised as a survey question"


class Estimated(NamedTuple):
    """What is known of an answer, and what it stands on.

    Attributes:
        estimate: the answer of the source that was chosen, None where that is the model.
        best_source: the surest there is, whichever was chosen.
        fallback: the source that an arm wants and there is not; the best one was chosen instead.
        elsewhere: how others answered the same question, as the recipe shows it.
    """

    estimate: Estimate | None
    best_source: Source
    fallback: SourceFallback | None = None
    elsewhere: tuple[Exemplar, ...] = ()


class EstimateFinder:
    """Finds what an answer stands on, and estimates it in threads."""

    def __init__(
        self,
        library: SurveyLibrary,
        find_estimator: Callable[[], Estimator],
        encoder: Encoder,
        threads: Executor,
        *,
        cache_entries: int = 0,
    ) -> None:
        """Take what estimates by a function, which is called in a thread: it may be opened then.

        Of survey questions the estimates that were made last are kept, `cache_entries` of them.
        """
        self._library, self._find_estimator = library, find_estimator
        self._encoder, self._threads = encoder, threads
        self._made = LastUsed[_SurveyCase, Estimate](cache_entries)

    async def find(
        self,
        request: Request,
        culture: Culture | None,
        choice: Choice,
        asked: Asked,
        evidence: Evidence,
    ) -> Estimated:
        """Return the answer of the source that is wanted, and what the recipe shows of others.

        Raises:
            SourceUnavailable: an answer is wanted from a source that has none.
        """
        if culture is None:
            return Estimated(None, Source.MODEL)
        case = _Case(culture, asked, evidence, request.withhold)
        sources = _Sources(self._library, case)
        source, fallback = sources.choose(choice)
        known = Estimated(None, sources.listed[0], fallback)
        n_elsewhere = 0 if asked.survey is None else choice.recipe.n_elsewhere
        if source is Source.MODEL and not n_elsewhere:
            return known
        same = _SurveyCase.of(case, source)
        made = None if same is None or n_elsewhere else self._made.find(same)
        if made is not None:
            return known._replace(estimate=_reorder(made, asked))

        def find() -> Estimated:
            estimating = _Estimating(self._find_estimator(), self._encoder, case)
            estimate = estimating.estimate_from(source)
            if same is not None and estimate is not None:
                self._made.keep(same, estimate)
                estimate = _reorder(estimate, asked)
            if asked.survey is None or not n_elsewhere:
                return known._replace(estimate=estimate)
            donors = estimating.find_donors(asked.survey, estimate)
            found = select_elsewhere(self._library, asked.survey, donors, n_elsewhere)
            return known._replace(estimate=estimate, elsewhere=found)

        return await asyncio.get_running_loop().run_in_executor(self._threads, find)


class _Case(NamedTuple):
    """One question to one culture; with `withhold` its own answer is not to be known."""

    culture: Culture
    asked: Asked
    evidence: Evidence
    withhold: bool


class _SurveyCase(NamedTuple):
    """What the estimate of a survey question depends on, besides the answers of surveys."""

    key: str
    culture: str
    source: Source
    withhold: bool

    @classmethod
    def of(cls, case: _Case, source: Source) -> _SurveyCase | None:
        """Return that of a case, None where it is no survey question or no table tells of it."""
        survey = case.asked.survey
        if survey is None or source not in (Source.SURVEY, Source.TRANSFER):
            return None
        return cls(survey.key, case.culture.code, source, case.withhold)


class _Sources:
    """What has an answer to a question. Looks it up and estimates nothing.

    Attributes:
        listed: the sources that have one, the surest first.
    """

    def __init__(self, library: SurveyLibrary, case: _Case) -> None:
        self._case, survey = case, case.asked.survey
        self._asked_of = () if survey is None else library.cultures_of(survey.key)
        self.listed = self._list()

    def choose(self, choice: Choice) -> tuple[Source, SourceFallback | None]:
        """Return the source that is wanted; the best one where an arm wants what there is not.

        Raises:
            SourceUnavailable: the request itself wants it.
        """
        wanted, sources = choice.answer_from, self.listed
        source = wanted.find_first(sources)
        if source is not None:
            return source, None
        because = self._explain()
        if not choice.is_by_arm:
            raise SourceUnavailable(wanted, because, available=sources)
        return sources[0], SourceFallback(wanted, because)

    def _list(self) -> tuple[Source, ...]:
        case, found = self._case, []
        if case.evidence.unused_because:
            return (Source.MODEL,)
        if self._is_asked_here and not case.withhold:
            found.append(Source.SURVEY)
        if len(self._asked_of) > self._is_asked_here:
            found.append(Source.TRANSFER)
        elif self._can_relate:
            found.append(Source.RELATED)
        return (*found, Source.MODEL)

    @property
    def _can_relate(self) -> bool:
        # What relates questions was fitted on the vectors of the English encoder.
        asked, found = self._case.asked, self._case.evidence
        return bool(asked.question.options) and found.in_english and not found.below_floor

    @property
    def _is_asked_here(self) -> bool:
        return self._case.culture.code in self._asked_of

    def _explain(self) -> str:
        """Return why the source that is wanted has no answer."""
        asked, name = self._case.asked, self._case.culture.name
        if self._case.evidence.unused_because:
            return self._case.evidence.unused_because
        if asked.survey is None:
            if not asked.question.options:
                return NO_OPTIONS
            return self._explain_unrelated()
        if self._case.withhold and self._is_asked_here:
            return "it is withheld"
        where = ", ".join(self._asked_of) or "nobody"
        return f"{asked.survey.key} was not asked in {name}; it was asked in {where}"

    def _explain_unrelated(self) -> str:
        """Return why no other question tells of one with options of its own."""
        same, in_english = self._case.evidence.same_question, self._case.evidence.in_english
        if same is None:
            return NOT_NEAR if in_english else NOT_ENGLISH
        said = OTHER_OPTIONS if in_english else OTHER_OPTIONS_NOT_ENGLISH
        return said.format(key=same.key)


class _Estimating:
    """Answers a question from one of its sources."""

    def __init__(self, estimator: Estimator, encoder: Encoder, case: _Case) -> None:
        self._estimator, self._encoder, self._case = estimator, encoder, case

    def estimate_from(self, source: Source) -> Estimate | None:
        """Return the answer of one of the sources that were listed, its options as surveyed."""
        survey, code = self._case.asked.survey, self._case.culture.code
        match source:
            case Source.MODEL:
                return None
            case Source.RELATED:
                return self._relate()
            case Source.SURVEY if survey is not None:
                found = self._estimator.find_people(survey, code)
            case _ if survey is not None:
                found = self._estimator.transfer(survey, code, withhold=self._case.withhold)
            case _:
                found = None
        assert found is not None  # the source was listed
        return found

    def find_donors(
        self, survey: Question, estimate: Estimate | None
    ) -> tuple[tuple[str, float], ...]:
        """Return the cultures whose answers make an estimate of a question, with their weights."""
        if estimate is None or estimate.source is not Source.TRANSFER:
            estimate = self._estimator.transfer(
                survey, self._case.culture.code, withhold=self._case.withhold
            )
        return () if estimate is None else estimate.donors

    def _relate(self) -> Estimate:
        question = self._case.asked.question
        vectors = self._encoder.encode([question.text, *question.options]).astype(np.float64)
        return self._estimator.relate(
            vectors[0], vectors[1:], self._case.culture.code, withhold=self._case.withhold
        )


def _reorder(found: Estimate, asked: Asked) -> Estimate:
    """Return an estimate with its options in the order asked."""
    intervals = found.intervals
    return replace(
        found,
        shares=tuple(found.shares[place] for place in asked.places),
        intervals=None if intervals is None else tuple(intervals[p] for p in asked.places),
    )
