"""What a culture costs in general ability: two runs of lm-eval, paired question by question.

    python -m benchmarks.lm_eval.compare WITHOUT WITH

Reads the newest `samples_*.jsonl` of each task under both folders, which lm-eval writes with
`--log_samples`. All tasks in a folder are pooled, so give each benchmark its own.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

Z_95 = 1.959964
SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<at>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")


class Asked(NamedTuple):
    """A question as lm-eval asked it: its task, its content's hash, and what read the reply."""

    task: str
    doc_id: int
    doc_hash: str
    filter: str


Scores = Mapping[Asked, bool]


@dataclass(frozen=True, slots=True)
class Difference:
    """Right answers of two runs over the same questions.

    Attributes:
        n: questions.
        n_without: answered rightly in the run without a culture.
        n_gained: wrong without, right with.
        n_lost: right without, wrong with.
    """

    n: int
    n_without: int
    n_gained: int
    n_lost: int

    @property
    def without(self) -> float:
        """Share answered rightly without a culture, 0 to 1."""
        return self.n_without / self.n

    @property
    def with_culture(self) -> float:
        """Share answered rightly with a culture, 0 to 1."""
        return (self.n_without + self.n_gained - self.n_lost) / self.n

    @property
    def change(self) -> float:
        """`with_culture` less `without`, -1 to 1; negative where the culture costs ability."""
        return (self.n_gained - self.n_lost) / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `change`; not of zero width where the runs agree throughout.

        Source: Bonett and Price (2012), Adjusted Wald confidence interval for a difference of
        binomial proportions based on paired data, J. Educ. Behav. Stat. 37.
        """
        n = self.n + 2
        gained, lost = (self.n_gained + 1) / n, (self.n_lost + 1) / n
        middle = gained - lost
        half = Z_95 * math.sqrt((gained + lost - middle**2) / n)
        return max(-1.0, middle - half), min(1.0, middle + half)


class RunUnreadable(Exception):
    """The folders do not hold two runs over the same questions."""


def read_scores(folder: Path, metric: str) -> Scores:
    """Return whether each question was answered rightly in the newest run under `folder`.

    Raises:
        RunUnreadable: there are no samples, or `metric` is missing or not 0 or 1 in one.
    """
    newest: dict[str, tuple[str, Path]] = {}
    for path in folder.rglob("samples_*.jsonl"):
        if named := SAMPLES.fullmatch(path.name):
            task, found = named["task"], (named["at"], path)
            newest[task] = max(newest.get(task, found), found)
    if not newest:
        raise RunUnreadable(f"no samples_*.jsonl under {folder}; run lm_eval with --log_samples")
    scores = {}
    for task, (_, path) in newest.items():
        for line in path.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            value = sample.get(metric)
            if value not in (0, 1):
                has = ", ".join(sample["metrics"])
                raise RunUnreadable(f"{path.name}: {metric} is {value}, expected 0 or 1; has {has}")
            asked = Asked(task, sample["doc_id"], sample["doc_hash"], sample["filter"])
            scores[asked] = bool(value)
    return scores


def compare(without: Scores, with_culture: Scores) -> dict[str, Difference]:
    """Return the difference of two runs by filter, lm-eval's name for how a reply was read.

    Raises:
        RunUnreadable: the runs were over different questions.
    """
    if alone := without.keys() ^ with_culture.keys():
        example = min(alone)
        raise RunUnreadable(f"{len(alone)} questions stand in one run only, such as {example}")
    differences = {}
    for name in sorted({asked.filter for asked in without}):
        pairs = [(without[asked], with_culture[asked]) for asked in without if asked.filter == name]
        differences[name] = Difference(
            n=len(pairs),
            n_without=sum(before for before, _ in pairs),
            n_gained=sum(after and not before for before, after in pairs),
            n_lost=sum(before and not after for before, after in pairs),
        )
    return differences


def show(differences: Mapping[str, Difference], out: Console) -> None:
    """Print a row per filter."""
    table = Table(
        "filter", "questions", "without", "with", "gained", "lost", "difference, 95 % interval"
    )
    for name, found in differences.items():
        low, high = found.interval
        table.add_row(
            name,
            str(found.n),
            f"{found.without:.3f}",
            f"{found.with_culture:.3f}",
            str(found.n_gained),
            str(found.n_lost),
            f"{found.change:+.3f} [{low:+.3f}, {high:+.3f}]",
        )
    out.print(table)


def main() -> None:
    """Compare the two runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("without", type=Path, help="output_path of the run without a culture")
    parser.add_argument("with_culture", metavar="with", type=Path, help="and of the one with")
    parser.add_argument("--metric", default="exact_match", help="one that is 0 or 1 per question")
    given = parser.parse_args()
    try:
        runs = [read_scores(folder, given.metric) for folder in (given.without, given.with_culture)]
        differences = compare(*runs)
    except RunUnreadable as exc:
        parser.error(str(exc))
    # Not cut to a narrow terminal, nor to the 80 columns of a pipe.
    show(differences, Console(width=100))


if __name__ == "__main__":
    main()
