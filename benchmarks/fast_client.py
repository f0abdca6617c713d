"""A client that takes little of the machine it measures: one request at a time per connection."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

_HEAD_END, _LAST_CHUNK = b"\r\n\r\n", b"0\r\n\r\n"
REPLY_S = 60.0
OK = 200


class Load(NamedTuple):
    """Latencies in milliseconds, and how long all requests took together, in seconds."""

    latencies_ms: tuple[float, ...]
    took_s: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return len(self.latencies_ms) / self.took_s

    def quantile(self, percent: int) -> float:
        """Return the latency that `percent` of the requests stay under, in milliseconds."""
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


async def send_all(
    url: str, path: str, bodies: Sequence[Mapping[str, object]], *, n_concurrent: int
) -> Load:
    """POST each of `bodies`, `n_concurrent` at a time, and return what that took.

    Raises:
        RuntimeError: a reply has another status than 200, or the connection broke.
        TimeoutError: a reply took longer than `REPLY_S`.
    """
    address = urlsplit(url)
    requests = iter([write_request(address.netloc, path, body) for body in bodies])
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    where = address.hostname or "127.0.0.1", address.port or 80
    made = [await loop.create_connection(Connection, *where) for _ in range(n_concurrent)]
    started = time.perf_counter()
    try:
        await asyncio.gather(*(_send_some(client, requests, latencies) for _, client in made))
        return Load(tuple(latencies), time.perf_counter() - started)
    finally:
        for transport, _ in made:
            transport.close()


async def _send_some(client: Connection, requests: Iterator[bytes], latencies: list[float]) -> None:
    for request in requests:
        started = time.perf_counter()
        async with asyncio.timeout(REPLY_S):
            status = await client.send(request)
        if status != OK:
            raise RuntimeError(f"refused: {client.received[:2000]!r}")
        latencies.append((time.perf_counter() - started) * 1000.0)


def write_request(host: str, path: str, body: Mapping[str, object]) -> bytes:
    """Return a POST of a JSON body."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Connection(asyncio.Protocol):
    """A connection that is kept, on which replies are read to their end."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._n_expected: int | None = None
        self._transport: asyncio.Transport | None = None
        self._replied: asyncio.Future[int] | None = None

    @property
    def received(self) -> bytes:
        """What came of the last reply."""
        return bytes(self._received)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._replied is not None and not self._replied.done():
            self._replied.set_exception(RuntimeError(f"the connection was closed: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._n_expected is None:
            end = self._received.find(_HEAD_END)
            if end < 0:
                return
            self._n_expected = _find_end(bytes(self._received[:end]).lower(), end)
        is_whole = (
            len(self._received) >= self._n_expected
            if self._n_expected
            else self._received.endswith(_LAST_CHUNK)
        )
        if is_whole and self._replied is not None and not self._replied.done():
            self._replied.set_result(int(self._received[9:12]))

    async def send(self, request: bytes) -> int:
        """Send a request, wait for the end of its reply, and return its status.

        Raises:
            RuntimeError: the connection was closed before.
        """
        assert self._transport is not None
        self._received.clear()
        self._n_expected = None
        self._replied = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._replied

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def _find_end(head: bytes, n_head: int) -> int:
    """Return how many bytes the reply has, 0 where it comes in chunks."""
    _, found, rest = head.partition(b"content-length:")
    if not found:
        return 0
    return n_head + len(_HEAD_END) + int(rest.partition(b"\r\n")[0])
