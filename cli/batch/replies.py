"""The journal of a batch: whole replies, each found again by what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from app.api.schemas.batch import BatchLine, Versions
from app.errors import FileRefused
from files.hashes import hash_fields
from files.journal import Journal, JournalBusy

ALIKE = (
    "a service like the one that gave the replies in it; ask that one, delete the journal to ask "
    "everything anew, or name another one (--journal)"
)
A_JOURNAL = "the journal of an earlier run; delete it to ask anew, or name another one (--journal)"


@dataclass(frozen=True)
class KeptReply:
    """A line of the journal: the digest of a body of `/answer`, and a line of `/v1/batch`."""

    digest: str
    reply: dict[str, Any]


_LINE = TypeAdapter(KeptReply)
_BEGINNING = b'{"digest":"'


class ReplyJournal:
    """Replies on disk; in memory are only their places. Use it in a `with`."""

    def __init__(self, file: Path) -> None:
        """Open `file`, or make it.

        Raises:
            FileRefused: another process writes it, or it is no journal of a batch.
        """
        self._file = file
        _check_beginning(file)
        try:
            self._journal = Journal(file, KeptReply)
        except JournalBusy as exc:
            expected = "a journal that no other process writes; wait for it, or name another one"
            raise FileRefused(file, found="one in use", expected=expected) from exc
        self._lines = file.open("rb")
        self._made_with: dict[str, str] = {}
        try:
            self._places = dict(self._find_places())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __contains__(self, digest: str) -> bool:
        return digest in self._places

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()
        self._journal.close()

    def add(self, digest: str, line: BatchLine) -> None:
        """Keep a reply, on disk at once.

        Raises:
            FileRefused: it was made with something else than those that are kept.
        """
        for name, found in _list_made_with(line.versions):
            kept = self._made_with.setdefault(name, found)
            if kept != found:
                said = f"replies made with {name} '{kept}', while the service now has '{found}'"
                raise FileRefused(self._file, found=said, expected=ALIKE)
        place = self._file.stat().st_size
        self._journal.add(KeptReply(digest, line.model_dump(mode="json")))
        self._places[digest] = place

    def read(self, digest: str) -> BatchLine:
        """Return the reply to a body; KeyError where there is none."""
        self._lines.seek(self._places[digest])
        return BatchLine.model_validate(_LINE.validate_json(self._lines.readline()).reply)

    def _find_places(self) -> Iterator[tuple[str, int]]:
        place = 0
        for row, line in enumerate(self._lines, start=1):
            try:
                kept = _LINE.validate_json(line)
                versions = BatchLine.model_validate(kept.reply).versions
            except ValidationError as exc:
                found = f"no reply in line {row}"
                raise FileRefused(self._file, found=found, expected=A_JOURNAL) from exc
            self._made_with.update(_list_made_with(versions))
            yield kept.digest, place
            place += len(line)


def _list_made_with(versions: Versions | None) -> Iterator[tuple[str, str]]:
    """Yield what one service makes all its replies with, as far as one of them says."""
    if versions is None:
        return
    told = (
        ("Milieu", versions.milieu),
        ("the encoder", versions.encoder),
        ("the model", versions.base_model),
        ("the calibration", versions.calibration),
    )
    yield from ((name, version) for name, version in told if version is not None)
    yield from ((f"the figures of {name}", digest) for name, digest in versions.packs.items())


def _check_beginning(file: Path) -> None:
    """Refuse what is no journal before it is opened as one, which cuts off an unfinished line."""
    if not file.exists():
        return
    with file.open("rb") as content:
        found = content.read(len(_BEGINNING))
    if not _BEGINNING.startswith(found):
        raise FileRefused(file, found="no reply in line 1", expected=A_JOURNAL)


def digest_body(body: dict[str, Any]) -> str:
    """Return what a body of `/answer` is known by, in whatever order its fields stand."""
    return hash_fields(body)
