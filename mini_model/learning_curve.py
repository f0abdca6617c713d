"""Draw the learning curve of a training run from its log.

python -m mini_model.learning_curve .cache/mini_model/log.jsonl --out mini_model/learning_curve.svg
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

# Steps that one point of the upper picture averages: a batch holds few answers.
WINDOW = 50
DIVERGENCES = {"kl_0": "0", "kl_1": "1", "kl_2_4": "2 to 4", "kl_5": "5 and more"}
EXAM = {
    "nearest_js": "average of the nearest exemplars",
    "icl_5_js": "icl, 5 exemplars with shares",
    "plain_js": "plain",
}

Line = Mapping[str, float]


def main() -> None:
    """Draw the curve of the log that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="an .svg file")
    args = parser.parse_args()
    draw_curve([json.loads(line) for line in args.log.read_text().splitlines()], args.out)


def draw_curve(lines: Sequence[Line], out: Path) -> None:
    """Write a picture of the training divergence and of the validation exam to `out`."""
    plt.rcParams["svg.hashsalt"] = "milieu-mini"
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 7), sharex=True)
    for name, n_exemplars in DIVERGENCES.items():
        above.plot(*_average(lines, name), label=n_exemplars)
    above.set_ylabel("KL divergence in training")
    above.legend(title="exemplars before", ncols=4, loc="upper center")
    above.set_ylim(bottom=0)
    for name, label in EXAM.items():
        asked = [line for line in lines if name in line]
        below.plot([line["step"] for line in asked], [line[name] for line in asked], label=label)
    below.set_ylabel("1 - JS distance, validation")
    below.set_xlabel("step")
    below.legend()
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})
    plt.close(figure)


def _average(lines: Sequence[Line], name: str) -> tuple[list[float], list[float]]:
    """Return the middle step and the mean of `name` for each window that has one."""
    steps, means = [], []
    for start in range(0, len(lines), WINDOW):
        values = [line[name] for line in lines[start : start + WINDOW] if name in line]
        if values:
            steps.append(lines[start]["step"] + WINDOW / 2)
            means.append(sum(values) / len(values))
    return steps, means


if __name__ == "__main__":
    main()
