"""Everyday requests with the base model's own replies, which are to stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from files.whole import write_text

EVERYDAY = Path(__file__).with_name("everyday.jsonl")


@dataclass(frozen=True, slots=True)
class Everyday:
    """A request, the base model's greedy reply in float32, and whether that was not cut."""

    request: str
    reply: str = ""
    is_whole: bool = False


_LINE = TypeAdapter(Everyday)


def read_everyday(file: Path) -> tuple[Everyday, ...]:
    """Return the requests in `file`, one as a JSON object in each line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(_LINE.validate_json(line) for line in lines)


def write_everyday(file: Path, requests: Iterable[Everyday]) -> None:
    """Write requests to `file`, one as a JSON object in each line."""
    lines = (_LINE.dump_json(each).decode() for each in requests)
    write_text(file, "".join(f"{line}\n" for line in lines))
