"""A cache in which many may ask for a key at the same time and one looks it up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class OnceCache(Generic[K, V]):
    """Looks a key up once, however many ask at the same time, and keeps what it found.

    Failures are not kept. A caller that gives up does not stop the search for the others.
    """

    def __init__(self, find: Callable[[K], Coroutine[Any, Any, V]]) -> None:
        self._find = find
        self._found: dict[K, V] = {}
        self._searches: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """Return the value of `key`, looking it up if nobody has; raises what `find` raises."""
        if key in self._found:
            return self._found[key]
        search = self._searches.get(key)
        if search is None:
            search = asyncio.create_task(self._find(key))
            self._searches[key] = search
            search.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(search)

    def _keep(self, key: K, done: asyncio.Task[V]) -> None:
        del self._searches[key]
        # Asking for the exception marks it as seen: all who waited may be gone.
        if not done.cancelled() and done.exception() is None:
            self._found[key] = done.result()
