"""What the event store asks of a database, and the scripts that both databases run.

A script is a generator that yields statements and is sent what came of them. It knows the rules
and no driver: SQLite runs it in its thread, PostgreSQL awaits between the steps, each of them in
one transaction.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from experiments.events import AnswerText, Claim, Exposure

Row: TypeAlias = Sequence[Any]
T = TypeVar("T")


class Step(NamedTuple):
    """One statement of a script; it is sent the rows that the statement returns.

    With `counts`, it is sent one row with the number of rows that the statement changed.
    """

    statement: str
    args: tuple[Any, ...] = ()
    counts: bool = False


Script: TypeAlias = Generator[Step, Sequence[Row], T]


class Recorded(NamedTuple):
    """An exposure to be written, with its text if that is kept."""

    exposure: Exposure
    text: AnswerText | None = None


class Database(Protocol):
    """An open database with the tables of the event store.

    All of it raises `StoreUnavailable` if trying again may help, and `StoreRefused` if not;
    then nothing of that call is written. What has returned survives the end of this process. What
    `run` returned is on the disk too, with all that was written before it; exposures and claims are
    there a moment later, unless the database was opened with `sync`.
    """

    @property
    def place(self) -> str:
        """Its address, without secrets."""
        ...

    async def write_exposures(self, batch: Sequence[Recorded]) -> Sequence[None]:
        """Add those that are not there yet, each with the assignment it implies, in one commit."""
        ...

    async def settle_claims(self, batch: Sequence[Claim]) -> Sequence[str]:
        """Add the claims of units that have no arm, and return the arm that each of them has."""
        ...

    async def run(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in one transaction and return its result. It may be started again."""
        ...

    def stream(
        self, statement: str, args: tuple[Any, ...], *, n_rows: int
    ) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of a query, at most `n_rows` at a time, all from one snapshot."""
        ...

    async def scrub(self) -> None:
        """Make sure that what was deleted is not left in files, as far as the database can."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...
