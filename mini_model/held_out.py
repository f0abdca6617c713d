"""The exam taken during training: unseen questions in the service's own prompts."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from mini_model.conversations import render_prompt
from mini_model.tokenizer import CONTEXT_TOKENS, find_label_ids
from prompting.messages import AskedQuestion, Steering, survey_messages
from prompting.recipe import ExemplarStyle, Method
from retrieval.encoder import Encoder, Vectors
from retrieval.exemplar import Exemplar
from retrieval.selector import NEAR_DUPLICATE
from survey_data.distances import distribution_similarity
from survey_data.model import Pack, Question
from survey_data.packs import read_pack
from survey_data.split import Split

WVS7 = Path(__file__).parent.parent / "survey_data" / "packs" / "wvs7"
K_NEAREST = 5

# How many exemplars each part of the exam shows, in the `shares` style.
SHOWN = {"plain": 0, "icl_5": 5}
Floats = npt.NDArray[np.float64]


class Cell(NamedTuple):
    """A question as one culture is asked it, with its exemplars, nearest first."""

    question: Question
    wanted: Floats
    exemplars: tuple[Exemplar, ...]
    nearest_average: Floats


class Score(NamedTuple):
    """How near an answer is to the people's: higher is better for all but `miss` and `reach`.

    `miss` and `reach` are the two sums of squares that the alignment score is made of.
    """

    js: float
    exact: float
    soft: float
    miss: float
    reach: float


@dataclass(frozen=True)
class Exam:
    """Questions put to the model as the service puts them, with the people's shares."""

    cells: tuple[Cell, ...]
    words: Tokenizer

    @classmethod
    def load(cls, words: Tokenizer, encoder: Encoder, split: Split) -> Self:
        """Return the exam on the `wvs7` questions and the cultures that `split` holds out.

        Exemplars are chosen as the service's dense selector does.
        """
        pack = read_pack(WVS7)
        vectors = encoder.encode([question.text for question in pack.questions])
        return cls(tuple(_make_cells(pack, vectors, split)), words)

    def score_model(self, model: LlamaForCausalLM) -> dict[str, float]:
        """Return per part 1 - Jensen-Shannon distance, hits, soft accuracy and alignment.

        The average of the nearest exemplars is among the parts.
        """
        found = {"nearest": [score(cell.nearest_average, cell.wanted) for cell in self.cells]}
        for name, k in SHOWN.items():
            found[name] = [score(self.answer(model, cell, k=k), cell.wanted) for cell in self.cells]
        line = {}
        for name, rows in found.items():
            table = np.array(rows)
            line[f"{name}_js"], line[f"{name}_em"], line[f"{name}_soft"] = (
                round(float(value), 4) for value in table[:, :3].mean(axis=0)
            )
            miss, reach = table[:, 3:].sum(axis=0)
            line[f"{name}_align"] = round(1.0 - math.sqrt(miss) / math.sqrt(reach), 4)
        return line

    @torch.inference_mode()
    def answer(self, model: LlamaForCausalLM, cell: Cell, *, k: int) -> Floats:
        """Return the model's shares over the options of `cell`, shown `k` exemplars."""
        ids, labels = self.encode_prompt(cell, k=k)
        device = next(model.parameters()).device
        hidden = model.model(torch.tensor([ids], device=device)).last_hidden_state[0, -1]
        logits = (model.lm_head.weight[labels] @ hidden).float()
        return torch.softmax(logits, dim=-1).cpu().numpy().astype(np.float64)

    def encode_prompt(self, cell: Cell, *, k: int) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt that fits the context, and those of its labels."""
        question = cell.question
        asked = AskedQuestion(question.text, question.options, question.first_number)
        shown = cell.exemplars[:k]
        ids_of = find_label_ids(self.words)
        while True:
            method = Method.ICL if shown else Method.PLAIN
            steering = Steering(method, exemplars=shown, style=ExemplarStyle.SHARES)
            ids = list(self.words.encode(render_prompt(survey_messages(asked, steering))).ids)
            if len(ids) < CONTEXT_TOKENS - 4 or not shown:
                return ids, [ids_of[label] for label in asked.labels]
            shown = shown[:-1]


def score(shares: Floats, wanted: Floats) -> Score:
    """Return how near `shares` are to `wanted`, both over the same ordered options."""
    step = abs(int(shares.argmax()) - int(wanted.argmax()))
    last = len(wanted) - 1
    js = distribution_similarity(shares.tolist(), wanted.tolist())
    return Score(js, float(step == 0), 1.0 - step / last, step**2, last**2)


def _make_cells(pack: Pack, vectors: Vectors, split: Split) -> Iterator[Cell]:
    cells = {(cell.question, cell.culture): cell for cell in pack.distributions}
    prior = _average_by_length(pack, without=split.cultures)
    for i, question in enumerate(pack.questions):
        if question.key not in split.questions:
            continue
        order = np.argsort(-(vectors @ vectors[i]), kind="stable")
        for culture in sorted(split.cultures):
            wanted = cells.get((question.key, culture))
            if wanted is None:
                continue
            usable = [
                int(j)
                for j in order
                if pack.questions[j].text != question.text
                and (pack.questions[j].key, culture) in cells
            ]
            alike = [j for j in usable if len(pack.questions[j].options) == len(question.options)]
            rows = [cells[pack.questions[j].key, culture].shares for j in alike[:K_NEAREST]]
            average = np.mean(rows, axis=0) if rows else prior[len(question.options)]
            shown = [pack.questions[j] for j in _drop_near_duplicates(usable, vectors, k=10)]
            exemplars = tuple(Exemplar(q, cells[q.key, culture]) for q in shown)
            yield Cell(question, np.array(wanted.shares), exemplars, average)


def _drop_near_duplicates(order: Sequence[int], vectors: Vectors, *, k: int) -> list[int]:
    """Return the first `k` of `order` of which no two are nearly the same."""
    taken: list[int] = []
    for j in order:
        if len(taken) == k:
            break
        if not any(vectors[j] @ vectors[other] >= NEAR_DUPLICATE for other in taken):
            taken.append(j)
    return taken


def _average_by_length(pack: Pack, *, without: Collection[str]) -> dict[int, Floats]:
    rows: dict[int, list[Sequence[float]]] = {}
    for cell in pack.distributions:
        if cell.culture not in without:
            rows.setdefault(len(cell.shares), []).append(cell.shares)
    return {n: np.mean(of, axis=0) for n, of in rows.items()}
