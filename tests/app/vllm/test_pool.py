"""Which server gets a call, and how long it is waited for."""

from __future__ import annotations

import random

import pytest

from app.vllm.pool import LONGEST_COOLDOWN_S, Retries, ServerPool


def test_waits_double_up_to_a_cap_and_depend_on_the_seed() -> None:
    retries = Retries(base_s=0.1, cap_s=0.3)

    waits = [retries.wait_s(attempt, random.Random(7)) for attempt in range(4)]

    # The same draw u in [½, 1] each time: 0.1u, 0.2u, then 0.3u for good.
    assert waits[1] == pytest.approx(2 * waits[0])
    assert waits[2] == waits[3] == pytest.approx(3 * waits[0])
    assert 0.05 <= waits[0] <= 0.1


def test_the_cooldown_of_a_failing_server_doubles_each_time() -> None:
    now = 0.0
    pool = ServerPool(["http://a/", "http://b"], cooldown_s=1.0, now=lambda: now)
    a, b = pool.servers
    assert a.url == "http://a"

    pool.failed(a)
    assert pool.pick() is b
    now = 1.0
    assert pool.pick() is a
    pool.failed(a)
    now = 2.9
    assert pool.pick() is b
    now = 3.0
    assert pool.pick() is a
    pool.worked(a)
    pool.failed(a)
    now = 4.0
    assert pool.pick() is a


def test_a_server_may_fail_any_number_of_times() -> None:
    pool = ServerPool(["http://a"], now=lambda: 0.0)
    (server,) = pool.servers

    for _ in range(2000):
        pool.failed(server)

    assert pool.pick() is server
    assert server.cools_until == LONGEST_COOLDOWN_S


def test_when_all_cool_down_the_first_to_be_ready_is_tried() -> None:
    pool = ServerPool(["http://a", "http://b"], now=lambda: 0.0)
    a, b = pool.servers
    pool.busy(a, for_s=5.0)
    pool.busy(b, for_s=2.0)

    assert pool.pick() is b
    assert pool.pick(avoid=[b]) is b


def test_a_server_that_was_tried_is_taken_only_for_want_of_another() -> None:
    pool = ServerPool(["http://a", "http://b"], now=lambda: 0.0)
    a, b = pool.servers

    with b.occupied():
        assert pool.pick() is a
        assert pool.pick(avoid=[a]) is b
    assert pool.pick(avoid=[a, b]) is a


def test_no_server_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ServerPool([])
