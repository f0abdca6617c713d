"""The client for programs that wait for each answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from itertools import count
from typing import Any, Self, TypeVar, Unpack

import httpx2

from milieu_client.answers import (
    Answer,
    ChatEvidence,
    Comparison,
    Culture,
    Delta,
    Evidence,
    Exemplars,
    FeedbackReceipt,
)
from milieu_client.batches import BatchResult, LineSplitter
from milieu_client.calls import (
    Call,
    make_comparison,
    write_ask,
    write_batch,
    write_culture,
    write_cultures,
    write_exemplars,
    write_feedback,
    write_question,
    write_questions,
    write_recall,
    write_request,
)
from milieu_client.errors import MilieuError, ServiceRefused
from milieu_client.fields import (
    AskFields,
    ExemplarFields,
    FeedbackFields,
    QuestionFields,
    RecipeFields,
)
from milieu_client.questions import QuestionDetail, QuestionsPage
from milieu_client.replies import (
    check_answered,
    check_complete,
    check_url,
    choose_certificates,
    explain_failures,
    is_on_this_machine,
    make_request,
    read_event,
    read_line,
    read_refusal,
    read_reply,
    write_headers,
)
from milieu_client.retries import Retries
from milieu_client.tables import Listing
from milieu_client.version import __version__

T = TypeVar("T")
URL = "http://127.0.0.1:8000"
TIMEOUT_S = 120.0
MAX_CONCURRENT = 8


class Milieu:
    """A Milieu service, asked by HTTP. Use it in a `with`, or `close()` it; threads may share it.

    No redirect is followed, as the key is meant for the given address alone, and a proxy of the
    environment is not used for a service on this machine.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Ask the service at `url`.

        Args:
            url: its address, such as `http://127.0.0.1:8000`.
            key: one of the service's `MILIEU_API_KEYS`, where it has any.
            timeout_s: how long it may be silent, in seconds.
            retries: what is tried again when it is busy or away; by default 4 tries within 4 s.
            transport: what requests go through instead of the network.
            sleep: waits so many seconds before another try.

        Raises:
            ServiceUnreachable: `url` is no http address.
            KeyUnsendable: the key has a character that no header can carry.
        """
        self.url = check_url(url)
        self._timeout_s, self._retries, self._sleep = timeout_s, retries or Retries(), sleep
        self._http = httpx2.Client(
            headers=write_headers(key, __version__),
            timeout=timeout_s,
            transport=transport,
            trust_env=not is_on_this_machine(self.url),
            verify=choose_certificates(self.url),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def ask(self, question: str, culture: str, **how: Unpack[AskFields]) -> Answer:
        """Return how the people of a culture answer a question.

        Args:
            question: in any language.
            culture: code, name or language tag, such as 'DE', 'Germany' or 'de-DE'.
            how: see `AskFields`.

        Raises:
            MilieuError: there is no answer; see `milieu_client.errors`.
        """
        return self.send(write_ask(question, culture, how))

    def stream(
        self, question: str, culture: str, **how: Unpack[AskFields]
    ) -> Generator[Evidence | Delta | Answer, None, None]:
        """Yield the evidence of an answer, its text as it is written, and then the whole answer.

        Leaving the loop ends the work at the service. Arguments and errors are those of `ask`; an
        answer that has begun is not tried again.
        """
        call = write_ask(question, culture, how, stream=True)
        last = None
        with closing(self._open(call, streams=True)) as reply, self._explain(call):
            for event in httpx2.EventSource(reply):
                found = read_event(self.url, event)
                if found is not None:
                    last = found
                    yield found
        check_answered(self.url, last)

    def compare(
        self, question: str, cultures: Sequence[str], **how: Unpack[AskFields]
    ) -> Comparison:
        """Return how several peoples answer one question, in the order of `cultures`.

        Where the service refuses one of them, the others are there still, and `refused` says why.

        Raises:
            ServiceRefused: it refuses all of them.
            MilieuError: a request fails otherwise; see `milieu_client.errors`.
        """

        def ask(culture: str) -> Answer | ServiceRefused:
            try:
                return self.ask(question, culture, **how)
            except ServiceRefused as exc:
                return exc

        named = list(dict.fromkeys(cultures))
        pool = ThreadPoolExecutor(MAX_CONCURRENT)
        try:
            return make_comparison(dict(zip(named, pool.map(ask, named), strict=True)))
        finally:
            # Where one fails, what has not begun is not asked any more.
            pool.shutdown(cancel_futures=True)

    def batch(
        self,
        questions: Iterable[str | Mapping[str, Any]],
        cultures: Sequence[str] = (),
        recipes: Sequence[RecipeFields] = (),
    ) -> Generator[BatchResult, None, None]:
        """Yield what comes of every question, asked of every culture in every way, when it is done.

        A question that is refused has its `problem`, and spoils no other. Leaving the loop ends the
        work at the service.

        Args:
            questions: texts, or fields of `POST /answer`; one that names its `culture` is asked of
                that one alone.
            cultures: codes, names or language tags.
            recipes: ways to answer; what one says goes before what a question says. Without any,
                as the service does by default.

        Raises:
            ServiceRefused: the batch is refused as a whole.
            ServiceUnreachable: it broke off; what came before has been yielded.
            MilieuError: it fails otherwise; see `milieu_client.errors`.
        """
        call, lines, n_read = write_batch(questions, cultures, recipes), LineSplitter(), 0
        with closing(self._open(call, streams=True)) as reply, self._explain(call):
            for line in lines.feed(reply.iter_bytes()):
                n_read += 1
                yield read_line(self.url, call, line)
            check_complete(self.url, reply, n_read=n_read)

    def exemplars(self, question: str, culture: str, **how: Unpack[ExemplarFields]) -> Exemplars:
        """Return what a model would be shown of a culture before a question; none is asked.

        Raises:
            MilieuError: there are none; see `milieu_client.errors`.
        """
        return self.send(write_exemplars(question, culture, how))

    def cultures(self) -> Listing[Culture]:
        """Return the cultures that can be answered for, by their alpha-3 codes."""
        return self.send(write_cultures())

    def culture(self, name: str) -> Culture:
        """Return one culture, found by code, name or language tag."""
        return self.send(write_culture(name))

    def questions(self, **which: Unpack[QuestionFields]) -> QuestionsPage:
        """Return what surveys asked: searched, filtered, a page at a time.

        Args:
            which: see `QuestionFields`.

        Raises:
            MilieuError: there are none; see `milieu_client.errors`.
        """
        return self.send(write_questions(which))

    def question(
        self,
        key: str,
        *,
        culture: str | Sequence[str] | None = None,
        language: str | None = None,
    ) -> QuestionDetail:
        """Return a question, its translations and what each people answered.

        Args:
            key: such as 'wvs7:Q6'.
            culture: code, name or language tag, or several; without one all that were asked.
            language: language tag of the wording to show, where there is one in it.

        Raises:
            MilieuError: it is not there; see `milieu_client.errors`.
        """
        return self.send(write_question(key, culture, language))

    def recall(self, answer_id: str) -> Answer | ChatEvidence:
        """Return a recent answer again, or the evidence of a chat's reply, by its `id`.

        The service keeps the last ones only, and for the key alone that asked.

        Raises:
            MilieuError: it is not there; see `milieu_client.errors`.
        """
        return self.send(write_recall(answer_id))

    def feedback(self, **what: Unpack[FeedbackFields]) -> FeedbackReceipt:
        """Tell what came of an answer, for experiments, and return the proof that it is kept.

        Args:
            what: see `FeedbackFields`.

        Raises:
            MilieuError: it is not taken; see `milieu_client.errors`.
        """
        return self.send(write_feedback(what))

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON that any route replies, for those that have no method here.

        Raises:
            MilieuError: there is none; see `milieu_client.errors`.
        """
        return self.send(write_request(method, path, body, timeout_s))

    def send(self, call: Call[T]) -> T:
        """Return the result of a call, tried again where that helps."""
        return read_reply(self.url, call, self._open(call, streams=False))

    def _open(self, call: Call[Any], *, streams: bool) -> httpx2.Response:
        """Return the reply to a call that was accepted; what `streams` is not read yet."""
        for n_tried in count(1):
            try:
                return self._try(call, streams=streams)
            except MilieuError as exc:
                pause_s = self._retries.pause_before(n_tried, exc, is_repeatable=call.is_repeatable)
                if pause_s is None:
                    raise
            self._sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def _try(self, call: Call[Any], *, streams: bool) -> httpx2.Response:
        with self._explain(call):
            reply = self._http.send(make_request(self._http, self.url, call), stream=streams)
            if reply.is_success:
                return reply
            with closing(reply):
                reply.read()
        raise read_refusal(reply)

    def _explain(self, call: Call[Any]) -> AbstractContextManager[None]:
        return explain_failures(self.url, timeout_s=call.timeout_s or self._timeout_s)
