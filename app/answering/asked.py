"""What is asked: the question with its options, and the survey question that it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.answering.requests import ChatTurn, Request
from prompting.messages import AskedQuestion
from retrieval.evidence import Evidence
from survey_data.model import Question, Scale
from survey_data.wording import fold_text


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its options, if it has any.

    Attributes:
        question: as it is put to a model.
        options_from: `request`, the key of the survey question that gave them, or None.
        ordinal: whether the options are taken for a scale, which may only be turned round.
        survey: the survey question that it is, with the same options in whatever order; of a chat,
            the one that its user asked last.
        places: where each option stands in that survey question; empty without one.
    """

    question: AskedQuestion
    options_from: str | None = None
    ordinal: bool = True
    survey: Question | None = None
    places: tuple[int, ...] = ()


def find_asked(request: Request, evidence: Evidence) -> Asked:
    """Return the question with its own options, or with those of the survey question that it is."""
    same = evidence.same_question
    if isinstance(request, ChatTurn):
        # The reply is free, whatever the survey's options are.
        every = () if same is None else tuple(range(len(same.options)))
        return Asked(AskedQuestion(request.said[-1]), survey=same, places=every)
    if request.options:
        question = AskedQuestion(request.question, request.options)
        places = None if same is None else match_options(request.options, same.options)
        if same is None or places is None:
            return Asked(question, "request")
        return Asked(question, "request", survey=same, places=places)
    if same is None:
        return Asked(AskedQuestion(request.question))
    return Asked(
        AskedQuestion(request.question, same.options, same.first_number),
        same.key,
        ordinal=same.scale is not Scale.NOMINAL,
        survey=same,
        places=tuple(range(len(same.options))),
    )


def match_options(options: Sequence[str], known: Sequence[str]) -> tuple[int, ...] | None:
    """Return where each option stands among the known ones; None where they are others."""
    places = {_fold(option): place for place, option in enumerate(known)}
    found = tuple(places.get(_fold(option), -1) for option in options)
    return found if sorted(found) == list(range(len(known))) else None


def _fold(text: str) -> str:
    return fold_text(text).rstrip(".")
