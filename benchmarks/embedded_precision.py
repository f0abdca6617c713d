"""The embedded model in each precision and number of threads: what it costs, how near it comes.

    python -m benchmarks.embedded_precision --dtypes float32 bfloat16 --threads 1 2

Each row is a vLLM of its own, started as the service starts it, one after the other. What they say
is compared with transformers in float32: greedy replies to everyday prompts, of at most 32 tokens,
and the mean loss of a plain English text.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from app.settings import read_settings
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions, LoraOptions
from app.vllm.client import VllmClient
from app.vllm.wire import ChatRequest
from benchmarks.reference_replies import MAX_REPLY_TOKENS, Reference, read_prompts, read_reference
from benchmarks.text_loss import ask_loss
from embedded_model.unpack import ensure_unpacked
from prompting.messages import Message

NAME = "smollm2-135m-instruct"
LABELS = ("A", "B", "C", "D")
PROMPT_TOKENS, LABEL_PROMPT_TOKENS, N_GENERATED = 300, 470, 64
WORDS = ("time", "people", "water", "house", "day", "work", "child", "hand", "place", "year")


class Row(NamedTuple):
    """What one vLLM was measured at; seconds, MiB and counts as the table's heads say."""

    precision: str
    start_s: float
    memory_mib: float
    same_replies: int
    same_openings: int
    loss_difference: float
    first_token_s: float
    tokens_per_s: float
    labels_per_s: float
    labels_at_once_per_s: float

    def cells(self) -> list[str]:
        """Return the figures as the table shows them."""
        return [
            self.precision,
            f"{self.start_s:.1f}",
            f"{self.memory_mib:.0f}",
            f"{self.same_replies} / {self.same_openings}",
            f"{self.loss_difference:+.4f}",
            f"{self.first_token_s:.3f}",
            f"{self.tokens_per_s:.1f}",
            f"{self.labels_per_s:.1f} / {self.labels_at_once_per_s:.1f}",
        ]


HEADS = (
    "precision, threads",
    "start s",
    "memory MiB",
    "replies / openings alike",
    "loss, difference",
    "first token s",
    "tokens/s",
    "labels/s, alone / of 8",
)


def main() -> None:
    """Measure every precision and number of threads, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="another folder than the embedded model's")
    parser.add_argument("--prompts", type=int, help="only the first so many")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5, help="requests for each time")
    parser.add_argument("--reference", type=Path, help="file to keep transformers' answers in")
    parser.add_argument("--compiled", action="store_true", help="let vLLM compile")
    args = parser.parse_args()
    model = args.model or ensure_unpacked(read_settings().models_folder)
    reference = read_reference(model, n_prompts=args.prompts, kept=args.reference)
    n_prompts = len(reference.replies)
    table = Table(*HEADS, title=f"{n_prompts} prompts; loss {reference.loss:.4f}")
    for dtype, n_threads in itertools.product(args.dtypes, args.threads):
        with tempfile.TemporaryDirectory() as scratch:
            options = LocalVllmOptions(
                model,
                NAME,
                Path(scratch) / "vllm.log",
                dtype=dtype,
                n_threads=n_threads,
                max_model_len=2048,
                enforce_eager=not args.compiled,
                lora=LoraOptions(),
            )
            row = asyncio.run(measure(options, reference, n_repeats=args.repeats))
        table.add_row(*row.cells())
        print(*row.cells(), sep=" | ", flush=True)
    Console(width=160).print(table)


async def measure(options: LocalVllmOptions, reference: Reference, *, n_repeats: int) -> Row:
    """Return what a vLLM with `options` costs and says."""
    prompts = read_prompts()[: len(reference.replies)]
    started = time.monotonic()
    async with LocalVllm(options) as vllm:
        start_s = time.monotonic() - started
        async with VllmClient([vllm.url], api_key=vllm.api_key) as client:
            replies = [await reply(client, prompt) for prompt in prompts]
            memory_mib = _memory_mib()
            loss = await ask_loss(vllm.url, vllm.api_key, NAME, reference.tokens)
            texts = _Texts(client)
            first_token_s = await _median(n_repeats, lambda: first_token(client, texts))
            generating_s = await _median(n_repeats, lambda: generate(client, texts))
            label_s = await _median(n_repeats, lambda: score(client, texts))
            together_s = await _median(2, lambda: score_at_once(client, texts, n=8))
    pairs = list(zip(replies, reference.replies, strict=True))
    return Row(
        f"{options.dtype}, {options.n_threads}",
        start_s,
        memory_mib,
        sum(found == expected for found, expected in pairs),
        sum(found.split()[:3] == expected.split()[:3] for found, expected in pairs),
        loss - reference.loss,
        first_token_s,
        N_GENERATED / generating_s,
        1 / label_s,
        8 / together_s,
    )


async def reply(client: VllmClient, prompt: str) -> str:
    """Return the greedy reply to `prompt`."""
    messages = (Message("user", prompt),)
    request = ChatRequest(NAME, messages, max_tokens=MAX_REPLY_TOKENS, temperature=0.0)
    return (await client.chat(request)).choices[0].text


async def first_token(client: VllmClient, texts: _Texts) -> float:
    """Return the seconds to the first token after a prompt of PROMPT_TOKENS, none of it cached."""
    text = await texts.make(PROMPT_TOKENS)
    started = time.monotonic()
    await client.chat(ChatRequest(NAME, (Message("user", text),), max_tokens=1))
    return time.monotonic() - started


async def generate(client: VllmClient, texts: _Texts) -> float:
    """Return the seconds for N_GENERATED tokens, the first one not counted."""
    request = ChatRequest(
        NAME, (Message("user", await texts.make(50)),), max_tokens=N_GENERATED + 1
    )
    times = [time.monotonic() async for _ in client.stream(request)]
    # The last two chunks are the end and the usage.
    return (times[-3] - times[0]) / max(1, len(times) - 3) * N_GENERATED


async def score(client: VllmClient, texts: _Texts) -> float:
    """Return the seconds for the log-probabilities of four labels after LABEL_PROMPT_TOKENS."""
    text = await texts.make(LABEL_PROMPT_TOKENS)
    started = time.monotonic()
    await client.score((Message("user", text),), LABELS, model=NAME)
    return time.monotonic() - started


async def score_at_once(client: VllmClient, texts: _Texts, *, n: int) -> float:
    """Return the seconds until `n` prompts that were sent together have their labels."""
    prompts = [(Message("user", await texts.make(LABEL_PROMPT_TOKENS)),) for _ in range(n)]
    started = time.monotonic()
    await asyncio.gather(*(client.score(prompt, LABELS, model=NAME) for prompt in prompts))
    return time.monotonic() - started


class _Texts:
    """Texts of a given length that no other begins like."""

    def __init__(self, client: VllmClient) -> None:
        self._client = client
        self._random = random.Random(7)

    async def make(self, n_tokens: int) -> str:
        words = [self._random.choice(WORDS) for _ in range(n_tokens)]
        n_template = await self._client.count_tokens((Message("user", ""),), model=NAME)
        return " ".join(words[: n_tokens - n_template])


async def _median(n: int, ask: Callable[[], Awaitable[float]]) -> float:
    return statistics.median([await ask() for _ in range(n)])


def _memory_mib() -> float:
    """Return what the child's processes hold, memory that they share counted once."""
    children = psutil.Process().children(recursive=True)
    return sum(each.memory_full_info().pss for each in children) / 2**20


if __name__ == "__main__":
    main()
