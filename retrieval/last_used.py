"""What was used last, by a key; the rest is forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LastUsed(Generic[Key, Value]):
    """Keeps the `max_entries` values that were kept or found last. Thread-safe.

    Unlike `functools.lru_cache` it can be asked whether it has a value, which takes microseconds,
    before a thread is asked to make one.
    """

    def __init__(self, max_entries: int) -> None:
        """Keep so many; with 0 none."""
        self._max_entries = max_entries
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of values that are kept."""
        return len(self._kept)

    def find(self, key: Key) -> Value | None:
        """Return the value of `key`, None where it is not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Key, value: Value) -> None:
        """Keep a value in place of the one that was used longest ago, where there is no room."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._max_entries:
                self._kept.popitem(last=False)
