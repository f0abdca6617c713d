"""Each key may make so many requests in a time, and so many at once; more are refused with 429."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from app.errors import ConcurrencyExceeded, RateExceeded
from app.setting_groups import LimitSettings
from app.state.key_limits import KeyLimits, forget_worker
from app.state.shared import SharedFile
from tests.app.service import NEIGHBOURS, opened
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import MakeSettings

ONE, OTHER = {"X-API-Key": "key-one"}, {"X-API-Key": "key-other"}
KEYS = "key-one,key-other"
CHAT = {"model": "fake", "messages": [{"role": "user", "content": "Hello"}]}


async def test_what_is_over_the_rate_is_refused_and_says_what_is_allowed(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(api_keys=KEYS, limits={"rate": "3/minute"})
    async with opened(settings) as client:
        taken = [(await client.get("/v1/cultures", headers=ONE)).status_code for _ in range(3)]
        refused = await client.get("/v1/cultures", headers=ONE)
        of_other = await client.get("/v1/cultures", headers=OTHER)
        open_to_all = [await client.get(path) for path in ("/livez", "/readyz")]
        watched = await client.get("/metrics", headers=ONE)
        of_openai = await client.post("/v1/chat/completions", json=CHAT, headers=ONE)

    assert taken == [200, 200, 200]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    problem = refused.json()
    assert problem["type"] == "urn:milieu:problem:rate-exceeded"
    assert "3 in the last 60 s, allowed are 3 (MILIEU_LIMITS__RATE)" in problem["detail"]
    assert of_other.status_code == 200
    assert {each.status_code for each in (*open_to_all, watched)} == {200}
    assert of_openai.status_code == 429
    assert of_openai.json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_key_has_so_many_requests_under_way_and_no_more(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    settings = make_settings(api_keys=KEYS, limits={"concurrency": 2})
    fake.delay_s = 0.3
    async with opened(settings) as client:

        async def ask(headers: Mapping[str, str]) -> httpx.Response:
            body = {"question": NEIGHBOURS, "culture": "DE", "method": "icl"}
            return await client.post("/answer", json=body, headers=headers)

        first = [asyncio.create_task(ask(ONE)) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused, of_other = await asyncio.gather(ask(ONE), ask(OTHER))
        answered = await asyncio.gather(*first)
        again = await ask(ONE)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert "2 are under way, allowed are 2" in refused.json()["detail"]
    assert {each.status_code for each in (*answered, of_other, again)} == {200}


async def test_a_wrong_key_uses_up_nobodys_limit(make_settings: MakeSettings) -> None:
    async with opened(make_settings(api_keys=KEYS, limits={"rate": "1/minute"})) as client:
        wrong = {"X-API-Key": "key-wrong"}
        refused = [await client.get("/v1/cultures", headers=wrong) for _ in range(3)]
        right = await client.get("/v1/cultures", headers=ONE)

    assert [each.status_code for each in refused] == [401] * 3
    assert right.status_code == 200


async def test_sessions_of_one_key_share_its_limit(make_settings: MakeSettings) -> None:
    async with opened(make_settings(api_keys=KEYS, limits={"rate": "2/minute"})) as client:
        statuses = []
        for _ in range(3):
            client.cookies.clear()
            entered = await client.post(
                "/key", data={"key": "key-one"}, headers={"Origin": "http://milieu"}
            )
            assert entered.status_code == 303
            statuses.append((await client.get("/v1/cultures")).status_code)

    assert statuses == [200, 200, 429]


async def test_nothing_is_limited_unless_it_is_set(make_settings: MakeSettings) -> None:
    async with opened(make_settings()) as client:
        statuses = {(await client.get("/v1/cultures")).status_code for _ in range(50)}

    assert statuses == {200}


def test_workers_count_together_and_what_a_killed_one_had_is_free_again(tmp_path: Path) -> None:
    of = LimitSettings(rate="3/hour; 2/minute", concurrency=1)
    one, other = KeyLimits(of, SharedFile(tmp_path)), KeyLimits(of, SharedFile(tmp_path))

    with one.hold("a"), pytest.raises(ConcurrencyExceeded), other.hold("a"):
        pass
    with other.hold("a"), other.hold("b"):
        pass
    with pytest.raises(RateExceeded) as refused, one.hold("a"):
        pass
    assert "allowed are 2" in str(refused.value)
    assert 0.0 < refused.value.retry_after_s <= 60.0

    file = SharedFile(tmp_path)
    file.connection.execute("INSERT INTO running VALUES (4711, 'c', 1)")
    with pytest.raises(ConcurrencyExceeded), one.hold("c"):
        pass
    forget_worker(tmp_path, 4711)
    with one.hold("c"):
        pass


def test_a_window_moves() -> None:
    limits = KeyLimits(LimitSettings(rate="2/second"), SharedFile(None))
    with limits.hold("a"), limits.hold("a"):
        pass
    with pytest.raises(RateExceeded) as refused, limits.hold("a"):
        pass
    time.sleep(refused.value.retry_after_s + 0.05)

    with limits.hold("a"):
        pass


@pytest.mark.parametrize("rate", ["often", "0/minute ", "3/fortnight"])
def test_what_is_no_rate_is_refused_with_an_example(rate: str) -> None:
    with pytest.raises(ValidationError, match="60/minute"):
        LimitSettings(rate=rate)


async def test_ten_times_too_much_is_shed_and_what_is_taken_is_answered_in_time(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    # 4 at a time, each for 50 ms, and 8 that wait: the last of them has its answer after 150 ms.
    fake.delay_s = 0.05
    n_room, n_asked = 12, 120
    settings = make_settings(vllm={"max_in_flight": 4, "max_queued": 8, "n_retries": 0})
    async with opened(settings) as client:
        await client.post("/v1/chat/completions", json=CHAT)

        async def ask() -> tuple[httpx.Response, float]:
            started_s = time.perf_counter()
            reply = await client.post("/v1/chat/completions", json=CHAT)
            return reply, time.perf_counter() - started_s

        replies = await asyncio.gather(*(ask() for _ in range(n_asked)))

    taken = [took_s for reply, took_s in replies if reply.status_code == 200]
    shed = [reply for reply, _ in replies if reply.status_code == 503]
    assert len(taken) + len(shed) == n_asked
    assert n_room <= len(taken) < n_asked / 2
    assert all(int(reply.headers["Retry-After"]) >= 1 for reply in shed)
    assert "requests run and" in shed[0].json()["error"]["message"]
    # On a busy machine; a queue of all 120 would take 1.5 s more than one that is served at once.
    assert max(taken) < 0.15 + 1.0
