"""Finds the survey question that a view is about, by its key or by a text in any language."""

from __future__ import annotations

from typing import NamedTuple

from starlette.datastructures import QueryParams

from app.answering.questions import QuestionQuery
from app.api.schemas.answer import MAX_QUESTION_CHARS
from app.errors import QuestionUnknown
from app.resources import Resources
from retrieval.evidence import EvidenceQuery
from survey_data.model import PackManifest, Question

N_NEAR = 6
UNKNOWN = "No survey asked this in words that are near enough."
TOO_LONG = f"At most {MAX_QUESTION_CHARS} characters."


class Picked(NamedTuple):
    """What a view is about: a question, or why there is none, and what was near.

    `text` is what stands in the field.
    """

    text: str = ""
    question: Question | None = None
    fault: str = ""
    near: tuple[Question, ...] = ()
    manifest: PackManifest | None = None

    @property
    def faults(self) -> dict[str, str]:
        """The fault by the name of its field."""
        return {"question": self.fault} if self.fault else {}


async def pick_question(query: QueryParams, resources: Resources) -> Picked:
    """Return the question that an address names by `key`, else the one that `question` asks.

    Raises:
        RetrievalBusy: too many texts wait to be looked up already.
    """
    key, text = query.get("key", "").strip(), query.get("question", "").strip()
    if text:
        return await _recognise(text, resources)
    if not key:
        return Picked()
    try:
        return _pick(resources.questions.show(key), resources)
    except QuestionUnknown as error:
        return Picked(key[:200], fault=str(error))


async def _recognise(text: str, resources: Resources) -> Picked:
    if len(text) > MAX_QUESTION_CHARS:
        return Picked(text, fault=TOO_LONG)
    library = resources.library
    own = next((each for each in library.questions.values() if each.text == text), None)
    if own is not None:
        return _pick(own, resources)
    # Of whom it is asked makes no difference to what it is.
    widest = max(library.cultures, key=lambda code: len(library.keys_of(code)))
    found = await resources.lookup.find(EvidenceQuery(text, widest, k=0))
    if found.same_question is not None:
        return _pick(found.same_question, resources)._replace(text=text)
    page = await resources.questions.find(QuestionQuery(search=text, limit=N_NEAR))
    candidates = [each.question for each in found.candidates]
    near = dict.fromkeys((*candidates, *(each.question for each in page.questions)))
    return Picked(text, fault=UNKNOWN, near=tuple(near)[:N_NEAR])


def _pick(question: Question, resources: Resources) -> Picked:
    manifest = resources.library.manifest(question.pack)
    # In its own wording: what a candidate holds may be a translation's.
    own = resources.library.questions[question.key]
    return Picked(own.text, own, manifest=manifest)
