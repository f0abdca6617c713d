"""What is tried again, after which pause, and what is not: by a transport of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from milieu_client import (
    NO_RETRIES,
    AsyncMilieu,
    Milieu,
    MilieuError,
    ReplyUnreadable,
    Retries,
    ServiceRefused,
    ServiceTimedOut,
    ServiceUnreachable,
)

Step = httpx2.Response | Exception
BUSY = {"type": "urn:milieu:problem:vllm-busy", "title": "Too many requests under way"}
GOOD: dict[str, Any] = {
    "culture": {"code": "DEU", "alpha2": "DE", "name": "Germany"},
    "question": "Q?", "retriever": "dense", "same_question": None, "recognised": None,
    "nearest_similarity": None, "below_floor": True, "asks_value": None, "exemplars": [],
}  # fmt: skip


class Scripted:
    """Answers each request with the next step, and remembers the pauses between."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = iter(steps)
        self.requests: list[httpx2.Request] = []
        self.pauses_s: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        step = next(self._steps)
        if isinstance(step, Exception):
            raise step
        return step

    def sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.pauses_s.append(seconds)


def refuse(status: int, retry_after: str | None = None) -> httpx2.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    detail = "Too much to do."
    return httpx2.Response(
        status, json={**BUSY, "status": status, "detail": detail}, headers=headers
    )


def accept(**more: Any) -> httpx2.Response:
    return httpx2.Response(200, json={**GOOD, **more})


def client(script: Scripted, retries: Retries | None = None) -> Milieu:
    transport = httpx2.MockTransport(script)
    return Milieu("http://milieu/", retries=retries, transport=transport, sleep=script.sleep)


def async_client(script: Scripted, retries: Retries | None = None) -> AsyncMilieu:
    transport = httpx2.MockTransport(script)
    return AsyncMilieu(
        "http://milieu/", retries=retries, transport=transport, sleep=script.sleep_async
    )


TRANSIENT: list[Callable[[], Step]] = [
    lambda: refuse(429),
    lambda: refuse(502),
    lambda: refuse(503),
    lambda: refuse(504),
    lambda: httpx2.ConnectError("refused"),
    lambda: httpx2.ConnectTimeout("no handshake"),
    lambda: httpx2.RemoteProtocolError("the server left"),
]


@pytest.mark.parametrize("step", TRANSIENT)
def test_what_may_pass_is_tried_again_after_growing_pauses(step: Callable[[], Step]) -> None:
    script = Scripted([step(), step(), step(), accept()])

    assert client(script).exemplars("Q?", "DE").culture.name == "Germany"

    first, second, third = script.pauses_s
    assert 0.25 <= first <= 0.5 <= second <= 1.0 <= third <= 2.0
    assert len({request.content for request in script.requests}) == 1


@pytest.mark.parametrize("step", TRANSIENT)
async def test_the_async_client_tries_again_alike(step: Callable[[], Step]) -> None:
    script = Scripted([step(), accept()])

    assert (await async_client(script).exemplars("Q?", "DE")).below_floor
    assert len(script.pauses_s) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 413, 415, 422, 500])
def test_what_was_refused_is_not_asked_again(status: int) -> None:
    script = Scripted([refuse(status)])

    with pytest.raises(ServiceRefused, match="Too much to do") as caught:
        client(script).exemplars("Q?", "DE")
    assert caught.value.status == status
    assert script.pauses_s == []


def test_the_last_refusal_is_raised() -> None:
    script = Scripted([refuse(503), refuse(429)])

    with pytest.raises(ServiceRefused, match=r"\(429\)"):
        client(script, Retries(n_tries=2)).exemplars("Q?", "DE")


def test_without_retries_the_first_failure_is_raised() -> None:
    script = Scripted([httpx2.ConnectError("refused")])

    with pytest.raises(ServiceUnreachable, match="refused") as caught:
        client(script, NO_RETRIES).exemplars("Q?", "DE")
    assert caught.value.url == "http://milieu"


def test_the_service_says_when_to_come_back() -> None:
    script = Scripted([refuse(503, "7"), accept()])

    client(script).exemplars("Q?", "DE")
    assert script.pauses_s == [7.0]


def test_it_may_say_so_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    script = Scripted([refuse(503, date), refuse(503, past), refuse(503, "soon"), accept()])

    client(script).exemplars("Q?", "DE")
    until_date, after_past, without = script.pauses_s
    assert 20.0 < until_date <= 30.0
    assert after_past == 0.0
    assert 1.0 <= without <= 2.0


def test_longer_than_the_longest_pause_is_not_waited() -> None:
    script = Scripted([refuse(503, "3600")])

    with pytest.raises(ServiceRefused) as caught:
        client(script).exemplars("Q?", "DE")
    assert caught.value.retry_after_s == 3600.0
    assert script.pauses_s == []


