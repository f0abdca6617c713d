"""Which of several servers gets a call: the same one for the same culture and version, by load.

Calls of one culture and one version share a long prefix, and the server that computed it last has
it in its cache and the adapter in a slot. Rendezvous hashing gives each pair an order of servers
that needs no table: when a server leaves, only its own pairs move, and to their second choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol, TypeVar

# A pair's first server is passed over where it has more than this many times the mean of calls.
SPILL_FACTOR = 1.25
# So many calls are one batch to a server, and waiting for one costs less than a prefix anew.
N_CALLS_FREE = 4


class Busy(Protocol):
    """A server by its address, with the calls that it is answering."""

    @property
    def url(self) -> str:
        """Its address."""
        ...

    @property
    def n_in_flight(self) -> int:
        """How many calls it is answering."""
        ...


class Placement(Protocol):
    """Knows which servers have an adapter; `adapters.hot_swap.HotSwap` is one."""

    def find_ready(self, name: str) -> frozenset[str] | None:
        """Return the addresses where adapter `name` is proven, None if any server will do."""
        ...

    def lose(self, name: str, url: str) -> None:
        """Take note that the server at `url` says it has no model `name`."""
        ...

    async def restore(self, name: str) -> bool:
        """Bring adapter `name` back where it was lost; return whether a server has it now."""
        ...


S = TypeVar("S", bound=Busy)


def make_route(culture: str | None, model: str) -> str | None:
    """Return what calls with a common prefix have in common, None for those that have none."""
    return None if culture is None else f"{culture}|{model}"


def rank_servers(servers: Sequence[S], route: str) -> list[S]:
    """Return `servers` in the order in which `route` prefers them. Their own order is no matter."""
    return sorted(servers, key=lambda server: _weigh(server.url, route))


def choose_server(servers: Sequence[S], route: str | None) -> S:
    """Return the first server of `route` that is not too busy; the least busy one without a route.

    Too busy is one with `SPILL_FACTOR` times the mean or more, this call counted in, but not below
    `N_CALLS_FREE`.

    Raises:
        ValueError: there is no server.
    """
    if route is None:
        return min(servers, key=lambda server: server.n_in_flight)
    if not servers:
        raise ValueError("there is no server to choose from")
    mean = (sum(server.n_in_flight for server in servers) + 1) / len(servers)
    limit = max(N_CALLS_FREE, math.ceil(SPILL_FACTOR * mean))
    # The least busy one has fewer than the mean, so there is always one.
    return next(s for s in rank_servers(servers, route) if s.n_in_flight < limit)


def _weigh(url: str, route: str) -> bytes:
    return blake2b(f"{url}|{route}".encode(), digest_size=8).digest()
