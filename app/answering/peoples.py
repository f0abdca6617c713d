"""What all peoples answer to one survey question: what they said, and estimates for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

from estimation.estimator import Estimate, Estimator
from estimation.positions import Positions, place_cultures
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Question, ResponseDistribution

# Looked up in one go; then others get their turn at the thread.
N_TOGETHER = 24


class PeopleFigure(NamedTuple):
    """What one people answers to a survey question.

    `cell` is what it said, None where it was not asked. `estimate` holds the same with intervals,
    or an estimate from other peoples; None where nothing is known.
    """

    culture: Culture
    cell: ResponseDistribution | None
    estimate: Estimate | None


class PeoplesFigures:
    """Finds the figures of many peoples in threads, a few of them at a time."""

    def __init__(
        self, library: SurveyLibrary, find_estimator: Callable[[], Estimator], threads: Executor
    ) -> None:
        """Take what estimates by a function, which is called in a thread: it may be opened then."""
        self._library, self._find_estimator, self._threads = library, find_estimator, threads
        self._positions: dict[str, Positions] = {}

    async def find(
        self, question: Question, cultures: Sequence[str], *, estimates: bool = True
    ) -> list[PeopleFigure]:
        """Return the figures of `cultures` (alpha-3 codes) in their order.

        Without `estimates` what was not asked is not known.
        """
        loop, found = asyncio.get_running_loop(), list[PeopleFigure]()
        for start in range(0, len(cultures), N_TOGETHER):
            some = cultures[start : start + N_TOGETHER]
            find = partial(self._find, question, some, estimates=estimates)
            found += await loop.run_in_executor(self._threads, find)
        return found

    async def estimate(self, question: Question, culture: str) -> Estimate | None:
        """Return what `culture` would answer by how others did, as if it had not been asked."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: self._find_estimator().transfer(question, culture)
        )

    async def place(self, pack: Pack) -> Positions:
        """Return where the peoples of a survey stand to each other; computed once."""
        if pack.manifest.id not in self._positions:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, place_cultures, self._library, pack)
            self._positions[pack.manifest.id] = found
        return self._positions[pack.manifest.id]

    def _find(
        self, question: Question, cultures: Sequence[str], *, estimates: bool
    ) -> list[PeopleFigure]:
        estimator = self._find_estimator()
        figures = []
        for code in cultures:
            cell = self._library.distribution(question.key, code)
            known = estimator.find_people(question, code)
            if known is None and estimates:
                known = estimator.transfer(question, code)
            figures.append(PeopleFigure(self._library.catalogue[code], cell, known))
        return figures