def test_silence_is_not_asked_again() -> None:
    script = Scripted([httpx2.ReadTimeout("silent")])

    with pytest.raises(ServiceTimedOut, match="120 s"):
        client(script).exemplars("Q?", "DE")


@pytest.mark.parametrize("step", TRANSIENT)
def test_what_changes_something_is_sent_once(step: Callable[[], Step]) -> None:
    script = Scripted([step()])

    with pytest.raises(MilieuError):
        client(script).request("POST", "/v1/adapters/rollback", {"culture": "DE"})
    assert len(script.requests) == 1


def test_a_stream_is_tried_again_only_before_it_begins() -> None:
    broken = httpx2.Response(
        200,
        headers={"Content-Type": "text/event-stream"},
        text='event: delta\ndata: {"text": "one"}\n\nevent: news\ndata: {}\n\n'
        'event: problem\ndata: {"status": 503, "title": "vLLM is away", "detail": "x"}\n\n',
    )
    script = Scripted([refuse(503), broken])
    events = client(script).stream("Q?", "DE")

    assert next(iter(events)).model_dump() == {"text": "one"}
    with pytest.raises(ServiceRefused, match=r"vLLM is away: x \(503\)"):
        next(iter(events))
    assert len(script.requests) == 2


def test_a_stream_that_ends_before_the_answer_says_so() -> None:
    headers = {"Content-Type": "text/event-stream"}
    text = 'event: delta\ndata: {"text": "one"}\n\n'
    events = client(Scripted([httpx2.Response(200, headers=headers, text=text)])).stream("Q?", "DE")

    assert next(events).model_dump() == {"text": "one"}
    with pytest.raises(ServiceUnreachable, match="the answer broke off"):
        next(events)


LINE = b'{"index": %d, "row": 0, "recipe": 0, "culture": "A \xe2\x80\xa8 B"}\n'


class Pieces(httpx2.SyncByteStream):
    """A body that comes in pieces of a few bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield from (self._body[place : place + 7] for place in range(0, len(self._body), 7))


def send_lines(n: int, total: int) -> httpx2.Response:
    body = b"".join(LINE % index for index in range(n))
    return httpx2.Response(200, headers={"X-Total-Count": str(total)}, stream=Pieces(body))


def test_a_batch_comes_in_lines_whatever_a_text_holds() -> None:
    script = Scripted([refuse(503), send_lines(3, total=3)])

    found = list(client(script).batch(["Q?"], ["A"]))
    assert [(each.index, each.culture) for each in found] == [(n, "A \u2028 B") for n in range(3)]


def test_a_batch_that_breaks_off_says_so_after_what_came() -> None:
    found = client(Scripted([send_lines(2, total=5)])).batch(["Q?"], ["A"])

    assert [next(found).index, next(found).index] == [0, 1]
    with pytest.raises(ServiceUnreachable, match="broke off after 2 of 5 results"):
        next(found)


@pytest.mark.parametrize("content", [b"hello", b"[]", b"{}", b'{"culture": {"code": 1}}', b"\xff"])
def test_what_is_no_reply_of_a_service_says_so(content: bytes) -> None:
    script = Scripted([httpx2.Response(200, content=content)])

    with pytest.raises(ReplyUnreadable, match="No service at http://milieu that this client"):
        client(script).exemplars("Q?", "DE")


@pytest.mark.parametrize("content", [b"", b"<html>Bad gateway", b"[1]", b'{"detail": 1}'])
def test_a_refusal_that_is_no_problem_is_quoted(content: bytes) -> None:
    script = Scripted([httpx2.Response(400, content=content)])

    with pytest.raises(ServiceRefused, match=r"\(400\)") as caught:
        client(script).exemplars("Q?", "DE")
    assert caught.value.detail == (content.decode() or "no reason was sent")


def test_fields_of_a_newer_service_are_kept() -> None:
    found = client(Scripted([accept(mood="sunny")])).exemplars("Q?", "DE")

    assert found.model_dump()["mood"] == "sunny"


def test_what_a_terminal_let_somebody_type_can_be_sent() -> None:
    script = Scripted([accept()])
    client(script).exemplars("Q \udc80 ü?", "DE", k=None, seed=1)

    [request] = script.requests
    assert request.content == b'{"question": "Q \\udc80 \\u00fc?", "culture": "DE", "seed": 1}'


def test_a_date_that_no_clock_has_is_no_date() -> None:
    script = Scripted([refuse(503, f"1 Jan {10**20} 00:00:00 GMT"), accept()])

    assert client(script).exemplars("Q?", "DE").below_floor

    assert 0.25 <= script.pauses_s[0] <= 0.5
