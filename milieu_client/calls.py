"""What is sent to the service, and how its replies are read; nothing here opens a connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from milieu_client.answers import Answer, Comparison, Culture, Exemplars
from milieu_client.errors import ServiceRefused
from milieu_client.model import Model
from milieu_client.questions import QuestionDetail, QuestionsPage, QuestionsReply
from milieu_client.tables import Listing

T = TypeVar("T")
Fields = Mapping[str, Any]
# Statuses of what is known of no culture, or not of this one.
OF_THE_CULTURE = frozenset({404, 422})


class AskFields(TypedDict, total=False):
    """How to answer a question; what is left out, or None, is left to the service.

    Attributes:
        options: 2 to 20 answers to choose from, in scale order. Without them those of a survey
            question that is near enough; else the answer is free text.
        answer_from: what the answer may stand on: 'survey', what the people themselves said;
            'tables', an estimate from the surveys; 'model'; or 'auto', the best there is.
        method: how the culture gets into the model's answer: 'plain', 'icl', 'persona+icl', …
        k: number of exemplars to show.
        exemplar_style: what an exemplar shows.
        retriever: how exemplars are chosen: 'dense', 'chrf', 'topic' or 'random'.
        adapter: 'auto', 'none', or the name of one.
        elsewhere: number of other peoples' answers to the question to show.
        prompt_language: language to speak to the model in: 'en', 'de', …, or 'auto'.
        withhold: take what the culture itself answered to this question for unknown.
        steer: when to answer for the culture: 'auto' (values only), 'always' or 'never'.
        orders: number of orders of the options to average over, 1 to 8.
        user: your name for who is answered, for experiments.
        session: where the user is not known: the session.
        arm: for testers of an experiment: `experiment/arm`.
        consent: whether the end user agreed that question and answer are kept.
        seed: of what is drawn at random.
        temperature: of free text, 0 to 2.
        top_p: of free text, above 0 to 1.
        max_tokens: of free text.
    """

    options: Sequence[str] | None
    answer_from: str | None
    method: str | None
    k: int | None
    exemplar_style: str | None
    retriever: str | None
    adapter: str | None
    elsewhere: int | None
    prompt_language: str | None
    withhold: bool | None
    steer: str | None
    orders: int | None
    user: str | None
    session: str | None
    arm: str | None
    consent: bool | None
    seed: int | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None


class ExemplarFields(TypedDict, total=False):
    """How exemplars are chosen; what is left out, or None, is left to the service.

    Attributes:
        k: number of exemplars.
        retriever: how they are chosen: 'dense', 'chrf', 'topic' or 'random'.
        seed: of what is drawn at random.
    """

    k: int | None
    retriever: str | None
    seed: int | None


class QuestionFields(TypedDict, total=False):
    """Which questions are wanted; what is left out, or None, is left to the service.

    Attributes:
        search: a text in any language; what it asks comes first. Without one, all questions.
        match: 'meaning', or 'words' for those that have every word of the text, which is faster.
        culture: codes, names or language tags: questions that all of these were asked, with their
            figures where the survey's terms allow that.
        pack: ids of packs.
        topic: names of topics.
        language: language tag of the wording to show, where there is one in it.
        limit: number of questions on a page, 1 to 500.
        offset: number of questions before the page.
    """

    search: str | None
    match: str | None
    culture: str | Sequence[str] | None
    pack: str | Sequence[str] | None
    topic: str | Sequence[str] | None
    language: str | None
    limit: int | None
    offset: int | None


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and what its reply is read by.

    Attributes:
        method: the HTTP method.
        path: below the service's address.
        read: makes the result of the reply's body; a ValueError says that it is not as expected.
        body: the fields of the JSON body; None sends none.
        query: the fields of the query.
        is_repeatable: whether sending it twice changes no more than sending it once.
        timeout_s: how long the service may be silent, in seconds; None for the client's own.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    body: Fields | None = None
    query: Fields = field(default_factory=dict)
    is_repeatable: bool = True
    timeout_s: float | None = None


def write_ask(question: str, culture: str, how: AskFields, *, stream: bool = False) -> Call[Answer]:
    """Return the call that asks a question of a culture."""
    body = _drop_none({"question": question, "culture": culture, **how})
    if stream:
        body["stream"] = True
    return Call("POST", "/answer", partial(read_as, Answer), body)


def write_exemplars(question: str, culture: str, how: ExemplarFields) -> Call[Exemplars]:
    """Return the call that looks up exemplars."""
    body = _drop_none({"question": question, "culture": culture, **how})
    return Call("POST", "/v1/exemplars", partial(read_as, Exemplars), body)


def write_cultures() -> Call[Listing[Culture]]:
    """Return the call that lists the covered cultures."""
    return Call("GET", "/v1/cultures", _read_cultures)


def write_culture(name: str) -> Call[Culture]:
    """Return the call that shows one culture."""
    return Call("GET", f"/v1/cultures/{_quote(name)}", partial(read_as, Culture))


def write_questions(which: QuestionFields) -> Call[QuestionsPage]:
    """Return the call that finds questions."""
    query = _drop_none({**which})
    return Call("GET", "/v1/questions", _read_questions, query=query)


def write_question(
    key: str, culture: str | Sequence[str] | None, language: str | None
) -> Call[QuestionDetail]:
    """Return the call that shows one question."""
    query = _drop_none({"culture": culture, "language": language})
    path = f"/v1/questions/{_quote(key)}"
    return Call("GET", path, partial(read_as, QuestionDetail), query=query)


def write_request(
    method: str, path: str, body: Fields | None, timeout_s: float | None
) -> Call[Any]:
    """Return a call of any route, whose reply is read as JSON; only a GET is repeatable."""
    is_repeatable = method.upper() == "GET"
    return Call(method, path, json.loads, body, is_repeatable=is_repeatable, timeout_s=timeout_s)


M = TypeVar("M", bound=Model)


def read_as(model: type[M], body: bytes | str) -> M:
    """Return a JSON text as `model`.

    Raises:
        ValueError: it is not one; the message names the first field that is not as expected.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        raise ValueError(describe_fault(exc)) from exc


def describe_fault(exc: ValidationError) -> str:
    """Return where and why a reply is not as expected, without its content."""
    first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


class _Cultures(Model):
    cultures: list[Culture]


def _read_cultures(body: bytes) -> Listing[Culture]:
    return Listing(read_as(_Cultures, body).cultures)


def write_body(fields: Fields) -> bytes:
    """Return the fields as JSON in ASCII, which can hold whatever a terminal let somebody type."""
    return json.dumps(dict(fields)).encode()


def make_comparison(found: Mapping[str, Answer | ServiceRefused]) -> Comparison:
    """Return what was found for each culture, in order.

    Raises:
        ServiceRefused: all were refused, or one for what has nothing to do with the culture.
    """
    refused = {name: each for name, each in found.items() if isinstance(each, ServiceRefused)}
    for error in refused.values():
        if error.status not in OF_THE_CULTURE or len(refused) == len(found):
            raise error
    return Comparison((each for each in found.values() if isinstance(each, Answer)), refused)


def _read_questions(body: bytes) -> QuestionsPage:
    return read_as(QuestionsReply, body).page()


def _quote(name: str) -> str:
    # A name of dots alone would be read as a folder in the path.
    return quote(name, safe="").replace(".", "%2E")


def _drop_none(fields: Fields) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
