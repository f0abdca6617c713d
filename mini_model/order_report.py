"""How much orders of exemplars and of options matter to the shipped model, on held-out questions.

python -m mini_model.order_report
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from mini_model.held_out import Cell, Exam, Floats, score
from mini_model.weights import WEIGHTS
from retrieval.encoders.opening import open_encoder
from survey_data.split import read_split

N_SHOWN = 5


class Shift(NamedTuple):
    """What another order comes to, as means over cells.

    Attributes:
        js: 1 - Jensen-Shannon distance to the people's shares, with that order.
        shift: total variation distance in [0, 1] to the answer with the usual order.
        changed: share of modal options that are others.
    """

    js: float
    shift: float
    changed: float


def main() -> None:
    """Print a table: both orders as served, then either of them the other way round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    model = LlamaForCausalLM.from_pretrained(args.weights)
    words = Tokenizer.from_file(str(args.weights / "tokenizer.json"))
    exam = Exam.load(words, open_encoder(), read_split())
    print(f"{'':24} 1 - JS  shift  modal option changed")
    for name, found in measure_shifts(
        exam, lambda cell: exam.answer(model, cell, k=N_SHOWN)
    ).items():
        print(f"{name:24} {found.js:.3f}   {found.shift:.3f}  {found.changed:.2f}")


def measure_shifts(exam: Exam, answer: Callable[[Cell], Floats]) -> dict[str, Shift]:
    """Return what each order comes to, by name; `answer` gives the shares over a cell's options."""
    usual = [answer(cell) for cell in exam.cells]
    orders = {
        "as served": usual,
        "nearest exemplar last": [answer(_put_nearest_last(cell)) for cell in exam.cells],
        "options turned": [answer(_turn_options(cell))[::-1] for cell in exam.cells],
    }
    return {name: _measure_shift(exam, found, usual) for name, found in orders.items()}


def _put_nearest_last(cell: Cell) -> Cell:
    return cell._replace(exemplars=cell.exemplars[:N_SHOWN][::-1])


def _turn_options(cell: Cell) -> Cell:
    return cell._replace(question=replace(cell.question, options=cell.question.options[::-1]))


def _measure_shift(exam: Exam, found: list[Floats], usual: list[Floats]) -> Shift:
    pairs = list(zip(found, usual, strict=True))
    return Shift(
        float(np.mean([score(a, c.wanted).js for a, c in zip(found, exam.cells, strict=True)])),
        float(np.mean([np.abs(a - b).sum() / 2 for a, b in pairs])),
        float(np.mean([a.argmax() != b.argmax() for a, b in pairs])),
    )


if __name__ == "__main__":
    main()
