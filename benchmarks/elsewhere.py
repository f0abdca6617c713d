"""What other peoples' answers to the asked question are worth to a model, beside like questions.

    python -m benchmarks.elsewhere

Puts the held-out questions to the model of the settings, by default the embedded one on the real
vLLM, as the held-out cultures. Each question is withheld: the model is shown the culture's answers
to five others and, in turn, those of no, one, three and five other peoples to the question itself.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from app.answering.plan import Answer
from app.answering.requests import AnswerRequest
from app.logs import configure_logging
from app.resources import Resources, open_resources
from app.settings import read_settings
from app.telemetry import Metrics
from estimation.source import AnswerFrom
from evaluation.bootstrap import mean_interval, question_weights
from evaluation.figures import BootstrapInterval
from prompting.recipe import Method, RecipeOverrides
from survey_data.distances import distribution_similarity
from survey_data.split import read_split

PACK = "wvs7"
N_ELSEWHERE = (0, 1, 3, 5)
N_AT_ONCE = 8
out = Console()


class Cell(NamedTuple):
    """What a model answered, against what the people did; NaN where its answer is unreadable."""

    similarity: float
    finds_mode: float
    n_prompt_tokens: int


def main() -> None:
    """Ask and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--questions", type=int, default=50)
    asyncio.run(_ask(parser.parse_args().questions))


async def _ask(n_questions: int) -> None:
    settings, held_out = read_settings(), read_split()
    configure_logging(level="WARNING", as_json=False)
    keys = held_out.of_pack(PACK)[:n_questions]
    table = Table("shown of others", "1 - JSD", "modal option found", "prompt tokens")
    async with open_resources(settings, Metrics()) as resources:
        for n in N_ELSEWHERE:
            table.add_row(str(n), *await _measure(resources, keys, sorted(held_out.cultures), n))
    out.print(table)


async def _measure(
    resources: Resources, keys: Sequence[str], cultures: Sequence[str], n_elsewhere: int
) -> tuple[str, str, str]:
    room = asyncio.Semaphore(N_AT_ONCE)

    async def ask(culture: str, key: str) -> Cell:
        async with room:
            return await _ask_one(resources, culture, key, n_elsewhere)

    cells = await asyncio.gather(*(ask(culture, key) for culture in cultures for key in keys))
    figures = np.array(cells, dtype=np.float64).reshape(len(cultures), len(keys), 3)
    weights = question_weights(len(keys))
    similarity, mode = (_describe(mean_interval(figures[:, :, i], weights)) for i in (0, 1))
    return similarity, mode, f"{figures[:, :, 2].mean():.0f}"


def _describe(found: BootstrapInterval | None) -> str:
    return "" if found is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


async def _ask_one(resources: Resources, culture: str, key: str, n_elsewhere: int) -> Cell:
    request = AnswerRequest(
        resources.library.questions[key].text,
        culture,
        recipe=RecipeOverrides(method=Method.ICL, k=5, n_elsewhere=n_elsewhere),
        answer_from=AnswerFrom.MODEL,
        withhold=True,
    )
    answer: Answer = await resources.pipeline.answer(request)
    people, reading = resources.library.distribution(key, culture), answer.reading
    assert people is not None  # every held-out culture answered every held-out question
    if reading is None or reading.shares is None or reading.option is None:
        return Cell(float("nan"), float("nan"), answer.usage.prompt_tokens)
    similarity = distribution_similarity(reading.shares, people.shares)
    return Cell(similarity, float(reading.option == people.mode), answer.usage.prompt_tokens)


if __name__ == "__main__":
    main()
