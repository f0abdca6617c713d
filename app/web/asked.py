"""Asks every country by every way, and lays what comes side by side."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

from app.answering.asked import match_options
from app.api.answer import read_request
from app.api.presenting import present_answer
from app.api.presenting_sources import present_shares
from app.api.problems import FAULT, PROBLEMS, ProblemKind, kind_of
from app.api.schemas.answer import AnswerBody, AnswerResponse
from app.api.schemas.sources import OptionShare
from app.resources import Resources
from estimation.source import Source
from survey_data.cultures import Culture
from survey_data.distances import distribution_similarity
from survey_data.model import PackManifest, Question

logger = logging.getLogger(__name__)

# Of one page, how many answers are made at a time.
MAX_TOGETHER = 6
HIDDEN = "It is in the log."
Shares = list[OptionShare]


class Trouble(NamedTuple):
    """Why there is no answer."""

    kind: ProblemKind
    detail: str


class Way(NamedTuple):
    """One row of bars: whose shares they are, and by what.

    `kind` is `people`, `estimate` or `model`; `nearness` to the people's shares is 1 minus the
    Jensen-Shannon distance, in [0, 1], None where they are not known or are these.
    """

    kind: str
    name: str
    shares: Shares
    nearness: float | None = None


class Told(NamedTuple):
    """All that one people's card shows. Without an `answer` there is a `trouble`."""

    culture: Culture
    answer: AnswerResponse | None
    ways: tuple[Way, ...]
    troubles: tuple[Trouble, ...]
    texts: tuple[tuple[str, str], ...]
    question: Question | None
    manifest: PackManifest | None

    @property
    def labels(self) -> list[str]:
        """The options, in the order asked."""
        return [share.label for share in self.ways[0].shares] if self.ways else []


async def ask_all(
    bodies: Sequence[AnswerBody], cultures: Sequence[Culture], resources: Resources
) -> list[Told]:
    """Return what is told of each people, in their order."""
    room = asyncio.Semaphore(MAX_TOGETHER)

    async def ask(body: AnswerBody, culture: Culture) -> AnswerResponse | Trouble:
        async with room:
            return await _ask(body, culture, resources)

    async def ask_people(culture: Culture) -> Told:
        found = await asyncio.gather(*(ask(body, culture) for body in bodies))
        return await _tell(culture, found, resources)

    return list(await asyncio.gather(*map(ask_people, cultures)))


def find_top(told: Sequence[Told]) -> float:
    """Return where the bars of all cards end: a tenth at least as large as any share."""
    ends = (
        share.interval.high if share.interval else share.share
        for each in told
        for way in each.ways
        for share in way.shares
    )
    return min(1.0, max(0.3, math.ceil(max(ends, default=1.0) * 10.0) / 10.0))


async def _ask(
    body: AnswerBody, culture: Culture, resources: Resources
) -> AnswerResponse | Trouble:
    request = read_request(body, culture.code, resources.settings.answer)
    try:
        answer = await resources.pipeline.answer(request)
    except tuple(PROBLEMS) as error:
        kind = kind_of(error)
        if kind.status != 500:
            return Trouble(kind, str(error))
        logger.error("request_failed", exc_info=error)
        return Trouble(FAULT, HIDDEN)
    return present_answer(answer, resources.library)


async def _tell(
    culture: Culture, found: Sequence[AnswerResponse | Trouble], resources: Resources
) -> Told:
    answers = [each for each in found if isinstance(each, AnswerResponse)]
    # The same for each method, where it has nothing to do with the model.
    troubles = tuple(dict.fromkeys(each for each in found if isinstance(each, Trouble)))
    if not answers:
        return Told(culture, None, (), troubles, (), None, None)
    first = answers[0]
    question = _find_question(first, resources)
    people, estimate = await _find_figures(first, question, culture, resources)
    ways = [] if people is None else [Way("people", "People", people)]
    if estimate is not None:
        ways.append(Way("estimate", "Estimate", estimate, _measure(estimate, people)))
    texts = []
    for answer in answers:
        if answer.model is None:
            continue
        if answer.model.shares is not None:
            name, shares = f"Model, {answer.model.method}", answer.model.shares
            ways.append(Way("model", name, shares, _measure(shares, people)))
        elif answer.model.text is not None:
            texts.append((answer.model.method.value, answer.model.text))
    manifest = None if question is None else resources.library.manifest(question.pack)
    return Told(culture, first, tuple(ways), troubles, tuple(texts), question, manifest)


def _find_question(answer: AnswerResponse, resources: Resources) -> Question | None:
    recognised = answer.recognised
    if recognised is None or not recognised.certain:
        return None
    return resources.library.questions[recognised.questions[0].question_key]


async def _find_figures(
    answer: AnswerResponse, question: Question | None, culture: Culture, resources: Resources
) -> tuple[Shares | None, Shares | None]:
    """Return the people's shares and the estimate's, each None where there is none."""
    shares, said = answer.shares, answer.people
    if shares is None:
        return None, None
    if answer.source is not Source.SURVEY:
        people = None if said is None else _reorder(said.shares, shares)
        return people, None if answer.source is Source.MODEL else shares
    estimate = None
    if question is not None:
        estimate = await resources.peoples.estimate(question, culture.code)
    if question is None or estimate is None:
        return shares, None
    known = present_shares(
        question.options, question.first_number, estimate.shares, estimate.intervals
    )
    return shares, _reorder(known, shares)


def _reorder(shares: Shares, like: Shares) -> Shares | None:
    """Return shares in the order of others, None where the options are others."""
    wanted = tuple(share.label for share in like)
    places = match_options(wanted, tuple(share.label for share in shares))
    return None if places is None else [shares[place] for place in places]


def _measure(shares: Shares, people: Shares | None) -> float | None:
    if people is None:
        return None
    return distribution_similarity(
        [share.share for share in shares], [share.share for share in people]
    )
