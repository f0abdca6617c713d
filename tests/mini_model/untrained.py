"""The model before training, with a tokenizer of the prompts' own words, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from mini_model.conversations import render_prompt
from mini_model.start import make_model
from mini_model.tokenizer import find_label_ids, train_tokenizer
from prompting import messages
from prompting.messages import AskedQuestion, Steering, survey_messages
from prompting.recipe import ExemplarStyle, Method
from retrieval.encoders.opening import open_encoder
from retrieval.exemplar import Exemplar
from survey_data.model import Question, ResponseDistribution, Scale

SCALE = (
    "Never", "Rarely", "Seldom", "Sometimes", "Regularly", "Often",
    "Mostly", "Usually", "Daily", "Hourly", "Always", "Constantly",
)  # fmt: skip
ZERO_TO_TEN = ("Never", *(str(n) for n in range(1, 10)), "Always")
TEXTS = [
    "How important is work?", "How often do you read?", "How much is it?",
    "How happy are you?", "How safe is your street?", "How fair is it?",
]  # fmt: skip


class Answer(NamedTuple):
    """What the model gives the asked options, and all labels together, of all probability."""

    shares: list[float]
    label_mass: float


@cache
def words() -> Tokenizer:
    prompts = [v for k, v in vars(messages).items() if k.isupper() and isinstance(v, str)]
    scales = [f"1. {option}\nAnswer: 2 ({option})\n" for option in SCALE]
    questions = [f"Question: {text}\nOptions:\n" for text in TEXTS]
    calibration = [f"1. {letter} much\n" for letter in "abcdefghijklm"]
    cultures = ["a German cultural background, a Kenyan cultural background"]
    return train_tokenizer([*prompts, *scales, *questions, *calibration, *cultures] * 20)


@cache
def untrained() -> LlamaForCausalLM:
    """The model itself, for tests that leave it as it is."""
    torch.manual_seed(7)
    return make_model(words(), open_encoder(), n_layers=4, n_prompts=4)


def exemplar(
    text: str, options: Sequence[str], shares: Sequence[float], *, first_number: int = 1
) -> Exemplar:
    question = Question(
        f"made-up:{text}", "", text, tuple(options), Scale.ORDINAL, first_number=first_number
    )
    return Exemplar(question, ResponseDistribution(question.key, "", tuple(shares)))


def answer(
    asked: AskedQuestion,
    exemplars: Sequence[Exemplar] = (),
    *,
    style: ExemplarStyle = ExemplarStyle.SHARES,
) -> Answer:
    """What the untrained model answers, where the nearest exemplar is the first."""
    method = Method.ICL if exemplars else Method.PLAIN
    messages = survey_messages(asked, Steering(method, exemplars=tuple(exemplars), style=style))
    with torch.inference_mode():
        logits = untrained()(torch.tensor([words().encode(render_prompt(messages)).ids])).logits[
            0, -1
        ]
    ids = find_label_ids(words())
    of_all = torch.softmax(logits.double(), dim=-1)[[ids[str(n)] for n in range(len(ids))]]
    shares = torch.stack([of_all[int(label)] for label in asked.labels]) if asked.labels else of_all
    return Answer((shares / shares.sum()).tolist(), float(of_all.sum()))
