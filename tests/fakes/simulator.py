"""Simulated vLLM servers: in this process, to be killed and started again, or each by itself.

    python -m tests.fakes.simulator --port 9001 --cache-blocks 2000 --delay-ms 5

With several of them on different ports a gateway has replicas (`MILIEU_VLLM__URLS`) without a GPU
or a model. `--fault` lets every n-th chat go wrong: `stalls` (never answers), `garbage` (no JSON),
`truncated` (a stream that breaks off), `full` (503 with Retry-After) or `broken` (500). A key is
taken from `VLLM_API_KEY`. What it does is told in `tests.fakes.vllm`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from tests.fakes.vllm import BLOCK_TOKENS, MODEL, FakeVllm, Scripted

FAULTS: Final = {
    "stalls": Scripted(stalls=True),
    "garbage": Scripted(raw=b"\x00 no JSON"),
    "truncated": Scripted(drops_after=1),
    "full": Scripted(503, headers={"Retry-After": "1"}),
    "broken": Scripted(500, message="EngineCore encountered an issue."),
}


class FaultyVllm(FakeVllm):
    """One of whose chats every `every`-th goes wrong as `fault` says."""

    def break_down(self, fault: str, *, every: int) -> None:
        """Let every `every`-th chat from now on, the first of them included, go wrong."""
        steps = itertools.cycle([FAULTS[fault], *[Scripted()] * (every - 1)])
        self.script(*itertools.islice(steps, 100_000))


class _Server(uvicorn.Server):
    """Uvicorn that can be told to end as a killed process does, without a word to anyone."""

    loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def kill(self) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self._drop_everything)

    def _drop_everything(self) -> None:
        for listening in self.servers:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        self.should_exit = self.force_exit = True


class SimulatedReplica:
    """A fake server on a port that stays the same through kills and starts.

    Attributes:
        fake: what it serves.
        url: where it is.
    """

    def __init__(self, fake: FakeVllm) -> None:
        self.fake = fake
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve, and return when that is so; after a kill without adapters and cache."""
        config = uvicorn.Config(
            self.fake.app, host="127.0.0.1", port=self._port, lifespan="off", ws="none",
            log_config=None, access_log=False,
        )  # fmt: skip
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, name=self.url, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError(f"the simulated vLLM did not start on port {self._port}")
            time.sleep(0.005)

    def kill(self) -> None:
        """End it amid whatever it does; all connections break."""
        if self._server is None or self._thread is None:
            return
        self._server.kill()
        self._thread.join(timeout=10)
        self._server = self._thread = None
        self.fake.restart()


@contextmanager
def replicas(*fakes: FakeVllm) -> Iterator[list[SimulatedReplica]]:
    """Serve `fakes`, each on a port of its own."""
    simulated = [SimulatedReplica(fake) for fake in fakes]
    try:
        for replica in simulated:
            replica.start()
        yield simulated
    finally:
        for replica in simulated:
            replica.kill()


def main() -> None:
    """Serve one simulated vLLM until it is ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--max-model-len", type=int, default=16384)
    parser.add_argument("--max-loras", type=int, default=4, help="slots for adapters")
    parser.add_argument("--adapters", nargs="*", default=(), metavar="NAME=PATH")
    parser.add_argument("--block-tokens", type=int, default=BLOCK_TOKENS)
    parser.add_argument("--cache-blocks", type=int, help="of the prefix cache; default: any number")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before an answer begins")
    parser.add_argument("--prompt-token-us", type=float, default=0.0, help="each, if not cached")
    parser.add_argument(
        "--slot-ms", type=float, default=0.0, help="to bring an adapter into a slot"
    )
    parser.add_argument("--fault", choices=sorted(FAULTS))
    parser.add_argument("--every", type=int, default=10, help="which chat goes wrong")
    of = parser.parse_args()
    fake = FaultyVllm(
        model=of.model, max_model_len=of.max_model_len, api_key=os.environ.get("VLLM_API_KEY"),
        max_loras=of.max_loras, block_tokens=of.block_tokens, cache_blocks=of.cache_blocks,
    )  # fmt: skip
    fake.adapters.update(text.split("=", 1) for text in of.adapters)
    fake.delay_s, fake.slot_s = of.delay_ms / 1000.0, of.slot_ms / 1000.0
    fake.prompt_token_s = of.prompt_token_us / 1e6
    fake.keeps_requests = False
    if of.fault:
        fake.break_down(of.fault, every=of.every)
    uvicorn.run(fake.app, host="127.0.0.1", port=of.port, lifespan="off", log_config=None)


if __name__ == "__main__":
    main()
