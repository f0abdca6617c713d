"""How near estimates come to what people said, where that is hidden from them.

    python -m benchmarks.estimates

Estimates every answer of the `wvs7` pack as if it were not known: on the split that the embedded
model was not trained on, by tenths of all questions, and by tenths of whole batteries (questions of
one topic with the same options); and every answer of `climate-2022`, one question at a time.
Questions that count as the same are always hidden too. Prints 1 - Jensen-Shannon distance and how
often the modal option is found, for `transfer` also with few other cultures and few own answers
known; and how many known shares lie in intervals that were learned on other questions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from estimation.conformal import Errors, fit_conformal
from estimation.fitting import classify, find_batteries
from estimation.related import RelatedModel
from estimation.table import AnswerTable
from estimation.transfer import TransferModel
from retrieval.encoders.opening import open_encoder
from retrieval.index_files import library_index
from retrieval.likeness import find_alike
from survey_data.arrays import Floats
from survey_data.cultures import read_catalogue
from survey_data.distances import distribution_similarity
from survey_data.library import SurveyLibrary, open_library
from survey_data.split import read_split

ROOT = Path(__file__).parents[1]
PACK, MANY_CULTURES = "wvs7", "climate-2022"
N_FOLDS = 10
HELD_OUT, LIKE, BATTERY = "held-out", "like", "battery"
ONE_OUT = f"{MANY_CULTURES}, one out"
FEW_CULTURES, FEW_ANSWERS = (1, 3, 5), (3, 10, 50)
out = Console()


class Hidden(NamedTuple):
    """Questions that are asked of these cultures while others are hidden with them."""

    rows: tuple[int, ...]
    cultures: tuple[int, ...]
    barred: frozenset[int]


class Estimated(NamedTuple):
    """An estimate of one culture's answer to one question, beside the answer."""

    row: int
    culture: int
    shares: Floats
    known: Floats
    evidence: int

    @property
    def similarity(self) -> float:
        """1 - Jensen-Shannon distance; 1 is the same shares."""
        return distribution_similarity(self.shares.tolist(), self.known.tolist())

    @property
    def finds_mode(self) -> bool:
        """Whether the option with the largest share is the right one."""
        return bool(self.shares.argmax() == self.known.argmax())


class Tables:
    """The answers, their vectors, and which questions count as the same."""

    def __init__(self, library: SurveyLibrary) -> None:
        self.library, encoder = library, open_encoder()
        index = library_index(library, encoder)
        self.table = AnswerTable(library)
        self.vectors = index.vectors.astype(np.float64)
        self.wordings = encoder.encode(list(self.table.wordings)).astype(np.float64)
        alike = find_alike(library.questions, index)
        self.alike = [self.table.rows(alike[key]) for key in library.questions]

    def hide(self, rows: Sequence[int]) -> frozenset[int]:
        """Return these rows and all that count as the same as one of them."""
        return frozenset[int]().union(*(self.alike[row] for row in rows))


