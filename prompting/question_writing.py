"""The words that ask a model for a new survey question as JSON, and the reading of its reply.

Source: METHODS, CultureSPA step 1 (arXiv 2410.12971, section 3.1). The wording is Milieu's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from prompting.messages import Message

SYSTEM = "You write closed questions for a survey of people's values. You reply in JSON."
ASK = (
    "These are survey questions on the topic '{topic}':\n\n{shown}\n\nWrite one new question on "
    "this topic that asks something else, with its answer options. Reply with one JSON object of "
    "the same form and nothing more."
)
# How a reply is drawn where nothing else is set, so that replies differ.
TEMPERATURE, TOP_P, MAX_TOKENS = 0.9, 0.95, 256


class Written(NamedTuple):
    """A closed question by its words alone."""

    text: str
    options: tuple[str, ...]


class AttemptOutcome(StrEnum):
    """What became of an attempt: a question, or why not."""

    WRITTEN = "written"
    NO_JSON = "no-json"
    NO_QUESTION = "no-question"
    NO_OPTIONS = "no-options"


class Attempt(NamedTuple):
    """What a reply holds: text and options where the outcome is `written`, else nothing."""

    outcome: AttemptOutcome
    text: str = ""
    options: tuple[str, ...] = ()


def writing_messages(topic: str, examples: Sequence[Written]) -> tuple[Message, Message]:
    """Return the prompt for one new question on `topic`, with `examples` in their order."""
    shown = "\n".join(question_json(example) for example in examples)
    return (Message("system", SYSTEM), Message("user", ASK.format(topic=topic, shown=shown)))


def question_json(question: Written) -> str:
    """Return a question in the form in which examples are shown and a reply is wanted."""
    form = {"question": question.text, "options": list(question.options)}
    return json.dumps(form, ensure_ascii=False)


def read_reply(text: str) -> Attempt:
    """Return the question in a reply: the first JSON object in it, whatever surrounds that.

    Options are texts or numbers, two at least and no two alike.
    """
    found = _first_object(text)
    if found is None:
        return Attempt(AttemptOutcome.NO_JSON)
    question, options = found.get("question"), found.get("options")
    if not isinstance(question, str) or not question.strip():
        return Attempt(AttemptOutcome.NO_QUESTION)
    if not isinstance(options, list):
        return Attempt(AttemptOutcome.NO_OPTIONS)
    texts = tuple(_text(option) for option in options)
    if len(texts) < 2 or "" in texts or len(set(texts)) < len(texts):
        return Attempt(AttemptOutcome.NO_OPTIONS)
    return Attempt(AttemptOutcome.WRITTEN, " ".join(question.split()), texts)


def _first_object(text: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and _is_text(found):
            return found
        start = text.find("{", start + 1)
    return None


def _is_text(found: dict[str, Any]) -> bool:
    """Return whether it can be written: JSON escapes can spell half of a surrogate pair."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(option: object) -> str:
    if isinstance(option, bool) or not isinstance(option, str | int | float):
        return ""
    return " ".join(str(option).split())
