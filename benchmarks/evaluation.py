"""Time per answer: `milieu evaluate` against transformers' `generate`, one question at a time.

    python -m benchmarks.evaluation

Starts the real vLLM with the embedded model and runs an evaluation of all six methods. Then the
same model, without its reader, answers prompts of that run by `generate`, one after the other, with
the papers' decoding (temperature 0.6, top_p 0.9): once with at most 256 new tokens, so that an
answer may end early, and once with 256 whatever it says. The two take turns, so that a noisy
machine is as noisy for both.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.logs import configure_logging
from app.resources import open_resources
from app.settings import read_settings
from app.telemetry import Metrics
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.plan import EvaluatedSystem, plan_run
from cli.evaluate.vllm_model import VllmModel
from evaluation.asking import Request, Response
from evaluation.prompted import Prompt
from evaluation.run_folder import RunFolder
from evaluation.runner import RunPlan, run_plan
from prompting.messages import Message

N_NEW_TOKENS = 256
out = Console()


@dataclass
class Timed:
    """Seconds that a number of answers took, and the tokens that they have."""

    seconds: float = 0.0
    n_answers: int = 0
    n_requests: int = 0
    n_tokens: int = 0

    @property
    def ms_per_answer(self) -> float:
        return 1000.0 * self.seconds / self.n_answers


@dataclass
class Watching:
    """A respondent that passes everything on and remembers the prompts."""

    inner: Any
    prompts: list[tuple[Message, ...]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.inner.name)

    async def request(self, ask: Any) -> Request:
        request: Request = await self.inner.request(ask)
        return request

    def taken(self) -> list[tuple[Message, ...]]:
        """Return the prompts since the last time."""
        taken, self.prompts = self.prompts, []
        return taken

    async def respond(self, request: Request) -> Response:
        prompt: Prompt = request.content
        self.prompts.append(prompt.messages)
        response: Response = await self.inner.respond(request)
        return response


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=20, help="of the pack, per round")
    parser.add_argument("--generated", type=int, default=20, help="prompts by generate, per round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    configure_logging(level="WARNING", as_json=False)
    timed = asyncio.run(
        measured(n_questions=args.questions, n_generated=args.generated, n_rounds=args.rounds)
    )
    _print(timed)


async def measured(*, n_questions: int, n_generated: int, n_rounds: int) -> dict[str, Timed]:
    """Return what each way took."""
    ours, short, long = Timed(), Timed(), Timed()
    settings = read_settings()
    options = EvaluateOptions(references=False, n_questions=n_questions * n_rounds)
    async with open_resources(settings, Metrics()) as resources:
        model = VllmModel(
            resources.vllm, resources.context, model=settings.model, weights=resources.weights
        )
        library = resources.library
        asker = EvaluatedSystem(model=model)
        prepared = plan_run(settings, options, library, retrieval=resources.retrieval, system=asker)
        watching = {name: Watching(respondent) for name, respondent in prepared.respondents.items()}
        plan = prepared.spec.plan(library, dict(watching))
        assert resources.files.folder is not None  # it is the embedded model
        generate = Generator(resources.files.folder)
        for number in range(n_rounds):
            # Other questions each time, so that no server has seen a prompt before.
            questions = plan.questions[number * n_questions : (number + 1) * n_questions]
            part = replace(plan, questions=questions)
            await _timed_run(part, ours, n_concurrent=options.n_concurrent)
            prompts = [prompt for each in watching.values() for prompt in each.taken()]
            some = prompts[:: max(1, len(prompts) // n_generated)][:n_generated]
            await asyncio.to_thread(generate.timed, some, short, at_least=1)
            await asyncio.to_thread(generate.timed, some, long, at_least=N_NEW_TOKENS)
    return {
        "milieu evaluate": ours,
        f"generate, at most {N_NEW_TOKENS} tokens": short,
        f"generate, {N_NEW_TOKENS} tokens": long,
    }


async def _timed_run(plan: RunPlan, timed: Timed, *, n_concurrent: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        RunFolder(Path(folder) / "run", settings={}, created="") as results,
    ):
        started = time.perf_counter()
        asked = await run_plan(plan, results, n_concurrent=n_concurrent)
        timed.seconds += time.perf_counter() - started
        timed.n_answers += len(asked)
        timed.n_requests += len(results.answers)
        timed.n_tokens += sum(r.completion_tokens for r in results.answers.values())


class Generator:
    """The embedded model in transformers, in float32, in which it is fastest on a CPU."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        torch.manual_seed(42)

    def timed(self, prompts: Sequence[tuple[Message, ...]], timed: Timed, *, at_least: int) -> None:
        """Answer `prompts` one at a time, with `at_least` new tokens."""
        for prompt in prompts:
            chat = [{"role": message.role, "content": message.content} for message in prompt]
            started = time.perf_counter()
            given = self._tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            with torch.inference_mode():
                tokens = self._model.generate(
                    **given,
                    do_sample=True,
                    temperature=0.6,
                    top_p=0.9,
                    min_new_tokens=at_least,
                    max_new_tokens=N_NEW_TOKENS,
                )
            new = tokens[0, given["input_ids"].shape[1] :]
            self._tokenizer.decode(new, skip_special_tokens=True)
            timed.seconds += time.perf_counter() - started
            timed.n_answers += 1
            timed.n_requests += 1
            timed.n_tokens += len(new)


def _print(timed: dict[str, Timed]) -> None:
    ours = timed["milieu evaluate"]
    title = "Time per answer, embedded model, six methods"
    columns = ("", "answers", "requests", "tokens each", "ms per answer", "times ours")
    table = Table(*columns, title=title)
    for name, of in timed.items():
        table.add_row(
            name,
            str(of.n_answers),
            str(of.n_requests),
            f"{of.n_tokens / of.n_requests:.1f}",
            f"{of.ms_per_answer:.1f}",
            f"{of.ms_per_answer / ours.ms_per_answer:.1f}",
        )
    out.print(table)
    per_request = 1000.0 * ours.seconds / ours.n_requests
    out.print(
        "An answer without a culture is one request for all cultures; "
        f"milieu evaluate takes {per_request:.1f} ms per request."
    )


if __name__ == "__main__":
    main()
