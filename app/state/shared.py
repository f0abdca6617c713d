"""What the workers of one service know together: a small SQLite file that ends with the service."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from app.errors import AnswerNotKept
from app.state.recent_answers import RecentAnswers, pack, unpack

FILE = "shared.db"
_BUSY_S = 5.0
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    n INTEGER PRIMARY KEY, asked_by TEXT NOT NULL, id TEXT NOT NULL, reply BLOB NOT NULL,
    UNIQUE (asked_by, id) ON CONFLICT REPLACE
);
CREATE TABLE IF NOT EXISTS sessions (
    token TEXT PRIMARY KEY, role TEXT NOT NULL, until_s REAL NOT NULL, owner TEXT NOT NULL
);
"""


class SharedFile:
    """A connection to the file of one service's workers, for the one thread that opened it.

    A worker that is killed leaves the file whole; nothing in it outlives the service.
    """

    def __init__(self, folder: Path | None) -> None:
        """Open the file in `folder`, made if it is missing; None keeps all for this process."""
        place = ":memory:" if folder is None else folder / FILE
        self.connection = sqlite3.connect(
            place, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        self.connection.execute("PRAGMA journal_mode = WAL")
        # The folder is gone after a power cut anyway.
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.executescript(_TABLES)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Make what the block does one change, which others see whole or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @cached_property
    def salt(self) -> bytes:
        """32 random bytes, the same for all workers of the service and for no other."""
        given = (secrets.token_bytes(32),)
        self.connection.execute("INSERT OR IGNORE INTO facts VALUES ('salt', ?)", given)
        found = self.connection.execute("SELECT value FROM facts WHERE name = 'salt'").fetchone()
        salt: bytes = found[0]
        return salt


class SharedAnswers(RecentAnswers):
    """The last replies of all workers, each for who asked."""

    def __init__(self, file: SharedFile, *, max_answers: int) -> None:
        """Keep `max_answers` at most, of all workers together; with 0 none."""
        super().__init__(max_answers=max_answers)
        self._file = file

    def __len__(self) -> int:
        """Return how many are kept."""
        found = self._file.connection.execute("SELECT count(*) FROM answers").fetchone()
        return int(found[0])

    def keep(self, asked_by: str, answer_id: str, reply: str) -> None:
        """Keep a reply for `asked_by`, in place of the oldest where there is no more room."""
        with self._file.change() as connection:
            added = connection.execute(
                "INSERT INTO answers (asked_by, id, reply) VALUES (?, ?, ?)",
                (asked_by, answer_id, pack(reply)),
            )
            oldest = (added.lastrowid or 0) - self._max_answers
            connection.execute("DELETE FROM answers WHERE n <= ?", (oldest,))

    def find(self, asked_by: str, answer_id: str) -> str:
        """Return the reply with an id that `asked_by` was given, by whichever worker.

        Raises:
            AnswerNotKept: there is none, or it was given to somebody else, which is told alike.
        """
        found = self._file.connection.execute(
            "SELECT reply FROM answers WHERE asked_by = ? AND id = ?", (asked_by, answer_id)
        ).fetchone()
        if found is None:
            raise AnswerNotKept(answer_id, self._max_answers)
        return unpack(found[0])
