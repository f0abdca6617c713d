"""Which versions should be live, and how far each replica is with them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from adapters.hot_swap import HotSwap
from adapters.replica import Replica


class Readiness(StrEnum):
    """How far a replica is with a version."""

    READY = "ready"
    LOADING = "loading"
    FAILED = "failed"
    MISSING = "missing"


class VersionReadiness(NamedTuple):
    """One version on one replica; `since` is a Unix time, None for what was never there."""

    version: str
    readiness: Readiness
    since: float | None
    reason: str


class ReplicaStatus(NamedTuple):
    """One replica by host and port; `is_reachable` is None before it was asked for the first time.

    `since` is the Unix time of the last change of that.
    """

    name: str
    is_reachable: bool | None
    since: float
    reason: str
    versions: tuple[VersionReadiness, ...]


def describe_replicas(hot: HotSwap, active: Iterable[str]) -> tuple[ReplicaStatus, ...]:
    """Return each replica with every version that should be on it: active ones and those in use."""
    wanted = sorted({*active, *hot.loaded})
    return tuple(
        ReplicaStatus(
            name_replica(replica.url),
            *replica.reach,
            tuple(_describe_version(replica, version) for version in wanted),
        )
        for replica in hot.replicas
    )


def name_replica(url: str) -> str:
    """Return the host and port of `url`, without the user, password and path that it may have."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _describe_version(replica: Replica, version: str) -> VersionReadiness:
    if version in replica.proving:
        return VersionReadiness(version, Readiness.LOADING, None, "")
    if (since := replica.proven.get(version)) is not None:
        return VersionReadiness(version, Readiness.READY, since, "")
    if (failure := replica.failures.get(version)) is not None:
        return VersionReadiness(version, Readiness.FAILED, failure.since, failure.reason)
    reason = replica.reach.reason if replica.reach.is_reachable is False else ""
    return VersionReadiness(version, Readiness.MISSING, None, reason)
