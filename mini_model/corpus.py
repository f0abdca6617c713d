"""Training sequences: chats in the service's own prompts, with the people's shares as targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mini_model.populations import (
    Population,
    QuestionPool,
    SmoothPopulation,
    StylePopulation,
    TiltedPopulation,
)
from mini_model.questions import Survey
from mini_model.tokenizer import ANSWER, ASSISTANT, MAX_LABEL, label_ids
from retrieval.exemplar import Exemplar
from retrieval.prompting import (
    ANSWER_FREELY,
    AskedQuestion,
    CultureComparison,
    ExemplarStyle,
    Message,
    Method,
    Steering,
    chat_system_message,
    survey_messages,
)
from survey_data.cultures import CultureCatalogue
from survey_data.model import Question, ResponseDistribution, Scale

IGNORE = -1
FIRST_STAGE_STEPS = 500
# Questions and answers in a long sequence, before it is cut to its length.
N_BLOCKS = 32
# Question and options of a response-style population: short, so that many fit.
SHORT_CHARS = 180
# Share of the surveyed peoples that get a response style of their own on top.
TILTED = 0.5
_STYLES = (ExemplarStyle.MODE, ExemplarStyle.SHARES, ExemplarStyle.DRAW)
_ICL_METHODS = (Method.ICL, Method.ICL, Method.PERSONA_ICL, Method.CROSS_CULTURE_ICL)
_BARE_METHODS = (Method.PLAIN, Method.PERSONA, Method.CROSS_CULTURE)
CANNOT_HELP = "I can only speak about values and attitudes that a survey has asked about."


class TrainingSequence(NamedTuple):
    """One training sequence, padded to its full length.

    Attributes:
        tokens: int64[length].
        targets: float32[length, MAX_LABEL + 1], the shares over labels "0" to "20" that the
            model should predict after this token; all zero where no answer follows.
        n_before: int64[length], exemplars before the answer, IGNORE where no answer follows.
        is_reply: bool[length], whether the next token is part of a free-text reply.
    """

    tokens: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float32]
    n_before: npt.NDArray[np.int64]
    is_reply: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mixture:
    """How much of each kind of population a stage of training sees; the shares sum to 1."""

    style: float
    smooth: float
    survey: float


def stage(step: int) -> Mixture:
    """Return the mixture at `step`: the simplest populations first, real ones last."""
    if step < FIRST_STAGE_STEPS:
        return Mixture(1.0, 0.0, 0.0)
    if step < FIRST_STAGE_STEPS + 100:
        return Mixture(0.4, 0.6, 0.0)
    return Mixture(0.2, 0.25, 0.55)


class Corpus:
    """Draws training sequences; the same seed gives the same ones."""

    def __init__(
        self,
        *,
        generated: QuestionPool,
        surveys: Sequence[Survey],
        catalogue: CultureCatalogue,
        tokenizer: Tokenizer,
    ) -> None:
        self._generated, self._surveys, self._catalogue = generated, surveys, catalogue
        everyone = (people for survey in surveys for people in survey.populations)
        self._cultures = sorted({people.culture for people in everyone} - {""})
        self._style_groups = [
            group
            for n in range(2, 12)
            if len(group := generated.short(n, max_chars=SHORT_CHARS)) >= N_BLOCKS
        ]
        self._tokenizer = tokenizer
        self._labels = label_ids(tokenizer)
        self._label_of = {token: int(label) for label, token in self._labels.items()}
        (answer,) = tokenizer.encode(ANSWER).ids
        (self._assistant,) = tokenizer.encode(ASSISTANT).ids
        self._before_label = {answer, self._assistant}

    def long(self, rng: np.random.Generator, *, mixture: Mixture, length: int) -> TrainingSequence:
        """Return a survey prompt with as many exemplars as `length` tokens hold."""
        pool, population = self._population(rng, mixture)
        blocks = self._blocks(rng, pool, population, n=N_BLOCKS, shuffled=0.7)
        # The shares of an answer take room that further answers could have.
        style = _STYLES[int(rng.choice(3, p=(0.5, 0.15, 0.35)))]
        return self._survey(rng, blocks, population, style=style, length=length)

    def short(self, rng: np.random.Generator, *, mixture: Mixture, length: int) -> TrainingSequence:
        """Return one request as the service sends it: no to ten exemplars, or an open question."""
        pool, population = self._population(rng, mixture)
        n = 0 if rng.random() < 0.3 else int(rng.integers(1, 11))
        blocks = self._blocks(rng, pool, population, n=n + 1, shuffled=0.2)
        style = _STYLES[int(rng.integers(3))]
        if rng.random() < 0.2:
            return self._open(rng, blocks, population, style=style, length=length)
        return self._survey(rng, blocks, population, style=style, length=length)

    def _population(
        self, rng: np.random.Generator, mixture: Mixture
    ) -> tuple[QuestionPool, Population]:
        kind = rng.random()
        if kind < mixture.style:
            return self._generated, StylePopulation(self._generated, rng, groups=self._style_groups)
        if kind < mixture.style + mixture.survey:
            survey = self._surveys[int(rng.integers(len(self._surveys)))]
            people = survey.populations[int(rng.integers(len(survey.populations)))]
            tilted = rng.random() < TILTED
            return survey.pool, TiltedPopulation(people, rng) if tilted else people
        return self._generated, SmoothPopulation(self._generated, rng)

    def _blocks(
        self,
        rng: np.random.Generator,
        pool: QuestionPool,
        population: Population,
        *,
        n: int,
        shuffled: float,
    ) -> list[Exemplar]:
        """Return `n` answered questions, the last one to be asked, often about the same thing."""
        among = population.indexes
        asked = int(among[rng.integers(len(among))])
        near = pool.vectors[among] @ pool.vectors[asked]
        # From "the nearest come first" to "any will do".
        noisy = near + rng.gumbel(0.0, rng.choice([0.02, 0.1, 1.0]), len(among))
        order = [int(among[i]) for i in np.argsort(-noisy) if among[i] != asked][: n - 1]
        if rng.random() < shuffled:
            rng.shuffle(order)
        return [
            _block(rng, pool.questions[index], population.shares(index), population.culture)
            for index in [*order, asked]
        ]

    def _survey(
        self,
        rng: np.random.Generator,
        blocks: list[Exemplar],
        population: Population,
        *,
        style: ExemplarStyle,
        length: int,
    ) -> TrainingSequence:
        *exemplars, last = blocks
        asked = AskedQuestion(last.question.text, last.question.options, last.question.first_number)
        while True:
            steering = self._steering(rng, exemplars, population, style=style)
            ids = self._encoded([*survey_messages(asked, steering), Message("assistant", "0")])
            if len(ids) <= length:
                break
            # Fewer exemplars until the prompt fits.
            fitting = int(len(exemplars) * length / len(ids))
            exemplars = exemplars[: min(len(exemplars) - 1, fitting)]
        return self._laid_out(ids, [*exemplars, last], length=length)

    def _open(
        self,
        rng: np.random.Generator,
        blocks: list[Exemplar],
        population: Population,
        *,
        style: ExemplarStyle,
        length: int,
    ) -> TrainingSequence:
        *exemplars, last = blocks
        while True:
            steering = self._steering(rng, exemplars, population, style=style)
            if rng.random() < 0.5:
                system = chat_system_message(steering)
                head = [Message("system", system)] if system else []
                messages = [*head, Message("user", last.question.text)]
            else:
                messages = list(survey_messages(AskedQuestion(last.question.text), steering))
            reply = _reply(exemplars, style=style) if exemplars else CANNOT_HELP
            ids = self._encoded([*messages, Message("assistant", reply)])
            if len(ids) <= length:
                return self._laid_out(ids, [], length=length)
            exemplars = exemplars[:-1]

    def _steering(
        self,
        rng: np.random.Generator,
        exemplars: Sequence[Exemplar],
        population: Population,
        *,
        style: ExemplarStyle,
    ) -> Steering:
        methods = _ICL_METHODS if exemplars else _BARE_METHODS
        method = methods[int(rng.integers(len(methods)))]
        seed = int(rng.integers(2**31))
        if not population.culture:
            method = Method.ICL if exemplars else Method.PLAIN
            return Steering(method, exemplars=tuple(exemplars), style=style, seed=seed)
        others = [code for code in self._cultures if code != population.culture]
        names = [self._catalogue[code] for code in rng.permutation(others)[:6]]
        return Steering(
            method,
            culture=self._catalogue[population.culture],
            comparison=CultureComparison(tuple(names[:3]), tuple(names[3:])),
            exemplars=tuple(exemplars),
            style=style,
            seed=seed,
        )

    def _encoded(self, messages: Sequence[Message]) -> list[int]:
        text = "".join(f"<|{message.role}|>{message.content}<|end|>" for message in messages)
        return list(self._tokenizer.encode(text).ids)

    def _laid_out(
        self, ids: list[int], answers: Sequence[Exemplar], *, length: int
    ) -> TrainingSequence:
        """Return `ids` padded to `length`, with the shares of `answers` where they are given."""
        tokens = np.zeros(length, dtype=np.int64)
        tokens[: len(ids)] = ids
        targets = np.zeros((length, MAX_LABEL + 1), dtype=np.float32)
        n_before = np.full(length, IGNORE, dtype=np.int64)
        is_reply = np.zeros(length, dtype=np.bool_)
        if not answers:
            is_reply[ids.index(self._assistant) : len(ids) - 1] = True
            return TrainingSequence(tokens, targets, n_before, is_reply)
        places = [
            i
            for i in range(len(ids) - 1)
            if ids[i] in self._before_label and ids[i + 1] in self._label_of
        ]
        if len(places) != len(answers):
            raise ValueError(f"{len(answers)} answers, but {len(places)} labels in the prompt")
        for n, (place, answer) in enumerate(zip(places, answers, strict=True)):
            first = answer.question.first_number
            shares = answer.distribution.shares
            targets[place, first : first + len(shares)] = shares
            n_before[place] = n
        # The label after the last prompt is a placeholder: the loss is on the shares alone.
        return TrainingSequence(tokens, targets, n_before, is_reply)


def _block(
    rng: np.random.Generator, question: Question, shares: npt.NDArray[np.float64], culture: str
) -> Exemplar:
    """Return the answered question: ordered scales at times reversed, unordered ones shuffled."""
    order = np.arange(len(shares))
    if question.scale is Scale.ORDINAL:
        if rng.random() < 0.3 and question.first_number == 1:
            order = order[::-1]
    elif rng.random() < 0.5:
        order = rng.permutation(order)
    moved = [question.options[i] for i in order]
    if question.options[1:-1] == tuple(str(n) for n in question.numbers)[1:-1] and len(moved) > 3:
        moved[1:-1] = question.options[1:-1]
    question = replace(question, options=tuple(moved))
    values = tuple(float(shares[i]) for i in order)
    return Exemplar(question, ResponseDistribution(question.key, culture, values))


def _reply(exemplars: Sequence[Exemplar], *, style: ExemplarStyle) -> str:
    """Return a reply to an open question, drawn from the first exemplar."""
    cell = exemplars[0].distribution
    option = exemplars[0].question.options[cell.mode]
    option = option if not option[0].isdigit() else f"{option} on the scale"
    if style is ExemplarStyle.SHARES:
        return f"Most people like me, {round(100 * cell.shares[cell.mode])}%, say: {option}."
    return f"Most people like me say: {option}."


def tokenizer_texts(pools: Iterable[QuestionPool], prompts: Mapping[str, str]) -> Iterable[str]:
    """Yield the texts that the tokenizer is trained on: questions, options and prompt wording."""
    for pool in pools:
        for question in pool.questions:
            yield f"Question: {question.text}\nOptions:\n"
            yield "\n".join(f"1. {option} (2. {option})" for option in question.options)
    for text in prompts.values():
        yield from [text] * 20
    yield from [ANSWER_FREELY, CANNOT_HELP, "Most people like me say: on the scale."] * 20
