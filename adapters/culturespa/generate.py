"""Step 1: new survey questions on each topic of a survey, written by a model.

Source: METHODS, CultureSPA step 1 (arXiv 2410.12971, section 3.1).

The same seed asks for the same questions in the same words, whatever the number of requests in
flight and wherever a kill stopped it: the attempts of a topic come in batches, each attempt shows
questions of earlier batches only, and what it shows and its seed are a pure function of seed, topic
and number. So the outcome is as repeatable as the writer is. vLLM is not bit-stable across batch
sizes: one other token in one reply changes what all later batches of its topic show.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from adapters.culturespa.errors import TopicEmpty
from adapters.culturespa.questions import GeneratedQuestion
from adapters.culturespa.settings import GenerateSettings
from adapters.culturespa.steps import OnProgress, hash_seed, open_journal, raise_first_error
from files.journal import Journal
from prompting.messages import Message
from prompting.question_writing import AttemptOutcome, Written, read_reply, writing_messages
from survey_data.model import Question

N_SURVEY_SHOWN, N_GENERATED_SHOWN = 3, 2


class Writer(Protocol):
    """Writes text."""

    async def write(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        top_p: float,
        seed: int,
        max_tokens: int,
    ) -> str:
        """Return a reply to `messages`."""


class GenerationResult(NamedTuple):
    """The questions in the order of topics and attempts, and per topic how attempts went."""

    questions: tuple[GeneratedQuestion, ...]
    outcomes: Mapping[str, Counter[AttemptOutcome]]


async def generate_questions(
    seeds: Sequence[Question],
    writer: Writer,
    *,
    settings: GenerateSettings,
    journal: Path,
    n_concurrent: int = 16,
    on_progress: OnProgress | None = None,
) -> GenerationResult:
    """Write questions on every topic of `seeds`, resuming from what `journal` holds.

    A topic with fewer survey questions than a prompt shows is shown whole. The first error of the
    writer ends it; what was written until then is kept. Up to `n_concurrent` requests are in
    flight; `on_progress` is called with the number of questions written and wanted.

    Raises:
        TopicEmpty: `seeds` is empty.
        StepFileInvalid: `journal` is not as it was written.
    """
    if not seeds:
        raise TopicEmpty
    topics: dict[str, list[Question]] = {}
    for question in seeds:
        topics.setdefault(question.topic, []).append(question)
    with open_journal(journal, _AttemptLine) as lines:
        known = {(line.topic, line.attempt): line for line in lines.read()}
        in_flight = asyncio.Semaphore(n_concurrent)
        running = _Generation(topics, writer, settings, lines, known, in_flight, on_progress)
        attempts = await running.run()
    return GenerationResult(
        tuple(chain.from_iterable(_collect_questions(of) for of in attempts.values())),
        {topic: Counter(line.outcome for line in of) for topic, of in attempts.items()},
    )


def generation_messages(
    topic: str, survey: Sequence[Question], written: Sequence[GeneratedQuestion], *, key: str
) -> tuple[Message, Message]:
    """Return the prompt for one new question, with examples drawn and shuffled by `key`.

    It shows 3 survey questions and 2 written ones, 5 survey questions while fewer than 2 are
    written, or as many as the topic has.
    """
    rng = random.Random(key)
    n_written = N_GENERATED_SHOWN if len(written) >= N_GENERATED_SHOWN else 0
    n_survey = min(N_SURVEY_SHOWN + N_GENERATED_SHOWN - n_written, len(survey))
    examples = [Written(q.text, q.options) for q in rng.sample(list(survey), n_survey)]
    examples += [Written(q.text, q.options) for q in rng.sample(list(written), n_written)]
    rng.shuffle(examples)
    return writing_messages(topic, examples)


class _AttemptLine(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: str
    attempt: int
    outcome: AttemptOutcome
    text: str = ""
    options: tuple[str, ...] = ()


@dataclass
class _Generation:
    """What the topics of one generation share."""

    topics: Mapping[str, Sequence[Question]]
    writer: Writer
    settings: GenerateSettings
    journal: Journal[_AttemptLine]
    known: Mapping[tuple[str, int], _AttemptLine]
    in_flight: asyncio.Semaphore
    on_progress: OnProgress | None
    n_written: int = 0

    async def run(self) -> dict[str, list[_AttemptLine]]:
        """Return the attempts on every topic."""
        with raise_first_error():
            async with asyncio.TaskGroup() as group:
                tasks = {topic: group.create_task(self._run_topic(topic)) for topic in self.topics}
        return {topic: task.result() for topic, task in tasks.items()}

    async def _run_topic(self, topic: str) -> list[_AttemptLine]:
        """Return the attempts on a topic, enough for its questions or as many as are allowed."""
        wanted, limit = self.settings.n_per_topic, self.settings.limit
        attempts: list[_AttemptLine] = []
        written: tuple[GeneratedQuestion, ...] = ()
        while len(written) < wanted and len(attempts) < limit:
            n = min(self.settings.batch, wanted - len(written), limit - len(attempts))
            numbers = range(len(attempts), len(attempts) + n)
            async with asyncio.TaskGroup() as group:
                batch = [group.create_task(self._attempt(topic, i, written)) for i in numbers]
            attempts += [task.result() for task in batch]
            written = _collect_questions(attempts)
        return attempts

    async def _attempt(
        self, topic: str, number: int, written: Sequence[GeneratedQuestion]
    ) -> _AttemptLine:
        line = self.known.get((topic, number))
        if line is None:
            line = await self._ask(topic, number, written)
        self.n_written += line.outcome is AttemptOutcome.WRITTEN
        if self.on_progress is not None:
            self.on_progress(self.n_written, self.settings.n_per_topic * len(self.topics))
        return line

    async def _ask(
        self, topic: str, number: int, written: Sequence[GeneratedQuestion]
    ) -> _AttemptLine:
        settings = self.settings
        key = f"{settings.seed}|{topic}|{number}"
        messages = generation_messages(topic, self.topics[topic], written, key=key)
        async with self.in_flight:
            text = await self.writer.write(
                messages,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=hash_seed(key),
                max_tokens=settings.max_tokens,
            )
        line = _AttemptLine(topic=topic, attempt=number, **read_reply(text)._asdict())
        self.journal.add(line)
        return line


def _collect_questions(attempts: Sequence[_AttemptLine]) -> tuple[GeneratedQuestion, ...]:
    return tuple(
        GeneratedQuestion(
            f"generated:{line.topic}/{line.attempt}", line.topic, line.text, line.options
        )
        for line in attempts
        if line.outcome is AttemptOutcome.WRITTEN
    )
