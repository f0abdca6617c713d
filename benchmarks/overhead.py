"""What Milieu adds to vLLM: `/answer` against the same final prompt sent straight to vLLM.

    make bench

Starts the real service on a free port, with the embedded model. Direct and through Milieu take
turns within one run, so that a noisy machine is as noisy for both. The same weights read the same
prompts: of questions that were asked before, which vLLM has in its cache, and of new ones, of which
it has all but the end. Then questions are answered without a model: by what people said, by an
estimate as if that were not known, and as novel ones with options of their own. Client and service
share the machine.
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
from typing import Any, NamedTuple

import aiohttp
from rich.console import Console
from rich.table import Table

from app.answering.requests import AnswerRequest
from app.errors import SourceUnavailable
from app.logs import configure_logging
from app.resources import Resources
from app.settings import Settings, read_settings
from app.vllm.connections import KEEP_ALIVE_S
from app.vllm.wire import score_body
from benchmarks.served import served
from estimation.source import AnswerFrom
from survey_data.library import SurveyLibrary

MAX_CASES = 64
# So many prompts stay in the cache of the embedded vLLM, with as many new ones.
N_CACHED = 8
# Makes a question a new one. Its spaces tell one from another: the sentence encoder does not see
# them, so that each gets the same exemplars.
ADDED = "in the opinion of those who took part in it this time"
# On a CPU a model takes a second for what is known in a millisecond: it is asked less often.
FEWER = 12
NOVEL = ("Yes", "Perhaps", "No")
Call = Callable[[int], Awaitable[None]]
Case = Mapping[str, Any]
out = Console()


class _Row(NamedTuple):
    """What is called, and the row without Milieu that it is compared with, if any."""

    call: Call
    base: str = ""


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
    cases = _cases(resources.library, n=min(MAX_CASES, n_requests))
    cached = cases[:: max(1, len(cases) // N_CACHED)][:N_CACHED]
    related = [case for case in cases if await _has_tables(resources, _space(case, 0))]
    bodies = [await _direct_body(resources, case) for case in cached]
    news = [await _direct_body(resources, _space(case, 0)) for case in cached]
    direct_url = f"{_vllm_url(resources)}/v1/chat/completions"
    headers = {}
    key = resources.settings.vllm.api_key.get_secret_value()
    if resources.local_vllm is not None:
        key = resources.local_vllm.api_key
    if key:
        headers["Authorization"] = f"Bearer {key}"
    steps: dict[str, dict[str, list[float]]] = {}
    fresh = itertools.count(1)

    async def send_direct(body: Mapping[str, object]) -> None:
        async with session.post(direct_url, json=body, headers=headers) as reply:
            reply.raise_for_status()
            await reply.read()

    async def direct(i: int) -> None:
        await send_direct(bodies[i % len(bodies)])

    async def direct_new(i: int) -> None:
        n = i % len(news)
        before, after = (_space(cached[n], number)["question"] for number in (0, next(fresh)))
        await send_direct(_ask_anew(news[n], before, after))

    async def through(kind: str, case: Case) -> None:
        reply = await _post(session, url, {**case, "answer_from": "model"})
        for name, taken in reply["timings_ms"].items():
            steps.setdefault(name, {}).setdefault(kind, []).append(taken)

    async def through_seen(i: int) -> None:
        await through("seen", cached[i % len(cached)])

    async def through_new(i: int) -> None:
        await through("new", _space(cached[i % len(cached)], next(fresh)))

    def without_model(of: Sequence[Case], **asked: Any) -> _Row:
        async def ask(i: int) -> None:
            await _post(session, url, {**of[i % len(of)], **asked})

        return _Row(ask)

    async def novel(i: int) -> None:
        case = _space(related[i % len(related)], next(fresh))
        await _post(session, url, {**case, "options": NOVEL, "answer_from": "tables"})

    seen, new = "direct to vLLM, seen prompt", "direct to vLLM, new prompt"
    asking_model = {
        seen: _Row(direct),
        "Milieu, seen question": _Row(through_seen, seen),
        new: _Row(direct_new),
        "Milieu, new question": _Row(through_new, new),
    }
    asking_none = {
        "known": without_model(cases),
        "withheld": without_model(cases, withhold=True),
        "novel": _Row(novel),
    }
    for rows, n in ((asking_model, n_of_model), (asking_none, n_requests)):
        for row in rows.values():
            await asyncio.gather(*(row.call(i) for i in range(len(cached))))
        steps.clear()
        for n_concurrent in (1, 16):
            found: dict[str, list[Measured]] = {name: [] for name in rows}
            for _ in range(n_rounds):
                for name, row in rows.items():
                    found[name].append(await _load(row.call, n, n_concurrent))
            _print_load(found, rows, n_concurrent)
            if rows is asking_model and n_concurrent == 1:
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


def _cases(library: SurveyLibrary, *, n: int) -> list[Case]:
    pairs = itertools.product(library.questions.values(), ("DEU", "NGA", "BRA", "IND"))
    every = [(q, code) for q, code in pairs if library.distribution(q.key, code) is not None]
    chosen = every[:: max(1, len(every) // n)][:n]
    return [
        {"question": question.text, "options": list(question.options), "culture": code}
        for question, code in chosen
    ]


def _space(case: Case, n: int) -> Case:
    """Return a case whose question is a new one, and a text of its own for each `n`."""
    words = f"{case['question'].rstrip('?.')} {ADDED}?".split()
    bits = f"{n:0{len(words) - 1}b}"
    gaps = ("", *(" " if bit == "0" else "  " for bit in bits))
    text = "".join(gap + word for gap, word in zip(gaps, words, strict=True))
    return {**case, "question": text}


async def _has_tables(resources: Resources, case: Case) -> bool:
    """Return whether other questions tell of a case with options that no survey has."""
    asked = AnswerRequest(
        case["question"], case["culture"], options=NOVEL, answer_from=AnswerFrom.TABLES
    )
    try:
        await resources.pipeline.answer(asked)
    except SourceUnavailable:
        return False
    return True


async def _direct_body(resources: Resources, case: Case) -> dict[str, object]:
    """Return what Milieu sends vLLM for a case."""
    request = AnswerRequest(
        case["question"],
        case["culture"],
        options=tuple(case["options"]),
        answer_from=AnswerFrom.MODEL,
    )
    answer = await resources.pipeline.answer(request)
    base, labels = answer.plan.weights.base_model, answer.plan.asked.question.labels
    ids = await resources.vllm.label_token_ids(base, labels)
    assert ids is not None  # the embedded model's labels are single tokens
    return score_body(answer.plan.model, answer.words.prompts[0], ids=ids)


def _ask_anew(body: Mapping[str, Any], asked: str, instead: str) -> dict[str, object]:
    """Return `body` with another question in its last message."""
    *before, last = body["messages"]
    if asked not in last["content"]:
        raise ValueError(f"the prompt does not end with the question '{asked}'")
    return {
        **body,
        "messages": [*before, {**last, "content": instead.join(last["content"].rsplit(asked, 1))}],
    }


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


def _print_load(
    found: dict[str, list[Measured]], rows: Mapping[str, _Row], n_concurrent: int
) -> None:
    title = f"{n_concurrent} at a time (median over rounds)"
    table = Table("", "p50 ms", "p99 ms", "requests/s", "over direct", title=title)
    for name, rounds in found.items():
        p50, rate = _median_p50(rounds), _median_rate(rounds)
        p99 = statistics.median(m.quantile(99) for m in rounds)
        over = ""
        if base := found.get(rows[name].base):
            added = p50 - _median_p50(base)
            over = f"{added:+.1f} ms, {rate / _median_rate(base):.0%} of its requests/s"
        table.add_row(name, f"{p50:.1f}", f"{p99:.1f}", f"{rate:.1f}", over)
    out.print(table)


def _median_p50(rounds: Sequence[Measured]) -> float:
    return statistics.median(m.quantile(50) for m in rounds)


def _median_rate(rounds: Sequence[Measured]) -> float:
    return statistics.median(m.per_second for m in rounds)


def _print_steps(steps: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    title = "Steps of /answer that asks the model, 1 at a time"
    kinds = tuple(next(iter(steps.values())))
    columns = (f"{kind}, {quantile} ms" for kind in kinds for quantile in ("p50", "p90"))
    table = Table("Step", *columns, title=title)
    for name, by_kind in steps.items():
        cuts = [
            statistics.quantiles(by_kind[kind], n=10, method="inclusive")[place]
            for kind in kinds
            for place in (4, 8)
        ]
        table.add_row(name, *(f"{cut:.2f}" for cut in cuts))
    out.print(table)


if __name__ == "__main__":
    main()
