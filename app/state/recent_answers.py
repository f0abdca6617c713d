"""The last answers with their evidence, for clients that drop what they do not know of a reply."""

from __future__ import annotations

import zlib
from collections import OrderedDict

from app.errors import AnswerNotKept

# The fastest: a reply has some 10 kB, and is a quarter of that at any level. Less memory to work in
# is what takes half as long: zlib clears all of it each time.
LEVEL, MEMORY_LEVEL = 1, 5


class RecentAnswers:
    """Keeps the replies that were given last, each for who asked; in memory alone."""

    def __init__(self, *, max_answers: int) -> None:
        """Keep `max_answers` at most, of all who ask together; with 0 none."""
        self._max_answers = max_answers
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)

    def keep(self, asked_by: str, answer_id: str, reply: str) -> None:
        """Keep a reply for `asked_by`, in place of the oldest where there is no more room."""
        self._kept[asked_by, answer_id] = pack(reply)
        while len(self._kept) > self._max_answers:
            self._kept.popitem(last=False)

    def find(self, asked_by: str, answer_id: str) -> str:
        """Return the reply with an id that `asked_by` was given.

        Raises:
            AnswerNotKept: there is none, or it was given to somebody else, which is told alike.
        """
        found = self._kept.get((asked_by, answer_id))
        if found is None:
            raise AnswerNotKept(answer_id, self._max_answers)
        return unpack(found)


def pack(reply: str) -> bytes:
    """Return a reply as it is kept."""
    packer = zlib.compressobj(LEVEL, memLevel=MEMORY_LEVEL)
    return packer.compress(reply.encode()) + packer.flush()


def unpack(kept: bytes) -> str:
    """Return the reply that was kept so."""
    return zlib.decompress(kept).decode()