def main() -> None:
    """Run the benchmark and print its tables."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    tables = Tables(open_library([ROOT / "survey_data" / "packs"], catalogue=read_catalogue()))
    splits = make_splits(tables)
    table = Table("Source", "Split", "1 - JSD", "Mode found", "Uniform", "Estimates", "Seconds")
    intervals = Table("Source", "Split", "Coverage", "Worst culture", "Mean width")
    for source in ("transfer", "related"):
        for name, hidden in splits.items():
            started = time.perf_counter()
            found = list((_transfer if source == "transfer" else _relate)(tables, hidden))
            seconds = time.perf_counter() - started
            table.add_row(source, name, *_describe(found), f"{seconds:.1f}")
            if name != HELD_OUT:
                intervals.add_row(source, name, *_cover(found, len(tables.table.cultures)))
    out.print(table)
    out.print(_thin(tables, splits[HELD_OUT]))
    out.print(intervals)


def make_splits(tables: Tables) -> dict[str, list[Hidden]]:
    """Return what is hidden together in each split."""
    table = tables.table
    cultures = tuple(range(len(table.cultures)))
    rows = [row for row, question in enumerate(table.questions) if question.pack == PACK]
    held_out = read_split()
    asked = tuple(table.row(key) for key in held_out.of_pack(PACK))
    four = tuple(table.column(culture) for culture in sorted(held_out.cultures))
    random = np.random.default_rng(0)
    shuffled = random.permutation(rows).tolist()
    batteries = sorted({min(battery): battery for battery in find_batteries(table)}.items())
    packed = [sorted(battery) for first, battery in batteries if first in set(rows)]
    order = random.permutation(len(packed))
    climate = [row for row, q in enumerate(table.questions) if q.pack == MANY_CULTURES]
    folds = [shuffled[fold::N_FOLDS] for fold in range(N_FOLDS)]
    whole = [[row for i in order[fold::N_FOLDS] for row in packed[i]] for fold in range(N_FOLDS)]
    return {
        HELD_OUT: [Hidden(asked, four, tables.hide(asked))],
        LIKE: [Hidden(tuple(fold), cultures, tables.hide(fold)) for fold in folds],
        BATTERY: [Hidden(tuple(fold), cultures, tables.hide(fold)) for fold in whole],
        ONE_OUT: [Hidden((row,), cultures, tables.hide([row])) for row in climate],
    }


def _transfer(tables: Tables, splits: Sequence[Hidden]) -> Iterator[Estimated]:
    model = TransferModel(tables.table, tables.vectors)
    for hidden in splits:
        for culture in hidden.cultures:
            rows = [row for row in hidden.rows if tables.table.asked[row, culture]]
            estimates = model.estimate_all(rows, culture, barred=hidden.barred)
            for row, estimate in zip(rows, estimates, strict=True):
                if estimate is not None:
                    yield Estimated(
                        row, culture, estimate.shares, tables.table.known(row, culture), 0
                    )


def _relate(tables: Tables, splits: Sequence[Hidden]) -> Iterator[Estimated]:
    model = RelatedModel(tables.table, tables.vectors, tables.wordings)
    groups = [(row, hidden.barred) for hidden in splits for row in hidden.rows]
    of_split = [hidden for hidden in splits for _ in hidden.rows]
    for held, hidden in zip(model.hold_out(groups), of_split, strict=True):
        for culture in hidden.cultures:
            if tables.table.asked[held.row, culture]:
                known, shares = tables.table.known(held.row, culture), held.shares[culture]
                yield Estimated(held.row, culture, shares, known, classify(held.variance))


def _describe(found: Sequence[Estimated]) -> tuple[str, ...]:
    uniform = [
        distribution_similarity([1.0 / len(e.known)] * len(e.known), e.known.tolist())
        for e in found
    ]
    figures = (
        np.mean([estimate.similarity for estimate in found]),
        np.mean([estimate.finds_mode for estimate in found]),
        np.mean(uniform),
    )
    return (*(f"{figure:.3f}" for figure in figures), str(len(found)))


def _thin(tables: Tables, held_out: Sequence[Hidden]) -> Table:
    """Return what `transfer` reaches on the held-out split where little is known."""
    table = Table("Known", "1 - JSD", "Mode found", title=f"transfer, {HELD_OUT}, little known")
    for n in FEW_CULTURES:
        found = _with_few_cultures(tables, held_out, n)
        table.add_row(f"answers of {n} other cultures", *_describe(found)[:2])
    for n in FEW_ANSWERS:
        found = _with_few_answers(tables, held_out, n)
        table.add_row(f"{n} own answers", *_describe(found)[:2])
    return table


def _with_few_cultures(tables: Tables, splits: Sequence[Hidden], n: int) -> list[Estimated]:
    """Estimate from `n` random other cultures, five times."""
    found: list[Estimated] = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        for hidden in splits:
            for culture in hidden.cultures:
                others = [c for c in tables.table.surveyed[PACK] if c != culture]
                few = copy(tables)
                few.table = tables.table.restrict(
                    [culture, *random.choice(others, n, replace=False)]
                )
                found += _transfer(few, [hidden._replace(cultures=(culture,))])
    return found


def _with_few_answers(tables: Tables, splits: Sequence[Hidden], n: int) -> list[Estimated]:
    """Estimate with `n` random own answers known, five times."""
    found: list[Estimated] = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        for hidden in splits:
            for culture in hidden.cultures:
                known = np.flatnonzero(tables.table.asked[:, culture])
                usable = np.setdiff1d(known, list(hidden.barred))
                kept = random.choice(usable, n, replace=False)
                barred = hidden.barred | frozenset(np.setdiff1d(known, kept).tolist())
                part = [hidden._replace(cultures=(culture,), barred=barred)]
                found += _transfer(tables, part)
    return found


def _cover(found: Sequence[Estimated], n_cultures: int) -> tuple[str, ...]:
    """Return how many shares lie in intervals that the other half of the questions taught."""
    half = np.random.default_rng(1).random(1 + max(e.row for e in found)) < 0.5
    covered, widths, cultures = [], [], []
    for side in (True, False):
        fitted = fit_conformal(
            _join([e for e in found if half[e.row] == side]), n_cultures=n_cultures, n_evidence=3
        )
        for estimate in (e for e in found if half[e.row] != side):
            intervals = fitted.intervals(estimate.shares, estimate.culture, estimate.evidence)
            for interval, known in zip(intervals, estimate.known.tolist(), strict=True):
                covered.append(interval.low - 1e-9 <= known <= interval.high + 1e-9)
                widths.append(interval.width)
                cultures.append(estimate.culture)
    by_culture = [
        np.mean(np.array(covered)[np.array(cultures) == culture]) for culture in set(cultures)
    ]
    return f"{np.mean(covered):.3f}", f"{min(by_culture):.3f}", f"{np.mean(widths):.3f}"


def _join(found: Sequence[Estimated]) -> Errors:
    sizes = [len(estimate.known) for estimate in found]

    def repeat(values: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.repeat(np.array(values, dtype=np.int64), sizes)

    return Errors(
        np.concatenate([estimate.shares for estimate in found]),
        np.concatenate([estimate.known for estimate in found]),
        repeat(sizes),
        repeat([estimate.culture for estimate in found]),
        repeat([estimate.evidence for estimate in found]),
    )


if __name__ == "__main__":
    main()
