"""Looks evidence up in threads, for a bounded number of requests at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, TypeVar

from adapters.pool import Lease
from app.answering.fallbacks import shows_exemplars
from app.answering.requests import Request
from app.errors import RetrievalBusy
from prompting.recipe import Recipe
from retrieval.evidence import Evidence, EvidenceFinder, EvidenceQuery
from retrieval.steer import Steer
from survey_data.cultures import Culture

# A message of fewer characters may be one that only the one before it explains.
FOLLOW_UP_CHARACTERS = 24
# Of a chat, the user's last messages that are looked up together.
N_LOOKED_UP = 3
Found = TypeVar("Found")
NO_EVIDENCE = Evidence((), None, None, below_floor=False)


class EvidenceLookup:
    """Finds evidence without holding up the event loop."""

    def __init__(
        self,
        finder: EvidenceFinder,
        threads: Executor,
        *,
        steer: Steer,
        max_looking: int,
        on_found: Callable[[float], None],
    ) -> None:
        """Use `threads`; at most `max_looking` requests may look there or wait to.

        `steer` is for requests that do not say when to steer. `on_found` is told the similarity of
        what is nearest to a request.
        """
        self._finder, self._threads, self._on_found = finder, threads, on_found
        self._steer = steer
        self._max_looking, self._n_looking = max_looking, 0

    async def find_for(
        self, request: Request, culture: Culture | None, recipe: Recipe, leased: Lease
    ) -> Evidence:
        """Return the evidence for a request, none without a culture.

        Of a chat the last message of the user's is looked up; where nothing is near to it, or
        where it is short and asks for no value ("Why?"), it and the ones before it together. The
        survey question that it is, if any, is that of the last message alone.

        Raises:
            RetrievalBusy: too many requests wait for theirs already.
        """
        if culture is None:
            return NO_EVIDENCE
        k = recipe.k if shows_exemplars(recipe, leased) else 0
        said = request.said
        wanted = EvidenceQuery(
            said[-1],
            culture.code,
            k,
            recipe.retriever,
            request.seed,
            request.withhold,
            request.barred,
            # What arms are compared by is what they do, whatever is asked.
            None if request.arm is not None else request.steer or self._steer,
        )
        evidence = await self._find_nearest(wanted)
        is_clear = not evidence.below_floor and not _is_follow_up(evidence, said[-1])
        if not is_clear and len(said) > 1:
            together = "\n".join(said[-N_LOOKED_UP:])
            found = await self._find_nearest(replace(wanted, text=together))
            is_certain = evidence.same_question is not None
            evidence = replace(
                found,
                same_question=evidence.same_question,
                candidates=evidence.candidates,
                unused_because=evidence.unused_because if is_certain else found.unused_because,
            )
        return evidence

    async def _find_nearest(self, wanted: EvidenceQuery) -> Evidence:
        evidence = await self.find(wanted)
        if evidence.nearest_similarity is not None:
            self._on_found(max(0.0, evidence.nearest_similarity))
        return evidence

    async def find(self, wanted: EvidenceQuery) -> Evidence:
        """Return the evidence for `wanted`.

        Raises:
            RetrievalBusy: too many requests wait for theirs already.
        """
        known = self._finder.recall(wanted)
        return await self.run(lambda: self._finder.find(wanted)) if known is None else known

    async def run(self, look_up: Callable[[], Found]) -> Found:
        """Return what `look_up` returns in a thread.

        Raises:
            RetrievalBusy: too many requests wait for theirs already.
        """
        if self._n_looking >= self._max_looking:
            raise RetrievalBusy(self._n_looking)
        self._n_looking += 1
        found = asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        # Counted until the thread is done, which a cancelled request does not stop.
        found.add_done_callback(self._count_down)
        return await found

    def _count_down(self, found: asyncio.Future[Any]) -> None:
        self._n_looking -= 1


def _is_follow_up(evidence: Evidence, text: str) -> bool:
    return bool(evidence.unused_because) and len(text) < FOLLOW_UP_CHARACTERS
