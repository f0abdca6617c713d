"""Whether survey answers before a prompt help a model that nothing here was trained on.

    python -m benchmarks.real_models [--every 2] [--controls] [--out FOLDER]
    python -m benchmarks.real_models [--every 2] --own [--out FOLDER]

Puts the held-out questions to the model of the settings, by default the embedded one on the real
vLLM, as the held-out cultures: without a word about them, as a persona, with their answers to like
questions, and with other peoples' answers to the question itself before these. With --own, as
peoples whose languages questions are translated into, in English and in those. Prints tables for a
page: similarity as the model answers, calibrated and pooled; what differs, paired; and the labels
that were read. The folder is one of `milieu evaluate`: a run that was stopped goes on there.
Without one nothing is kept.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from app.logs import configure_logging
from app.settings import Settings, read_settings
from app.state.retrieval import read_library
from cli.console import notes
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.output import LiveProgress
from cli.evaluate.run import run_evaluation
from evaluation.asked_language import AskedLanguage
from evaluation.bootstrap import gain_interval, mean_interval, question_weights
from evaluation.cells import Cells
from evaluation.decoding import ReadingRules
from evaluation.estimates import RELATED, TRANSFER
from evaluation.figures import BootstrapInterval
from evaluation.run_folder import RunFolder
from evaluation.run_spec import RunSpec
from evaluation.scoring import tabulate_answers
from evaluation.sections import PLAIN, Tables
from prompting.recipe import Method
from reports.numbers import interval
from survey_data.arrays import Floats
from survey_data.cultures import read_catalogue

METHODS = (Method.PLAIN, Method.PERSONA, Method.ICL)
N_ELSEWHERE = 3
# Peoples of four languages that the questions of the survey are translated into.
SPEAKERS = ("DE", "MX", "RU", "CN")
UNIFORM, ICL, OTHERS = "uniform", "icl", f"icl, elsewhere={N_ELSEWHERE}"
CALIBRATED, POOLED = "calibrated {}", "pooled {}"
NOVEL = "pooled {}, asked nowhere"
# One digit labels so many; more options have letters where a model splits numbers.
MAX_DIGITS = 9


class Pair(NamedTuple):
    """Two conditions of a run, the second of which the first is measured against."""

    condition: str
    baseline: str


def main() -> None:
    """Ask what is left to ask, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--questions", type=int)
    parser.add_argument("--controls", action="store_true")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--concurrency", type=int, default=8)
    given = parser.parse_args()
    with TemporaryDirectory() as scratch:
        tables = _measure(_make_options(given, default=Path(scratch) / "run"))
    for rows in (_list_conditions(tables), _list_gains(tables), _list_labels(tables)):
        _print_rows(rows)


def _measure(options: EvaluateOptions) -> Tables:
    """Ask what the folder of the options has no answer to yet, and return all answers."""
    settings = read_settings()
    configure_logging(level="WARNING", as_json=False)
    with LiveProgress(notes) as progress:
        evaluation = asyncio.run(run_evaluation(settings, options, progress=progress))
    return _read_run(settings, evaluation.folder)


def _make_options(given: argparse.Namespace, *, default: Path) -> EvaluateOptions:
    """Return what `milieu evaluate` would be called with; results go to `default` if not told."""
    common = EvaluateOptions(
        held_out_only=True,
        every=given.every,
        n_questions=given.questions,
        n_concurrent=given.concurrency,
        out=given.out or default,
    )
    if given.own:
        return replace(
            common,
            any_culture=True,
            cultures=SPEAKERS,
            methods=(Method.PLAIN, Method.ICL),
            languages=(AskedLanguage.EN, AskedLanguage.OWN),
        )
    return replace(
        common,
        methods=METHODS,
        ns_elsewhere=(0, N_ELSEWHERE),
        controls=given.controls,
        estimates=True,
    )


def _read_run(settings: Settings, folder: Path) -> Tables:
    """Return what was answered in a finished run."""
    with RunFolder.open_finished(folder) as results:
        spec = RunSpec.model_validate(results.settings)
        rules = ReadingRules(spec.decoding.read_by, spec.min_label_mass)
        plan = spec.plan(read_library(settings, read_catalogue()), {})
        return tabulate_answers(plan, results.read_answers(), rules)


def _list_asked(tables: Tables) -> list[str]:
    """Return the names of the conditions that a model was asked in."""
    return [c.name for c in tables.plan.conditions if c.kind in ("method", "control")]


