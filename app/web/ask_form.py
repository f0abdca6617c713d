"""Reads what the form of Ask was sent with, and says what does not fit beside each field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from starlette.datastructures import QueryParams

from app.api.schemas.answer import AnswerBody
from estimation.source import AnswerFrom
from prompting.recipe import Method
from survey_data.cultures import Culture
from survey_data.errors import SurveyDataError
from survey_data.library import SurveyLibrary

MAX_CULTURES, MAX_METHODS = 8, 4
METHOD_NAMES = {
    Method.PLAIN: "plain: the model as it is",
    Method.PERSONA: "persona: told whose answer is wanted",
    Method.CROSS_CULTURE: "cross-culture: told who is alike and who is not",
    Method.ICL: "icl: shown how the people answered like questions",
    Method.PERSONA_ICL: "persona+icl: both",
    Method.CROSS_CULTURE_ICL: "cross-culture+icl: all of it",
    Method.ADAPTER: "adapter: weights trained for the people",
    Method.ADAPTER_ICL: "adapter+icl: such weights, shown answers",
}
SOURCE_NAMES = {
    AnswerFrom.AUTO: "the best source there is",
    AnswerFrom.SURVEY: "surveys: what the people said",
    AnswerFrom.TABLES: "an estimate, as if they had not been asked",
    AnswerFrom.MODEL: "the model alone",
}


class AskForm(NamedTuple):
    """What was typed and chosen, as it was."""

    question: str
    cultures: tuple[str, ...]
    options: tuple[str, ...]
    answer_from: str
    methods: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked."""
        return not self.question.strip()

    @property
    def query(self) -> dict[str, Any]:
        """The fields of an address that leads here."""
        return {
            "question": self.question,
            "culture": self.cultures,
            "options": "\n".join(self.options),
            "answer_from": "" if self.answer_from == AnswerFrom.AUTO else self.answer_from,
            "method": self.methods,
        }


class Checked(NamedTuple):
    """A form that was looked at: what it asks, or what does not fit, by the name of the field."""

    bodies: tuple[AnswerBody, ...]
    cultures: tuple[Culture, ...]
    faults: dict[str, str]


def read_form(query: QueryParams) -> AskForm:
    """Return what an address asks. Several cultures may be in one field, with commas."""
    lines = (line.strip() for line in query.get("options", "").splitlines())
    return AskForm(
        question=query.get("question", ""),
        cultures=split_names(query.getlist("culture")),
        options=tuple(line for line in lines if line),
        answer_from=query.get("answer_from", "") or AnswerFrom.AUTO,
        methods=tuple(dict.fromkeys(method for method in query.getlist("method") if method)),
    )


def split_names(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the names in fields that may hold several, with commas; each once."""
    named = (part.strip() for text in fields for part in text.split(","))
    return tuple(dict.fromkeys(name for name in named if name))


def check_form(form: AskForm, library: SurveyLibrary) -> Checked:
    """Return the requests that a form stands for, one per method, and what does not fit."""
    cultures, faults = find_cultures(form.cultures, library)
    if not form.cultures:
        faults["culture"] = "Name at least one country."
    if len(form.methods) > MAX_METHODS:
        faults["method"] = f"{len(form.methods)} methods, at most {MAX_METHODS} at a time."
    # What is left open an experiment may decide.
    answer_from = None if form.answer_from == AnswerFrom.AUTO else form.answer_from
    bodies = []
    for method in form.methods[:MAX_METHODS] or (None,):
        fields: dict[str, Any] = {"question": form.question}
        if form.options:
            fields["options"] = list(form.options)
        try:
            bodies.append(AnswerBody(**fields, answer_from=answer_from, method=method))
        except ValidationError as error:
            faults |= _tell(error)
    return Checked(tuple(bodies), cultures, faults)


def find_cultures(
    names: Sequence[str], library: SurveyLibrary
) -> tuple[tuple[Culture, ...], dict[str, str]]:
    """Return the covered cultures that `names` name, each once, and what is wrong with others."""
    found: dict[str, Culture] = {}
    wrong = []
    for name in names:
        try:
            culture = library.find_culture(name)
        except SurveyDataError as error:
            wrong.append(str(error))
        else:
            found[culture.code] = culture
    if len(found) > MAX_CULTURES:
        wrong.append(f"{len(found)} countries, at most {MAX_CULTURES} at a time.")
    return tuple(found.values()), {"culture": " ".join(wrong)} if wrong else {}


def _tell(error: ValidationError) -> dict[str, str]:
    told: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        message = fault["msg"].removeprefix("Value error, ")
        told.setdefault(name, f"{message[:1].upper()}{message[1:]}.")
    return told
