"""Whether adapters cost the model any ability: general questions to it and to each of them.

Source: METHODS, CultureSPA step 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluation import bootstrap
from evaluation.asking import Ask, Condition, Request, Respondent, Response, digest_of
from evaluation.decoding import DEFAULT_RULES, AnswerDecoding, ReadBy, ReadingRules
from evaluation.figures import Ability, AbilityFigures, BootstrapInterval
from evaluation.general_questions import GeneralQuestion
from evaluation.prompted import LanguageModel, Prompt, send
from evaluation.run_folder import AskKey, RunAnswers, ask_key
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, question_text
from prompting.reading import read_labels, read_option
from survey_data.arrays import Floats

BASE = "base model"
SYSTEM = {
    LabelScheme.NUMBERS: (
        "Each question has one right answer. Answer with the number of the right option."
    ),
    LabelScheme.LETTERS: (
        "Each question has one right answer. Answer with the letter of the right option."
    ),
}
# The most likely words, for a model that has no token of its own for a number or a letter.
IN_TEXT = AnswerDecoding(ReadBy.TEXT, temperature=0.0, top_p=1.0, max_tokens=8)
# A probability below this counts as this much, so that one answer does not decide a mean.
LEAST_PROBABILITY = 1e-6


class AskedWeights(NamedTuple):
    """Weights that are asked the questions: a name, and adapters, none for the model as it is."""

    name: str
    adapters: tuple[str, ...]


@dataclass(frozen=True)
class AbilityPlan:
    """What is asked, and of which models: the bare one and every adapter of the sets, each once."""

    questions: tuple[GeneralQuestion, ...]
    sets: tuple[AskedWeights, ...]
    respondent: Respondent

    def asks(self) -> Iterator[tuple[Condition, Ask]]:
        """Yield every ask with its condition, which names the weights."""
        adapters = dict.fromkeys(version for of in self.sets for version in of.adapters)
        for adapter in (None, *adapters):
            yield from self.asks_of(adapter)

    def asks_of(self, adapter: str | None) -> Iterator[tuple[Condition, Ask]]:
        """Yield the asks of one adapter, or of the model as it is for None."""
        name = f"general ability, {adapter or BASE}"
        condition = Condition(name, "method", self.respondent)
        for of in self.questions:
            order = tuple(range(len(of.question.options)))
            yield condition, Ask(None, "", of.question, order, adapter=adapter)


class GeneralRespondent:
    """Puts general questions to a model, with a system message that does not mention people."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def request(self, ask: Ask) -> Request:
        """Return the prompt for `ask`. See `Respondent.request`."""
        asked = AskedQuestion(ask.question.text, ask.question.options)
        scheme = await self._model.choose_labels(asked)
        asked = asked.labelled(scheme or LabelScheme.NUMBERS)
        messages = (Message("system", SYSTEM[asked.scheme]), Message("user", question_text(asked)))
        prompt = Prompt(messages, asked.labels, scheme is None, 0, ask.adapter)
        contents = [message.content for message in messages]
        return Request(digest_of(self.name, contents, *prompt.how(IN_TEXT)), prompt)

    async def respond(self, request: Request) -> Response:
        """Return what the model answers."""
        return await send(self._model, request.content, IN_TEXT)


def score_ability(
    plan: AbilityPlan, answers: RunAnswers, rules: ReadingRules = DEFAULT_RULES
) -> Ability:
    """Return how the base model and each set of adapters did on the general questions.

    Raises:
        AnswersMissing: a question was not answered.
    """
    scorer = _Scorer(plan, answers, rules)
    chances = [1.0 / len(of.question.options) for of in plan.questions]
    return Ability(
        n_questions=len(plan.questions),
        chance=math.fsum(chances) / len(chances),
        chance_log_probability=math.fsum(map(math.log, chances)) / len(chances),
        weights=tuple(scorer.score(of) for of in (AskedWeights(BASE, ()), *plan.sets)),
    )


class _Answered(NamedTuple):
    """What weights answered, float64[q] each, or float64[a, q] of several adapters.

    `right` and `unreadable` are 1.0 if true, else 0.0; `log_probability` is the natural logarithm
    of the right label's share of all labels, NaN if the answer is text.
    """

    right: Floats
    log_probability: Floats
    unreadable: Floats


class _Scorer:
    def __init__(self, plan: AbilityPlan, answers: RunAnswers, rules: ReadingRules) -> None:
        self._plan, self._answers = plan, answers
        self._min_label_mass = rules.min_label_mass
        self._weights = bootstrap.question_weights(len(plan.questions))
        self._base = self._read([None])

    def score(self, of: AskedWeights) -> AbilityFigures:
        """Return the figures of one set of adapters, the mean of all of them."""
        found = self._read(of.adapters) if of.adapters else self._base
        accuracy = bootstrap.mean_interval(found.right, self._weights)
        assert accuracy is not None
        return AbilityFigures(
            name=of.name,
            adapters=of.adapters,
            accuracy=accuracy,
            log_probability=bootstrap.mean_interval(found.log_probability, self._weights),
            over_base=self._over_base(found.right, self._base.right),
            log_probability_over_base=self._over_base(
                found.log_probability, self._base.log_probability
            ),
            unreadable=float(found.unreadable.mean()),
            by_kind=self._by_kind(found.right),
        )

    def _over_base(self, values: Floats, base: Floats) -> BootstrapInterval | None:
        if values is base:
            return None
        return bootstrap.gain_interval(values, np.broadcast_to(base, values.shape), self._weights)

    def _by_kind(self, right: Floats) -> dict[str, float]:
        kinds = [of.question.topic for of in self._plan.questions]
        columns = {kind: [j for j, of in enumerate(kinds) if of == kind] for kind in kinds}
        return {kind: float(right[:, of].mean()) for kind, of in columns.items()}

    def _read(self, adapters: Sequence[str | None]) -> _Answered:
        rows = [
            [
                self._score_answer(of, ask_key(condition.name, ask))
                for of, (condition, ask) in zip(
                    self._plan.questions, self._plan.asks_of(adapter), strict=True
                )
            ]
            for adapter in adapters
        ]
        return _Answered(*np.moveaxis(np.array(rows, dtype=np.float64), -1, 0))

    def _score_answer(self, of: GeneralQuestion, key: AskKey) -> tuple[float, float, float]:
        """Return whether right, the log-probability of the right label, whether unreadable."""
        response = self._answers.find(key)
        options = of.question.options
        if response.logprobs is None:
            reading = read_option(response.text or "", options, first_number=1)
            return float(reading.option == of.right), math.nan, float(reading.unreadable)
        reading = read_labels([response.logprobs], [key.order], min_label_mass=self._min_label_mass)
        probabilities = np.exp(response.logprobs)
        total = probabilities.sum()
        share = probabilities[of.right] / total if total > 0.0 else 1.0 / len(options)
        log_probability = math.log(max(share, LEAST_PROBABILITY))
        return float(reading.option == of.right), log_probability, float(reading.unreadable)