def _list_conditions(tables: Tables) -> Iterable[Sequence[str]]:
    """Yield a row per condition: 1 - JS distance of each way to take it, then how it is, raw."""
    raw = ("modal option found", "soft accuracy", "unreadable")
    yield ("", "raw", "calibrated", "pooled", "pooled, asked nowhere", *raw)
    asked = _list_asked(tables)
    for name in (*asked, *(c.name for c in tables.plan.conditions if c.kind == "reference")):
        yield _describe(tables, name, ways=(CALIBRATED, POOLED, NOVEL))
    for name in (TRANSFER, RELATED):
        if name in tables.cells:
            yield _describe(tables, name, ways=("", "", ""))


def _describe(tables: Tables, name: str, *, ways: Sequence[str]) -> Sequence[str]:
    cells = tables.cells[name]
    others = (tables.cells.get(way.format(name)) if way else None for way in ways)
    similarities = (None if of is None else of.similarity for of in (cells, *others))
    weights = question_weights(len(tables.plan.questions))
    return (
        name,
        *("" if of is None else interval(mean_interval(of, weights)) for of in similarities),
        *(interval(mean_interval(of, weights)) for of in (cells.exact, cells.soft)),
        f"{np.nanmean(cells.unreadable):.3f}",
    )


def _list_gains(tables: Tables) -> Iterable[Sequence[str]]:
    """Yield a row per pair: the paired gains of one condition over another."""
    yield ("", "over", "1 - JS distance", "soft accuracy")
    weights = question_weights(len(tables.plan.questions))
    for pair in _list_pairs(tables):
        ours, theirs = (tables.cells[name] for name in pair)
        yield (*pair, *map(interval, _gain(ours, theirs, weights)))


def _list_pairs(tables: Tables) -> list[Pair]:
    """Return what is worth comparing, as far as the run has it."""
    asked, pairs = _list_asked(tables), []
    for way in ("{}", CALIBRATED):
        plain, icl = way.format(PLAIN), way.format(ICL)
        pairs += [Pair(way.format(name), plain) for name in asked if name != PLAIN]
        pairs += [Pair(way.format(name), icl) for name in asked if name.startswith(f"{ICL},")]
    pairs += [Pair(CALIBRATED.format(name), name) for name in asked]
    pairs += [Pair(CALIBRATED.format(name), UNIFORM) for name in asked]
    pairs += [Pair(POOLED.format(name), TRANSFER) for name in asked]
    pairs += [Pair(NOVEL.format(name), RELATED) for name in asked]
    pairs += [Pair(f"{name}, own", name) for name in (PLAIN, ICL)]
    pairs.append(Pair(f"{ICL}, own", f"{PLAIN}, own"))
    return [pair for pair in dict.fromkeys(pairs) if tables.cells.keys() >= set(pair)]


def _gain(ours: Cells, theirs: Cells, weights: Floats) -> tuple[BootstrapInterval | None, ...]:
    return (
        gain_interval(ours.similarity, theirs.similarity, weights),
        gain_interval(ours.soft, theirs.soft, weights),
    )


def _list_labels(tables: Tables) -> Iterable[Sequence[str]]:
    """Yield a row per condition and length of scales: how answers were read, and how well."""
    yield ("", "options", "answers", "in text", "label mass", "least", "1 - JS distance")
    questions = tables.plan.questions
    for name in _list_asked(tables):
        for is_long in (False, True):
            columns = [
                j for j, of in enumerate(questions) if (len(of.options) > MAX_DIGITS) is is_long
            ]
            if columns:
                yield _describe_labels(tables, name, columns)


def _describe_labels(tables: Tables, name: str, columns: Sequence[int]) -> Sequence[str]:
    questions = [tables.plan.questions[j] for j in columns]
    keys = {question.key for question in questions}
    asks, responses = tables.answers
    digests = {
        asked.digest for of, asked in asks.items() if of.condition == name and of.question in keys
    }
    found = [responses[digest] for digest in digests]
    masses = [np.exp(of.logprobs).sum() for of in found if of.logprobs is not None]
    cells = tables.cells[name].similarity[:, list(columns)]
    n_options = sorted({len(question.options) for question in questions})
    return (
        name,
        f"{n_options[0]} to {n_options[-1]}",
        str(len(found)),
        str(len(found) - len(masses)),
        f"{np.mean(masses):.2f}" if masses else "",
        f"{np.min(masses):.2f}" if masses else "",
        interval(mean_interval(cells, question_weights(len(columns)))),
    )


def _print_rows(rows: Iterable[Sequence[str]]) -> None:
    """Print a table as a page has it."""
    for number, row in enumerate(rows):
        print(f"| {' | '.join(row)} |")
        if not number:
            print(f"|{'---|' * len(row)}")
    print()


if __name__ == "__main__":
    main()
