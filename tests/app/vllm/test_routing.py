"""Which server a culture and version prefer, and when another one gets the call."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from app.vllm.pool import ServerPool
from app.vllm.routing import N_CALLS_FREE, choose_server, make_route, rank_servers

ROUTES = [f"{culture}|german@{version}" for culture in range(100) for version in range(10)]


@dataclass
class Paper:
    url: str
    n_in_flight: int = 0


def servers(n: int) -> list[Paper]:
    return [Paper(f"http://replica-{i}:8000") for i in range(n)]


def test_the_order_of_the_settings_is_no_matter() -> None:
    some = servers(5)
    shuffled = random.Random(1).sample(some, len(some))

    assert all(rank_servers(some, route) == rank_servers(shuffled, route) for route in ROUTES)


def test_each_server_is_the_first_of_its_share() -> None:
    firsts = Counter(rank_servers(servers(4), route)[0].url for route in ROUTES)

    # 250 of 1,000 each; the standard deviation of a binomial is 13.7, and this is four of them.
    assert len(firsts) == 4
    assert all(abs(n - 250) < 55 for n in firsts.values())


def test_when_a_server_leaves_only_its_own_move_and_to_their_second() -> None:
    some = servers(5)
    gone = some[2]
    left = [server for server in some if server is not gone]
    n_moved = 0

    for route in ROUTES:
        first, second, *_ = rank_servers(some, route)
        n_moved += first is gone
        assert rank_servers(left, route)[0] is (second if first is gone else first)

    # A fifth of them, within four standard deviations of 12.6.
    assert abs(n_moved - 200) < 51


def test_a_server_that_is_too_busy_is_passed_over_for_the_second() -> None:
    some = servers(3)
    first, second, third = rank_servers(some, "DEU|base")

    first.n_in_flight = N_CALLS_FREE - 1
    assert choose_server(some, "DEU|base") is first
    # The mean with this call is 5/3, and 1.25 of it rounded up is 3: below what is free.
    first.n_in_flight = N_CALLS_FREE
    assert choose_server(some, "DEU|base") is second
    # (4 + 4 + 1) / 3 · 1.25 = 3.75, so 4 is the limit: the third choice.
    second.n_in_flight = N_CALLS_FREE
    assert choose_server(some, "DEU|base") is third


def test_a_server_is_not_left_for_being_as_busy_as_the_others() -> None:
    some = servers(3)
    for server in some:
        server.n_in_flight = 40
    first = rank_servers(some, "DEU|base")[0]

    # 1.25 · 121 / 3 = 50.4, so the limit is 51.
    assert choose_server(some, "DEU|base") is first
    # 1.25 · 141 / 3 = 58.75, so the limit is 59.
    first.n_in_flight = 60
    assert choose_server(some, "DEU|base") is not first


def test_whatever_the_load_there_is_a_server() -> None:
    rng, some = random.Random(2), servers(7)

    for route in ROUTES:
        for server in some:
            server.n_in_flight = rng.randrange(200)
        assert choose_server(some, route) in some


def test_without_a_culture_the_least_busy_is_taken() -> None:
    some = servers(3)
    some[0].n_in_flight = some[2].n_in_flight = 1

    assert make_route(None, "base") is None
    assert choose_server(some, None) is some[1]


def test_nothing_is_chosen_of_nothing() -> None:
    with pytest.raises(ValueError, match="no server"):
        choose_server([], "DEU|base")


def test_a_call_goes_only_where_its_version_is_however_busy_or_cooling() -> None:
    pool = ServerPool([f"http://replica-{i}" for i in range(3)], now=lambda: 0.0)
    having = pool.servers[1]
    having.n_in_flight = 100

    for route in (*ROUTES, None):
        assert pool.pick(route=route, where={having.url}) is having
    pool.failed(having)
    assert pool.pick(route="DEU|base", where={having.url}) is having
    assert pool.pick([having], route="DEU|base", where={having.url}) is having


def test_a_server_that_cools_down_is_passed_over_for_the_second() -> None:
    pool = ServerPool([f"http://replica-{i}" for i in range(3)], now=lambda: 0.0)
    first, second, _ = rank_servers(pool.servers, "DEU|base")

    assert pool.pick(route="DEU|base") is first
    pool.failed(first)
    assert pool.pick(route="DEU|base") is second
