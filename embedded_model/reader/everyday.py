"""Everyday requests with the base model's own replies, which the adapter is to leave alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from embedded_model.reader.conversations import IS_PERSONA, Conversation
from embedded_model.reader.facts import Rng, draw
from embedded_model.reader.material import Material
from files.whole import write_text
from prompting.messages import Message, Steering, chat_messages
from prompting.recipe import Method

TAUGHT, EXAMINED = (
    Path(__file__).with_name(name) for name in ("everyday.jsonl", "everyday_examined.jsonl")
)


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


def draw_everyday(rng: Rng, material: Material, requests: tuple[Everyday, ...]) -> Conversation:
    """Return a request with the base model's reply, sometimes in the role of some people."""
    each = draw(rng, requests)
    turns: tuple[Message, ...] = (Message("user", each.request), Message("assistant", each.reply))
    if rng.random() < IS_PERSONA:
        turns = chat_messages(turns, Steering(Method.PERSONA, draw(rng, material.cultures)))
    return Conversation(turns, (len(turns) - 1,), each.is_whole, is_kept=True)
