"""The exam that is set during training: held-out questions in the service's own prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from mini_model import tokenizer
from mini_model.split import read_split
from retrieval.encoder import SentenceTransformerEncoder
from retrieval.exemplar import Exemplar
from retrieval.prompting import AskedQuestion, ExemplarStyle, Method, Steering, survey_messages
from survey_data.model import ResponseDistribution
from survey_data.packs import read_pack

WVS7 = Path(__file__).parent.parent / "survey_data" / "packs" / "wvs7"
N_EXEMPLARS = 5
# Prompts per cell: plain, icl with the mode, icl with shares.
N_PROMPTS = 3


@dataclass(frozen=True)
class Exam:
    """Held-out questions put to the model as the service puts them, with the people's shares."""

    prompts: tuple[tuple[str, tuple[int, ...], tuple[int, ...], tuple[float, ...]], ...]

    @classmethod
    def load(cls, words: Tokenizer, *, n_questions: int = 50) -> Self:
        """Return the exam on the held-out cultures and questions, with dense exemplars, k = 5."""
        split, pack = read_split(), read_pack(WVS7)
        encoder, labels = (
            SentenceTransformerEncoder(n_threads=torch.get_num_threads()),
            tokenizer.label_ids(words),
        )
        vectors = encoder.encode([question.text for question in pack.questions])
        cells = {(cell.question, cell.culture): cell for cell in pack.distributions}
        prompts = []
        asked_indexes = [i for i, q in enumerate(pack.questions) if q.key in split.questions]
        for i in asked_indexes[:n_questions]:
            question = pack.questions[i]
            asked = AskedQuestion(question.text, question.options, question.first_number)
            order = [int(j) for j in np.argsort(-(vectors @ vectors[i]), kind="stable") if j != i]
            for culture in sorted(split.cultures):
                wanted = cells.get((question.key, culture))
                if wanted is None:
                    continue
                near: list[ResponseDistribution] = []
                for j in order:
                    cell = cells.get((pack.questions[j].key, culture))
                    if cell is not None and len(near) < N_EXEMPLARS:
                        near.append(cell)
                by_key = {pack.questions[j].key: pack.questions[j] for j in order}
                exemplars = tuple(Exemplar(by_key[cell.question], cell) for cell in near)
                for name, steering in (
                    ("plain", Steering(Method.PLAIN)),
                    ("icl_mode", Steering(Method.ICL, exemplars=exemplars)),
                    (
                        "icl_shares",
                        Steering(Method.ICL, exemplars=exemplars, style=ExemplarStyle.SHARES),
                    ),
                ):
                    text = "".join(
                        f"<|{m.role}|>{m.content}<|end|>" for m in survey_messages(asked, steering)
                    )
                    ids = tuple(words.encode(text + tokenizer.ASSISTANT).ids)
                    label_tokens = tuple(labels[label] for label in asked.labels)
                    prompts.append((name, ids, label_tokens, wanted.shares))
        return cls(tuple(prompts))

    @torch.inference_mode()
    def scores(self, model: LlamaForCausalLM, *, stride: int = 1) -> dict[str, float]:
        """Return per method the mean of 1 - Jensen-Shannon distance and the exact-match rate.

        Only every `stride`-th held-out cell is asked.
        """
        found: dict[str, list[tuple[float, bool]]] = {}
        device = next(model.parameters()).device
        for number, (name, ids, label_tokens, wanted) in enumerate(self.prompts):
            if number // N_PROMPTS % stride:
                continue
            logits = model(torch.tensor([ids], device=device)).logits[0, -1, list(label_tokens)]
            shares = torch.softmax(logits.float(), dim=-1).cpu().numpy().astype(np.float64)
            hit = int(shares.argmax()) == int(np.argmax(wanted))
            found.setdefault(name, []).append((1.0 - _js_distance(shares, np.array(wanted)), hit))
        scores = {}
        for name, values in found.items():
            scores[f"{name}_js"] = round(float(np.mean([value for value, _ in values])), 4)
            scores[f"{name}_em"] = round(float(np.mean([hit for _, hit in values])), 4)
        return scores


def _js_distance(p: np.ndarray, q: np.ndarray) -> float:
    middle = (p + q) / 2

    def divergence(a: np.ndarray) -> float:
        used = a > 0
        return float(np.sum(a[used] * np.log2(a[used] / middle[used])))

    return float(np.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2)))
