"""Step 3: every question answered once unaware of culture, and once as each culture.

Source: METHODS, CultureSPA step 3 (arXiv 2410.12971, section 3.2). The released code asks the
unaware question without its options; here every question is asked with its own. One sample at a
raised temperature makes noise look like culture, so answers are read by log-probabilities, or
sampled several times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol

from pydantic import ConfigDict

from adapters.culturespa.questions import GeneratedQuestion
from adapters.culturespa.settings import AnswerReading, AnswerStepSettings
from adapters.culturespa.steps import STRICT, OnProgress, hash_seed, open_journal, raise_first_error
from prompting.labels import LabelScheme
from prompting.messages import (
    AskedQuestion,
    CultureComparison,
    Message,
    Steering,
    survey_messages,
)
from prompting.recipe import Method
from survey_data.cultures import Culture


class Answerer(Protocol):
    """Answers a closed question that is put to it as a chat."""

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme | None:
        """Return how to label options for `shares`; None if it can read no labels of them."""

    async def shares(
        self, messages: Sequence[Message], labels: Sequence[str]
    ) -> tuple[float, ...] | None:
        """Return the probability of each label among them, together 1; None if unreadable."""

    async def option(
        self, messages: Sequence[Message], labels: Sequence[str], *, seed: int
    ) -> int | None:
        """Return the index of the label in one sampled reply, None if it is unreadable."""


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """How a question was answered.

    Attributes:
        question: key of the question.
        culture: alpha-3 code of the culture that was named, None for the unaware answer.
        shares: one probability per option, if it was read so and readable.
        options: index of the option in each sampled reply, None for an unreadable one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    question: str
    culture: str | None = None
    shares: tuple[float, ...] | None = None
    options: tuple[int | None, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether shares or at least one sampled reply could be read."""
        return self.shares is not None or any(option is not None for option in self.options)


class _Ask(NamedTuple):
    question: GeneratedQuestion
    steering: Steering

    @property
    def culture(self) -> str | None:
        return None if self.steering.culture is None else self.steering.culture.code


async def answer_questions(
    questions: Sequence[GeneratedQuestion],
    steerings: Sequence[Steering],
    answerer: Answerer,
    *,
    settings: AnswerStepSettings,
    journal: Path,
    n_concurrent: int = 16,
    on_progress: OnProgress | None = None,
) -> tuple[QuestionAnswer, ...]:
    """Return every question's answer under every steering, resuming from what `journal` holds.

    Answers come in the order of steerings, then of questions. The answerer's first error ends it.
    Up to `n_concurrent` questions are in flight; `on_progress` is called with the number of answers
    there are and will be.

    Raises:
        StepFileInvalid: `journal` is not as it was written.
        ValueError: the answerer gave shares or an option that the question does not have.
    """
    asks = [_Ask(question, steering) for steering in steerings for question in questions]
    with open_journal(journal, QuestionAnswer) as lines:
        answers = {(line.culture, line.question): line for line in lines.read()}
        open_asks = [ask for ask in asks if (ask.culture, ask.question.key) not in answers]
        left = iter(open_asks)  # one iterator for all workers: each ask is taken once

        async def work() -> None:
            for ask in left:
                answer = await _answer(ask, answerer, settings)
                answers[answer.culture, answer.question] = answer
                lines.add(answer)
                if on_progress is not None:
                    on_progress(len(answers), len(asks))

        with raise_first_error():
            async with asyncio.TaskGroup() as group:
                for _ in range(n_concurrent):
                    group.create_task(work())
    return tuple(answers[ask.culture, ask.question.key] for ask in asks)


def list_steerings(
    cultures: Sequence[Culture],
    method: Literal[Method.PERSONA, Method.CROSS_CULTURE],
    *,
    comparisons: Mapping[str, CultureComparison] | None = None,
) -> tuple[Steering, ...]:
    """Return the unaware steering and one per culture, which `method` names.

    `comparisons` holds, by alpha-3 code, what `cross-culture` compares each culture with.
    """
    comparisons = comparisons or {}
    aware = (
        Steering(method, culture=culture, comparison=comparisons.get(culture.code))
        for culture in cultures
    )
    return (Steering(Method.PLAIN), *aware)


def list_wording(steerings: Sequence[Steering]) -> Iterator[str]:
    """Yield the words around a question under each steering, so that a change is noticed."""
    sample = GeneratedQuestion("sample", "", "?", ("a", "b")).asked
    for steering in steerings:
        yield from (message.content for message in survey_messages(sample, steering))


async def _answer(ask: _Ask, answerer: Answerer, settings: AnswerStepSettings) -> QuestionAnswer:
    if settings.reading is AnswerReading.LOGPROBS:
        return await _answer_by_shares(ask, answerer)
    asked, key = ask.question.asked, ask.question.key
    messages = survey_messages(asked, ask.steering)
    options = []
    for repeat in range(settings.n_repeats):
        seed = hash_seed(settings.seed, ask.culture or "", key, repeat)
        option = await answerer.option(messages, asked.labels, seed=seed)
        if option is not None and not 0 <= option < len(asked.options):
            raise ValueError(f"{key}: option {option} of {len(asked.options)}")
        options.append(option)
    return QuestionAnswer(key, ask.culture, options=tuple(options))


async def _answer_by_shares(ask: _Ask, answerer: Answerer) -> QuestionAnswer:
    asked, key = ask.question.asked, ask.question.key
    scheme = await answerer.choose_labels(asked)
    if scheme is None:
        return QuestionAnswer(key, ask.culture)
    asked = asked.labelled(scheme)
    shares = await answerer.shares(survey_messages(asked, ask.steering), asked.labels)
    if shares is not None and len(shares) != len(asked.options):
        raise ValueError(f"{key}: {len(shares)} shares for {len(asked.options)} options")
    return QuestionAnswer(key, ask.culture, shares=shares)
