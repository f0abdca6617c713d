"""What is sent to the service, and how its replies are read; nothing here opens a connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from milieu_client.answers import (
    Answer,
    ChatEvidence,
    Comparison,
    Culture,
    Exemplars,
    FeedbackReceipt,
)
from milieu_client.batches import BatchResult
from milieu_client.errors import ServiceRefused
from milieu_client.fields import (
    AskFields,
    ExemplarFields,
    FeedbackFields,
    QuestionFields,
    RecipeFields,
)
from milieu_client.model import Model
from milieu_client.questions import QuestionDetail, QuestionsPage, QuestionsReply
from milieu_client.tables import Listing

T = TypeVar("T")
Fields = Mapping[str, Any]
# Statuses of what is known of no culture, or not of this one.
OF_THE_CULTURE = frozenset({404, 422})


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


def write_batch(
    questions: Iterable[str | Fields], cultures: Sequence[str], recipes: Sequence[RecipeFields]
) -> Call[BatchResult]:
    """Return the call that asks a batch, whose lines are each read as a result."""
    body = {
        "questions": [each if isinstance(each, str) else _drop_none(each) for each in questions],
        "cultures": list(cultures),
        "recipes": [_drop_none({**recipe}) for recipe in recipes],
    }
    return Call("POST", "/v1/batch", partial(read_as, BatchResult), body)


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


def write_recall(answer_id: str) -> Call[Answer | ChatEvidence]:
    """Return the call that shows a recent answer again."""
    return Call("GET", f"/v1/answers/{_quote(answer_id)}", _read_recalled)


def write_feedback(what: FeedbackFields) -> Call[FeedbackReceipt]:
    """Return the call that tells what came of an answer; sent twice it is taken once."""
    body = _drop_none({**what})
    return Call("POST", "/v1/feedback", partial(read_as, FeedbackReceipt), body)


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


def _read_recalled(body: bytes) -> Answer | ChatEvidence:
    found = json.loads(body)
    is_answer = isinstance(found, dict) and "question" in found
    return read_as(Answer, body) if is_answer else read_as(ChatEvidence, body)


def _quote(name: str) -> str:
    # A name of dots alone would be read as a folder in the path.
    return quote(name, safe="").replace(".", "%2E")


def _drop_none(fields: Fields) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
