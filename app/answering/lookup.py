"""Looks evidence up in threads, for a bounded number of requests at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from app.errors import RetrievalBusy
from retrieval.evidence import Evidence, EvidenceFinder, EvidenceQuery


class EvidenceLookup:
    """Finds evidence without holding up the event loop."""

    def __init__(self, finder: EvidenceFinder, threads: Executor, *, max_looking: int) -> None:
        """Use `threads`; at most `max_looking` requests may look there or wait to."""
        self._finder, self._threads = finder, threads
        self._max_looking, self._n_looking = max_looking, 0

    async def find(self, wanted: EvidenceQuery) -> Evidence:
        """Return the evidence for `wanted`.

        Raises:
            RetrievalBusy: too many requests wait for theirs already.
        """
        if self._n_looking >= self._max_looking:
            raise RetrievalBusy(self._n_looking)
        self._n_looking += 1
        found = asyncio.get_running_loop().run_in_executor(self._threads, self._finder.find, wanted)
        # Counted until the thread is done, which a cancelled request does not stop.
        found.add_done_callback(self._looked)
        return await found

    def _looked(self, found: asyncio.Future[Evidence]) -> None:
        self._n_looking -= 1
