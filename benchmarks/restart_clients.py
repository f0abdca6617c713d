"""Clients that ask, give feedback, and write down what the service acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import aiohttp

from app.answering.recording import NEVER, NOT_YET

METRIC = "helpful"
CULTURES = ("DEU", "BRA", "NGA", "CAN")
RETRY_S = 0.1
ASK_S = 120.0
# Feedback comes a few answers later, so that a kill often falls in between.
N_BETWEEN = 4
MAX_REPLY_TOKENS = 3
Kind = Literal["answer", "chat", "stream"]


class Given(NamedTuple):
    """An answer that came whole.

    Attributes:
        is_promised: whether it came without a warning that it is not recorded, or not yet.
    """

    id: str
    user: str
    experiment: str
    arm: str
    kind: Kind
    is_promised: bool


@dataclass
class Noted:
    """What clients saw.

    Attributes:
        receipts: key of acknowledged feedback → id of the answer.
        n_cut_off: requests that broke off, or were put off by a 5xx, and were sent again; those
            that found nobody there are not counted.
        n_repeated: feedback that had been taken before its acknowledgement was lost.
        n_forgone: feedback refused for an answer that came with the warning.
        slowest_s: the longest that a reply, or the end of the connection, took to come.
        failed: replies that nobody may get, and requests that got none.
    """

    answers: list[Given] = field(default_factory=list)
    receipts: dict[str, str] = field(default_factory=dict)
    n_cut_off: int = 0
    n_repeated: int = 0
    n_forgone: int = 0
    slowest_s: float = 0.0
    failed: list[str] = field(default_factory=list)


class Reply(NamedTuple):
    """Status and body."""

    status: int
    text: str


class Clients:
    """`n_clients` at once that ask `questions` as `n_units` users, over a service that may die."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        model: str,
        questions: Sequence[str],
        n_units: int,
        seed: int,
        ask_s: float = ASK_S,
    ) -> None:
        """Take the clients' session and questions; one that waits longer than `ask_s` gives up."""
        self._timeout = aiohttp.ClientTimeout(total=ask_s)
        self._session, self._url, self._model = session, url, model
        self._questions, self._n_units, self._seed = questions, n_units, seed
        self._moments: list[tuple[int, asyncio.Event]] = []
        self.noted = Noted()

    async def run(self, n_requests: int, *, n_clients: int) -> None:
        """Return when every request is answered and all feedback taken."""
        numbers = iter(range(n_requests))
        async with asyncio.TaskGroup() as group:
            for _ in range(n_clients):
                group.create_task(self._client(numbers))

    async def until(self, n_answers: int) -> None:
        """Return when so many answers have come."""
        event = asyncio.Event()
        self._moments.append((n_answers, event))
        self._tell_moments()
        await event.wait()

    async def _client(self, numbers: Iterator[int]) -> None:
        waiting: deque[Given] = deque()
        for number in numbers:
            draw = random.Random(f"{self._seed}/{number}")
            given = await self._ask(draw)
            if given is None:
                continue
            self.noted.answers.append(given)
            self._tell_moments()
            if draw.random() < 0.5:
                waiting.append(given)
            if len(waiting) > N_BETWEEN:
                await self._give_feedback(waiting.popleft())
        for given in waiting:
            await self._give_feedback(given)

    def _tell_moments(self) -> None:
        for n_answers, event in self._moments:
            if len(self.noted.answers) >= n_answers:
                event.set()

    async def _ask(self, draw: random.Random) -> Given | None:
        """Return a whole answer, None where the service says something that it should not."""
        user = f"u{draw.randrange(self._n_units)}"
        kinds: tuple[Kind, ...] = ("answer", "chat", "stream")
        [kind] = draw.choices(kinds, (0.7, 0.15, 0.15))
        question, culture = draw.choice(self._questions), draw.choice(CULTURES)
        path = "/answer" if kind == "answer" else "/v1/chat/completions"
        body: dict[str, Any] = {"user": user, "culture": culture}
        if kind == "answer":
            body |= {"question": question}
        else:
            messages = [{"role": "user", "content": question}]
            body |= {"model": self._model, "messages": messages, "stream": kind == "stream"}
            body |= {"max_tokens": MAX_REPLY_TOKENS}
        while True:
            reply = await self._posted(path, body)
            if reply.status != 200:
                self.noted.failed.append(f"{kind}: {reply.status} {reply.text[:300]}")
                return None
            given = _given(reply.text, user, kind)
            if given is not None:
                return given
            self.noted.n_cut_off += 1

    async def _give_feedback(self, given: Given) -> None:
        key = f"feedback-{given.id}"
        body = {"answer_id": given.id, "metric": METRIC, "value": given.id < "ans_8", "key": key}
        reply = await self._posted("/v1/feedback", body)
        if reply.status == 200:
            receipt = json.loads(reply.text)
            self.noted.receipts[receipt["key"]] = given.id
            self.noted.n_repeated += receipt["repeated"]
        elif reply.status == 404 and not given.is_promised:
            self.noted.n_forgone += 1
        else:
            self.noted.failed.append(f"feedback: {reply.status} {reply.text[:300]}")

    async def _posted(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Return a whole reply, asking again while the service is away or says to come back."""
        while True:
            began_s = time.monotonic()
            try:
                async with self._session.post(
                    f"{self._url}{path}", json=body, timeout=self._timeout
                ) as response:
                    reply = Reply(response.status, await response.text())
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(RETRY_S)
                continue
            except TimeoutError:
                self.noted.failed.append(f"{path}: no reply within {self._timeout.total:g} s")
                reply = Reply(503, "")
            except (aiohttp.ClientError, OSError):
                reply = Reply(503, "")
            self.noted.slowest_s = max(self.noted.slowest_s, time.monotonic() - began_s)
            if reply.status not in (502, 503, 504):
                return reply
            self.noted.n_cut_off += 1
            await asyncio.sleep(RETRY_S)


def _given(text: str, user: str, kind: Kind) -> Given | None:
    """Return the answer that a body holds, None for a stream without its end."""
    if kind != "stream":
        said = json.loads(text)
        return _of(said if kind == "answer" else said["milieu"], user, kind)
    *events, last = text.removesuffix("\n\n").split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    if last != "data: [DONE]" or any("error" in chunk for chunk in chunks):
        return None
    head = chunks[0]["milieu"]
    # What becomes known at the end comes at the end.
    warnings = [each for c in chunks for each in c.get("milieu", {}).get("warnings", [])]
    return _of(head | {"warnings": warnings}, user, kind)


def _of(said: Mapping[str, Any], user: str, kind: Kind) -> Given:
    chosen = said["experiment"] or {"name": "", "arm": ""}
    is_promised = not {NOT_YET, NEVER} & set(said["warnings"])
    return Given(said["id"], user, chosen["name"], chosen["arm"], kind, is_promised)
