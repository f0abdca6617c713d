"""Whether the served model follows exemplars, on cultures and questions it never trained on.

    make evaluate

Asks the held-out questions of `mini_model/split.json` as the held-out cultures: without exemplars,
with five of the culture's own, and with two controls that should do harm (the answers reversed, and
those of another culture). Prints the mean of 1 - Jensen-Shannon distance (base 2) to the people's
shares and the share of modal options found, with 95 % intervals by bootstrap over questions, and
beside them what needs no model: uniform shares, and the mean of the exemplars with as many options.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from app.resources import Resources, open_resources
from app.settings import read_settings
from app.telemetry import Metrics, configure_logging
from evaluation.reading import read_labels
from mini_model.split import read_split
from retrieval.evidence import Wanted
from retrieval.exemplar import Exemplar
from retrieval.prompting import AskedQuestion, ExemplarStyle, Method, Steering, survey_messages
from survey_data.library import SurveyLibrary
from survey_data.model import Question, ResponseDistribution

PACK = "wvs7"
N_BOOTSTRAP = 2000
N_CONCURRENT = 16
Floats = npt.NDArray[np.float64]
out = Console()


@dataclass(frozen=True)
class Cell:
    """A held-out question in a held-out culture, with the exemplars that would be shown."""

    question: Question
    wanted: ResponseDistribution
    exemplars: tuple[Exemplar, ...]
    foreign: tuple[Exemplar, ...]


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--questions", type=int, default=0, help="only the first so many")
    args = parser.parse_args()
    configure_logging(level="WARNING", as_json=False)
    asyncio.run(run(k=args.k, n_questions=args.questions or None))


async def run(*, k: int, n_questions: int | None = None) -> None:
    """Start the model, ask, print."""
    async with open_resources(read_settings(), Metrics()) as resources:
        cells = await _cells(resources, k=k, n_questions=n_questions)
        found = {"uniform": [_uniform(cell) for cell in cells]}
        found["mean of same-length exemplars"] = [_averaged(cell) for cell in cells]
        found["plain"] = await _asked(resources, cells, lambda _: Steering(Method.PLAIN))
        for style in ExemplarStyle:
            name = f"icl, {style}"
            found[name] = await _asked(resources, cells, _own(style))
        shares = ExemplarStyle.SHARES
        found["icl, shares, answers reversed"] = await _asked(
            resources, cells, lambda c: _icl(tuple(map(_reversed, c.exemplars)), shares)
        )
        found["icl, shares, another culture"] = await _asked(
            resources, cells, lambda c: _icl(c.foreign, shares)
        )
    _print(cells, found, k=k)


Steer = Callable[[Cell], Steering]


async def _cells(resources: Resources, *, k: int, n_questions: int | None) -> list[Cell]:
    library, split = resources.pipeline.library, read_split()
    cultures = sorted(split.cultures)
    cells = []
    for key in split.of_pack(PACK)[:n_questions]:
        question = library.questions[key]
        for number, culture in enumerate(cultures):
            wanted = library.distribution(key, culture)
            if wanted is None:
                continue
            shown = await resources.pipeline.evidence(Wanted(question.text, culture, k))
            foreign = _as_answered_in(library, shown.exemplars, cultures[number - 1])
            cells.append(Cell(question, wanted, shown.exemplars, foreign))
    return cells


async def _asked(resources: Resources, cells: Sequence[Cell], steer: Steer) -> list[Floats]:
    slots = asyncio.Semaphore(N_CONCURRENT)

    async def ask(cell: Cell) -> Floats:
        asked = AskedQuestion(cell.question.text, cell.question.options, cell.question.first_number)
        prompt = survey_messages(asked, steer(cell))
        async with slots:
            score = await resources.vllm.score(prompt, asked.labels, model=resources.settings.model)
        if score is None:
            raise SystemExit("the model's labels are several tokens; nothing to compare")
        reading = read_labels([score.logprobs], [tuple(range(len(asked.options)))])
        if reading.shares is None:
            return _uniform(cell)
        return np.array(reading.shares)

    return list(await asyncio.gather(*(ask(cell) for cell in cells)))


def _own(style: ExemplarStyle) -> Steer:
    return lambda cell: _icl(cell.exemplars, style)


def _icl(exemplars: tuple[Exemplar, ...], style: ExemplarStyle) -> Steering:
    return Steering(Method.ICL, exemplars=exemplars, style=style)


def _reversed(exemplar: Exemplar) -> Exemplar:
    shares = exemplar.distribution.shares[::-1]
    return replace(exemplar, distribution=replace(exemplar.distribution, shares=shares))


def _as_answered_in(
    library: SurveyLibrary, exemplars: Sequence[Exemplar], culture: str
) -> tuple[Exemplar, ...]:
    answered = (library.distribution(e.question.key, culture) for e in exemplars)
    pairs = zip(exemplars, answered, strict=True)
    return tuple(replace(e, distribution=cell) for e, cell in pairs if cell is not None)


def _uniform(cell: Cell) -> Floats:
    n_options = len(cell.question.options)
    return np.full(n_options, 1.0 / n_options)


def _averaged(cell: Cell) -> Floats:
    same = [
        e.distribution.shares
        for e in cell.exemplars
        if len(e.distribution.shares) == len(cell.question.options)
    ]
    return np.mean(same, axis=0) if same else _uniform(cell)


def _similarity(shares: Floats, wanted: Floats) -> float:
    """Return 1 - Jensen-Shannon distance, base 2, in [0, 1]."""
    middle = (shares + wanted) / 2.0

    def divergence(part: Floats) -> float:
        used = part > 0.0
        return float(np.sum(part[used] * np.log2(part[used] / middle[used])))

    return 1.0 - float(np.sqrt(max(0.0, (divergence(shares) + divergence(wanted)) / 2.0)))


def _print(cells: Sequence[Cell], found: dict[str, list[Floats]], *, k: int) -> None:
    questions = sorted({cell.question.key for cell in cells})
    rows = {key: [i for i, c in enumerate(cells) if c.question.key == key] for key in questions}
    rng = np.random.default_rng(0)
    draws = [rng.choice(len(questions), len(questions)) for _ in range(N_BOOTSTRAP)]
    title = f"{len(questions)} held-out questions, {len(cells)} cells, k = {k}"
    table = Table("", "1 - JS distance", "modal option found", "over plain", title=title)
    scores = {name: _by_question(cells, shares, rows) for name, shares in found.items()}
    for name, (similar, exact) in scores.items():
        gain = similar - scores["plain"][0]
        table.add_row(
            name, _interval(similar, draws), _interval(exact, draws), _interval(gain, draws)
        )
    out.print(table)


def _by_question(
    cells: Sequence[Cell], shares: Sequence[Floats], rows: dict[str, list[int]]
) -> tuple[Floats, Floats]:
    similar = np.array(
        [_similarity(s, np.array(c.wanted.shares)) for c, s in zip(cells, shares, strict=True)]
    )
    exact = np.array(
        [float(np.argmax(s) == c.wanted.mode) for c, s in zip(cells, shares, strict=True)]
    )
    return (
        np.array([similar[of].mean() for of in rows.values()]),
        np.array([exact[of].mean() for of in rows.values()]),
    )


def _interval(values: Floats, draws: Sequence[npt.NDArray[np.intp]]) -> str:
    low, high = np.percentile([values[draw].mean() for draw in draws], [2.5, 97.5])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
