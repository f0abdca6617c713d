"""The client for programs that do other things while they wait: the same, with `await`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
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
from milieu_client.client import MAX_CONCURRENT, TIMEOUT_S, URL
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


class AsyncMilieu:
    """A Milieu service, asked by HTTP. Use it in an `async with`, or `aclose()` it.

    Its methods are those of `Milieu`, and say there what they return and raise. A request whose
    task is cancelled ends at the service as well.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Ask the service at `url`; arguments and errors are those of `Milieu`."""
        self.url = check_url(url)
        self._timeout_s, self._retries, self._sleep = timeout_s, retries or Retries(), sleep
        self._http = httpx2.AsyncClient(
            headers=write_headers(key, __version__),
            timeout=timeout_s,
            transport=transport,
            trust_env=not is_on_this_machine(self.url),
            verify=choose_certificates(self.url),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def ask(self, question: str, culture: str, **how: Unpack[AskFields]) -> Answer:
        """Return how the people of a culture answer a question; see `Milieu.ask`."""
        return await self.send(write_ask(question, culture, how))

    async def stream(
        self, question: str, culture: str, **how: Unpack[AskFields]
    ) -> AsyncGenerator[Evidence | Delta | Answer, None]:
        """Yield the evidence of an answer, its text as it is written, and then the whole answer.

        Who leaves the loop early closes it with `contextlib.aclosing`, which ends the work at the
        service. See `Milieu.stream`.
        """
        call, last = write_ask(question, culture, how, stream=True), None
        async with aclosing(await self._open(call, streams=True)) as reply:
            with self._explain(call):
                async for event in httpx2.EventSource(reply):
                    found = read_event(self.url, event)
                    if found is not None:
                        last = found
                        yield found
        check_answered(self.url, last)

    async def compare(
        self, question: str, cultures: Sequence[str], **how: Unpack[AskFields]
    ) -> Comparison:
        """Return how several peoples answer one question; see `Milieu.compare`."""
        free = asyncio.Semaphore(MAX_CONCURRENT)

        async def ask(culture: str) -> Answer | ServiceRefused:
            async with free:
                try:
                    return await self.ask(question, culture, **how)
                except ServiceRefused as exc:
                    return exc

        named = list(dict.fromkeys(cultures))
        tasks = [asyncio.create_task(ask(culture)) for culture in named]
        try:
            return make_comparison(dict(zip(named, await asyncio.gather(*tasks), strict=True)))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def batch(
        self,
        questions: Iterable[str | Mapping[str, Any]],
        cultures: Sequence[str] = (),
        recipes: Sequence[RecipeFields] = (),
    ) -> AsyncGenerator[BatchResult, None]:
        """Yield what comes of every question of every culture in every way; see `Milieu.batch`.

        Who leaves the loop early closes it with `contextlib.aclosing`.
        """
        call, lines, n_read = write_batch(questions, cultures, recipes), LineSplitter(), 0
        async with aclosing(await self._open(call, streams=True)) as reply:
            with self._explain(call):
                async for piece in reply.aiter_bytes():
                    for line in lines.feed([piece]):
                        n_read += 1
                        yield read_line(self.url, call, line)
            check_complete(self.url, reply, n_read=n_read)

    async def exemplars(
        self, question: str, culture: str, **how: Unpack[ExemplarFields]
    ) -> Exemplars:
        """Return what a model would be shown before a question; see `Milieu.exemplars`."""
        return await self.send(write_exemplars(question, culture, how))

    async def cultures(self) -> Listing[Culture]:
        """Return the cultures that can be answered for, by their alpha-3 codes."""
        return await self.send(write_cultures())

    async def culture(self, name: str) -> Culture:
        """Return one culture, found by code, name or language tag."""
        return await self.send(write_culture(name))

    async def questions(self, **which: Unpack[QuestionFields]) -> QuestionsPage:
        """Return what surveys asked, a page at a time; see `Milieu.questions`."""
        return await self.send(write_questions(which))

    async def question(
        self,
        key: str,
        *,
        culture: str | Sequence[str] | None = None,
        language: str | None = None,
    ) -> QuestionDetail:
        """Return a question and what each people answered; see `Milieu.question`."""
        return await self.send(write_question(key, culture, language))

    async def recall(self, answer_id: str) -> Answer | ChatEvidence:
        """Return a recent answer again; see `Milieu.recall`."""
        return await self.send(write_recall(answer_id))

    async def feedback(self, **what: Unpack[FeedbackFields]) -> FeedbackReceipt:
        """Tell what came of an answer; see `Milieu.feedback`."""
        return await self.send(write_feedback(what))

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON that any route replies; see `Milieu.request`."""
        return await self.send(write_request(method, path, body, timeout_s))

    async def send(self, call: Call[T]) -> T:
        """Return the result of a call, tried again where that helps."""
        return read_reply(self.url, call, await self._open(call, streams=False))

    async def _open(self, call: Call[Any], *, streams: bool) -> httpx2.Response:
        """Return the reply to a call that was accepted; what `streams` is not read yet."""
        for n_tried in count(1):
            try:
                return await self._try(call, streams=streams)
            except MilieuError as exc:
                pause_s = self._retries.pause_before(n_tried, exc, is_repeatable=call.is_repeatable)
                if pause_s is None:
                    raise
            await self._sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    async def _try(self, call: Call[Any], *, streams: bool) -> httpx2.Response:
        with self._explain(call):
            request = make_request(self._http, self.url, call)
            reply = await self._http.send(request, stream=streams)
            if reply.is_success:
                return reply
            async with aclosing(reply):
                await reply.aread()
        raise read_refusal(reply)

    def _explain(self, call: Call[Any]) -> AbstractContextManager[None]:
        return explain_failures(self.url, timeout_s=call.timeout_s or self._timeout_s)
