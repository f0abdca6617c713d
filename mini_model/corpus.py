"""Training sequences: chats in the service's own prompts, with the people's shares as targets."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mini_model.conversations import (
    PLACEHOLDER,
    Ask,
    ask_by_survey,
    ask_in_user_layout,
    ask_openly,
    ask_other,
    render_chat,
)
from mini_model.negative_words import NEGATIVE_WORDS
from mini_model.new_questions import NewQuestions
from mini_model.phrasings import CLOSED_LAYOUTS, OPEN_FRAMES
from mini_model.populations import (
    Population,
    QuestionPool,
    SmoothPopulation,
    StylePopulation,
    TiltedPopulation,
)
from mini_model.questions import Survey
from mini_model.replies import CANNOT_HELP, MOST, Said, put_in_words
from mini_model.requests import list_taught_words
from mini_model.stages import Kind, Mixture
from mini_model.tokenizer import ANSWER, ASSISTANT, JSON_PIECES, MAX_LABEL, find_label_ids
from prompting.messages import CultureComparison, Message, Steering
from prompting.phrases.fields import find_phrases
from prompting.question_writing import ASK, SYSTEM
from prompting.recipe import ExemplarStyle, Method, PromptLanguage
from retrieval.exemplar import Exemplar
from survey_data.cultures import CultureCatalogue
from survey_data.model import Question, ResponseDistribution, Scale

IGNORE = -1
# Question and options of a response-style population: short, so that many fit.
SHORT_CHARS = 180
MIN_GROUP = 24
# Share of requests whose exemplars come in any order.
SHUFFLED = 0.05
# Share of the surveys' questions whose answers are taught without exemplars. All others are taught
# with exemplars only: so the model learns how far its exemplars can be trusted on questions that it
# does not know by heart.
TAUGHT_BARE = 0.55
# The weight of a token of a question in JSON that a prompt shows; one of the reply has 1.
SHOWN_WEIGHT = 0.3
_STYLES = (ExemplarStyle.SHARES, ExemplarStyle.MODE, ExemplarStyle.DRAW)
_STYLE_SHARES = (0.6, 0.2, 0.2)
# How much exemplars stray from "the nearest come first", as the service chooses them.
STRAYING = (0.001, 0.03, 0.2, 1.0)
_ICL_METHODS = (Method.ICL, Method.ICL, Method.PERSONA_ICL, Method.CROSS_CULTURE_ICL)
_BARE_METHODS = (Method.PLAIN, Method.PERSONA, Method.CROSS_CULTURE)


class TrainingSequence(NamedTuple):
    """One training sequence, padded to its full length.

    Attributes:
        tokens: int64[length].
        targets: float32[length, MAX_LABEL + 1], the shares over labels "0" to "20" that the
            model should predict after this token; all zero if no answer follows.
        n_before: int64[length], exemplars before the answer, IGNORE if no answer follows.
        reply_weight: float32[length], what the next token counts for as part of a free-text reply,
            0 if it is not.
    """

    tokens: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float32]
    n_before: npt.NDArray[np.int64]
    reply_weight: npt.NDArray[np.float32]

    def count_tokens(self) -> int:
        """Return the number of tokens before the padding."""
        return int(np.flatnonzero(self.tokens)[-1]) + 1

    def cut(self, length: int) -> TrainingSequence:
        """Return the sequence padded to `length` only."""
        return TrainingSequence(
            self.tokens[:length],
            self.targets[:length],
            self.n_before[:length],
            self.reply_weight[:length],
        )


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
        self._codes = [culture.code for culture in catalogue]
        everyone = (people for survey in surveys for people in survey.populations)
        self._cultures = sorted({people.culture for people in everyone} - {""})
        self._style_groups = [
            group
            for n in range(2, 12)
            if len(group := generated.find_short(n, max_chars=SHORT_CHARS)) >= MIN_GROUP
        ]
        surveyed = (question for survey in surveys for question in survey.pool.questions)
        self._new_questions = NewQuestions(generated.questions, surveyed)
        self._tokenizer = tokenizer
        self._labels = find_label_ids(tokenizer)
        self._label_of = {token: int(label) for label, token in self._labels.items()}
        (answer,) = tokenizer.encode(ANSWER).ids
        (self._assistant,) = tokenizer.encode(ASSISTANT).ids
        start, _, _, end = JSON_PIECES
        (self._json_start,), (self._json_end,) = (tokenizer.encode(p).ids for p in (start, end))
        self._before_label = {answer, self._assistant}

    def draw(
        self, rng: np.random.Generator, *, mixture: Mixture, n_exemplars: int, length: int
    ) -> TrainingSequence:
        """Return one request as the service sends it, with up to `n_exemplars` that fit."""
        kind = mixture.draw_kind(rng)
        if kind is Kind.JSON:
            return self._draw_new_question(rng, length=length)
        pool, population = self._draw_population(rng, mixture)
        blocks = self._draw_blocks(rng, pool, population, n=n_exemplars + 1, mixture=mixture)
        style = _STYLES[int(rng.choice(3, p=_STYLE_SHARES))]
        question = blocks[-1].question
        match kind:
            case Kind.OPEN:
                ask = ask_openly(rng, question)
            case Kind.OTHER:
                ask = ask_other(rng)
            case Kind.FREE:
                ask = ask_in_user_layout(rng, question)
            case _:
                ask = ask_by_survey(question)
        # Words say whom the prompt names, whoever it is: so all names are taught alike.
        culture = self._draw_culture(rng) if kind is Kind.OPEN else population.culture
        return self._fit(rng, blocks, culture, style=style, ask=ask, length=length)

    def _draw_new_question(self, rng: np.random.Generator, *, length: int) -> TrainingSequence:
        """Return a request for a new question as JSON that shows as many questions as fit."""
        n_shown = 5
        while True:
            writing = self._new_questions.draw(rng, n_shown=n_shown)
            ids = self._encode([*writing.messages, Message("assistant", writing.reply)])
            if len(ids) <= length:
                break
            n_shown = max(1, n_shown - 1)
        laid_out = self._lay_out(ids, [], length=length)
        # What is shown has the form that is asked for, and is written the same way.
        is_shown = False
        for i, token in enumerate(ids[: ids.index(self._assistant)]):
            is_shown = (is_shown or token == self._json_start) and token != self._json_end
            if is_shown:
                laid_out.reply_weight[i] = SHOWN_WEIGHT
        return laid_out

    def _draw_population(
        self, rng: np.random.Generator, mixture: Mixture
    ) -> tuple[QuestionPool, Population]:
        kind = rng.random()
        if kind < mixture.style:
            return self._generated, StylePopulation(self._generated, rng, groups=self._style_groups)
        if kind < mixture.style + mixture.survey:
            survey = self._surveys[int(rng.integers(len(self._surveys)))]
            people = survey.populations[int(rng.integers(len(survey.populations)))]
            tilted = rng.random() < mixture.tilted
            return survey.pool, TiltedPopulation(people, rng) if tilted else people
        return self._generated, SmoothPopulation(self._generated, rng)

    def _draw_blocks(
        self,
        rng: np.random.Generator,
        pool: QuestionPool,
        population: Population,
        *,
        n: int,
        mixture: Mixture,
    ) -> list[Exemplar]:
        """Return `n` answered questions, the last one to be asked, often about the same thing."""
        among = population.indexes
        asked = self._draw_asked(rng, pool, population, n_before=n - 1)
        near = pool.vectors[among] @ pool.vectors[asked]
        straying = rng.choice(STRAYING, p=mixture.straying)
        noisy = near + rng.gumbel(0.0, straying, len(among))
        order = [int(among[i]) for i in np.argsort(-noisy) if among[i] != asked][: n - 1]
        if rng.random() < SHUFFLED:
            rng.shuffle(order)
        # Mostly all ordered scales of a prompt run the same way, so that places can be compared.
        turned = rng.choice((0.0, 0.15, 1.0), p=(0.8, 0.05, 0.15))
        return [
            _make_block(
                rng, pool.questions[i], population.shares(i), population.culture, turned=turned
            )
            for i in [*order, asked]
        ]

    def _draw_asked(
        self, rng: np.random.Generator, pool: QuestionPool, population: Population, *, n_before: int
    ) -> int:
        among = population.indexes
        index = int(among[rng.integers(len(among))])
        # A population may have no question that is taught this way.
        for _ in range(49):
            if is_taught(pool.questions[index].key, n_before=n_before):
                break
            index = int(among[rng.integers(len(among))])
        return index

    def _fit(
        self,
        rng: np.random.Generator,
        blocks: Sequence[Exemplar],
        culture: str,
        *,
        style: ExemplarStyle,
        ask: Ask,
        length: int,
    ) -> TrainingSequence:
        """Return what `ask` makes of the last block, with as many of the others as fit."""
        *exemplars, last = blocks
        while True:
            steering = self._draw_steering(rng, exemplars, culture, style=style)
            messages = ask(steering)
            ids = self._encode(messages)
            if len(ids) <= length:
                break
            # Fewer exemplars until the prompt fits.
            fitting = int(len(exemplars) * length / len(ids))
            exemplars = exemplars[: min(len(exemplars) - 1, fitting)]
        is_label = messages[-1].content == PLACEHOLDER
        return self._lay_out(ids, [*exemplars, last] if is_label else [], length=length)

    def _draw_steering(
        self,
        rng: np.random.Generator,
        exemplars: Sequence[Exemplar],
        culture: str,
        *,
        style: ExemplarStyle,
    ) -> Steering:
        methods = _ICL_METHODS if exemplars else _BARE_METHODS
        method = methods[int(rng.integers(len(methods)))]
        seed = int(rng.integers(2**31))
        steering = Steering(method, exemplars=tuple(exemplars), style=style, seed=seed)
        if not culture:
            return replace(steering, method=Method.ICL if exemplars else Method.PLAIN)
        others = [code for code in self._cultures if code != culture]
        names = [self._catalogue[code] for code in rng.permutation(others)[:6]]
        comparison = CultureComparison(tuple(names[:3]), tuple(names[3:]))
        return replace(steering, culture=self._catalogue[culture], comparison=comparison)

    def _draw_culture(self, rng: np.random.Generator) -> str:
        return self._codes[int(rng.integers(len(self._codes)))]

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        return list(self._tokenizer.encode(render_chat(messages)).ids)

    def _lay_out(
        self, ids: list[int], answers: Sequence[Exemplar], *, length: int
    ) -> TrainingSequence:
        """Return `ids` padded to `length`, with the shares of `answers` in their places."""
        tokens = np.zeros(length, dtype=np.int64)
        tokens[: len(ids)] = ids
        targets = np.zeros((length, MAX_LABEL + 1), dtype=np.float32)
        n_before = np.full(length, IGNORE, dtype=np.int64)
        reply_weight = np.zeros(length, dtype=np.float32)
        if not answers:
            reply_weight[ids.index(self._assistant) : len(ids) - 1] = 1.0
            return TrainingSequence(tokens, targets, n_before, reply_weight)
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
            if not is_taught(answer.question.key, n_before=n):
                continue
            targets[place, first : first + len(shares)] = shares
            n_before[place] = n
        # Whatever the label, nothing follows it.
        last = answers[-1]
        label = last.question.first_number + int(np.argmax(last.distribution.shares))
        tokens[len(ids) - 2] = self._labels[str(label)]
        reply_weight[len(ids) - 2] = 1.0
        return TrainingSequence(tokens, targets, n_before, reply_weight)


def is_taught(key: str, *, n_before: int) -> bool:
    """Return whether the answers to a question are taught after `n_before` exemplars."""
    if key.startswith("generated:"):
        return True
    bare = zlib.crc32(key.encode()) % 100 < 100 * TAUGHT_BARE
    return bare == (n_before == 0)


def _make_block(
    rng: np.random.Generator,
    question: Question,
    shares: npt.NDArray[np.float64],
    culture: str,
    *,
    turned: float,
) -> Exemplar:
    """Return the answered question: ordered scales at times reversed, unordered ones shuffled."""
    order = np.arange(len(shares))
    if question.scale is Scale.ORDINAL:
        if rng.random() < turned and question.first_number == 1:
            order = order[::-1]
    elif rng.random() < turned:
        order = rng.permutation(order)
    moved = [question.options[i] for i in order]
    if question.options[1:-1] == tuple(str(n) for n in question.numbers)[1:-1] and len(moved) > 3:
        moved[1:-1] = question.options[1:-1]
    question = replace(question, options=tuple(moved))
    values = tuple(float(shares[i]) for i in order)
    return Exemplar(question, ResponseDistribution(question.key, culture, values))


def list_tokenizer_texts(
    pools: Iterable[QuestionPool], prompts: Mapping[str, str], adjectives: Iterable[str] = ()
) -> Iterable[str]:
    """Yield the texts that the tokenizer is trained on: questions, options and prompt wording."""
    for pool in pools:
        for question in pool.questions:
            yield f"Question: {question.text}\nOptions:\n"
            yield "\n".join(f"1. {option} (2. {option})" for option in question.options)
    freely = find_phrases(PromptLanguage.EN).answer_freely
    for text in [*prompts.values(), ASK, SYSTEM, freely, CANNOT_HELP]:
        yield from [text] * 20
    for percent in (None, MOST - 1, MOST):
        yield from [put_in_words(Said("people like me", "Yes", False, percent))] * 20
    yield from ["people with a background, people with an background"] * 20
    for adjective in adjectives:
        yield from [f"a {adjective} cultural background, a {adjective} background"] * 150
    for word in sorted(NEGATIVE_WORDS):
        yield from [f"{word} {word} {word.capitalize()} {word}"] * 60
    for text in [*list_taught_words(), *CLOSED_LAYOUTS]:
        yield from [text] * 3
    for frame in OPEN_FRAMES:
        yield from (frame.lead, frame.tail)
