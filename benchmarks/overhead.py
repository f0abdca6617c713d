"""What Milieu adds to vLLM: `/answer` against the same final prompt sent straight to vLLM.

    make bench

Starts the real service on a free port, with the embedded model. Direct and through Milieu take
turns within one run, so that a noisy machine is as noisy for both. Then the same questions are
answered without a model: by what people said, by an estimate as if that were not known, and as
novel questions with options of their own. Client and service share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from app.answering.requests import AnswerRequest
from app.logs import configure_logging
from app.resources import Resources
from app.settings import Settings, read_settings
from app.vllm.connections import KEEP_ALIVE_S
from app.vllm.wire import score_body
from benchmarks.served import served
from estimation.source import AnswerFrom
from survey_data.library import SurveyLibrary

MAX_CASES = 64
# On a CPU a model takes a second for what is known in a millisecond: it is asked less often.
FEWER = 12
Call = Callable[[int], Awaitable[None]]
out = Console()


@dataclass(frozen=True)
class Measured:
    """Latencies in milliseconds and the rate in requests per second."""

    latencies_ms: tuple[float, ...]
    per_second: float

    def quantile(self, percent: int) -> float:
        """Return the latency that `percent` of the requests stay under."""
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--requests", type=int, default=300, help=f"per row and round; of a model, 1 in {FEWER}"
    )
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    configure_logging(level="WARNING", as_json=False)
    asyncio.run(run(read_settings(), n_requests=args.requests, n_rounds=args.rounds))


async def run(settings: Settings, *, n_requests: int, n_rounds: int) -> None:
    """Start the service, measure, print."""
    async with served(settings) as (resources, url):
        # vLLM closes connections that were idle for 5 s.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        async with aiohttp.ClientSession(connector=connector) as session:
            await measure(session, resources, url, n_requests=n_requests, n_rounds=n_rounds)


async def measure(
    session: aiohttp.ClientSession,
    resources: Resources,
    url: str,
    *,
    n_requests: int,
    n_rounds: int,
) -> None:
    """Print latency, rate and the time of each step."""
    n_of_model = max(2, n_requests // FEWER)
    cases = _cases(resources.library, n=min(MAX_CASES, n_of_model))
    bodies = [await _direct_body(resources, case) for case in cases]
    direct_url = f"{_vllm_url(resources)}/v1/chat/completions"
    headers = {}
    key = resources.settings.vllm.api_key.get_secret_value()
    if resources.local_vllm is not None:
        key = resources.local_vllm.api_key
    if key:
        headers["Authorization"] = f"Bearer {key}"
    steps: dict[str, list[float]] = {}
    fresh = itertools.count()

    async def direct(i: int) -> None:
        body = bodies[i % len(bodies)]
        async with session.post(direct_url, json=body, headers=headers) as reply:
            reply.raise_for_status()
            await reply.read()

    async def through(i: int) -> None:
        reply = await _answer(session, url, cases[i % len(cases)])
        for name, taken in reply["timings_ms"].items():
            steps.setdefault(name, []).append(taken)

    async def through_uncached(i: int) -> None:
        case = cases[i % len(cases)]
        # A text never seen before has no cached vector; its prompt is as long.
        await _answer(session, url, case | {"question": f"{case['question']} ({next(fresh)})"})

    def without_model(**asked: Any) -> Call:
        async def ask(i: int) -> None:
            case = cases[i % len(cases)]
            novel = (
                {"question": f"{case['question']} ({next(fresh)})"} if "options" in asked else {}
            )
            await _post(session, url, case | novel | asked)

        return ask

    asking_model: dict[str, Call] = {
        "direct to vLLM": direct,
        "Milieu, vector cached": through,
        "Milieu, vector new": through_uncached,
    }
    asking_none = {
        "known": without_model(),
        "withheld": without_model(withhold=True),
        "novel": without_model(options=["Yes", "Perhaps", "No"]),
    }
    for calls, n in ((asking_model, n_of_model), (asking_none, n_requests)):
        for call in calls.values():
            await asyncio.gather(*(call(i) for i in range(len(cases))))
        for n_concurrent in (1, 16):
            found: dict[str, list[Measured]] = {name: [] for name in calls}
            for _ in range(n_rounds):
                for name, call in calls.items():
                    found[name].append(await _load(call, n, n_concurrent))
            _print_load(found, n_concurrent)
    _print_steps(steps)


async def _load(call: Call, n_requests: int, n_concurrent: int) -> Measured:
    latencies: list[float] = []
    numbers = iter(range(n_requests))

    async def work() -> None:
        for i in numbers:
            started = time.perf_counter()
            await call(i)
            latencies.append((time.perf_counter() - started) * 1000.0)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(n_concurrent)))
    return Measured(tuple(latencies), n_requests / (time.perf_counter() - started))


def _cases(library: SurveyLibrary, *, n: int) -> list[dict[str, str]]:
    pairs = itertools.product(library.questions.values(), ("DEU", "NGA", "BRA", "IND"))
    every = [(q, code) for q, code in pairs if library.distribution(q.key, code) is not None]
    chosen = every[:: max(1, len(every) // n)][:n]
    return [{"question": question.text, "culture": code} for question, code in chosen]


async def _direct_body(resources: Resources, case: dict[str, str]) -> dict[str, object]:
    request = AnswerRequest(case["question"], case["culture"], answer_from=AnswerFrom.MODEL)
    answer = await resources.pipeline.answer(request)
    model, words = answer.plan.weights.model, answer.words
    ids = await resources.vllm.label_token_ids(model, answer.plan.asked.question.labels)
    assert ids is not None  # the embedded model's labels are single tokens
    return score_body(model, words.prompts[0], ids=ids)


async def _answer(
    session: aiohttp.ClientSession, url: str, case: dict[str, str]
) -> dict[str, dict[str, float]]:
    return await _post(session, url, case | {"answer_from": "model"})


async def _post(
    session: aiohttp.ClientSession, url: str, body: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    async with session.post(f"{url}/answer", json=body) as reply:
        reply.raise_for_status()
        answer: dict[str, dict[str, float]] = json.loads(await reply.read())
        return answer


def _vllm_url(resources: Resources) -> str:
    if resources.local_vllm is not None:
        return resources.local_vllm.url
    return resources.settings.vllm.urls[0]


def _print_load(found: dict[str, list[Measured]], n_concurrent: int) -> None:
    title, first = f"{n_concurrent} at a time (median over rounds)", next(iter(found))
    table = Table("", "p50 ms", "p99 ms", "requests/s", f"p50 over {first}, ms", title=title)
    base = statistics.median(m.quantile(50) for m in found[first])
    for name, rounds in found.items():
        p50 = statistics.median(m.quantile(50) for m in rounds)
        p99 = statistics.median(m.quantile(99) for m in rounds)
        rate = statistics.median(m.per_second for m in rounds)
        table.add_row(name, f"{p50:.1f}", f"{p99:.1f}", f"{rate:.0f}", f"{p50 - base:+.1f}")
    out.print(table)


def _print_steps(steps: Mapping[str, Sequence[float]]) -> None:
    table = Table("Step", "p50 ms", "p99 ms", title="Steps of /answer, vector cached, 1 at a time")
    for name, taken in steps.items():
        cuts = statistics.quantiles(taken, n=100, method="inclusive")
        table.add_row(name, f"{cuts[49]:.2f}", f"{cuts[98]:.2f}")
    out.print(table)


if __name__ == "__main__":
    main()
