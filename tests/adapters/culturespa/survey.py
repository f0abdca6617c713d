"""Small questions, and models of paper, for tests of the pipeline."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence

from adapters.culturespa.questions import GeneratedQuestion
from adapters.culturespa.steps import hash_seed
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from survey_data.model import Question, Scale

AGREE = ("Agree", "Neither", "Disagree")


class Killed(Exception):
    """Stands for the process being killed."""


def survey_question(number: int, *, topic: str = "Life") -> Question:
    text = f"Survey question {number} on {topic}?"
    return Question(f"tiny:Q{number}", topic, text, AGREE, Scale.ORDINAL)


def question(number: int, *, topic: str = "Life", text: str = "") -> GeneratedQuestion:
    return GeneratedQuestion(f"generated:{number}", topic, text or f"Question {number}?", AGREE)


class PaperWriter:
    """Writes a question that is a pure function of prompt and seed; one in `fails` is no JSON."""

    def __init__(self, *, fails: int = 4, kill_at: int | None = None) -> None:
        self.fails, self.kill_at = fails, kill_at
        self.prompts: list[str] = []
        self.most_in_flight = self._in_flight = 0

    async def write(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        top_p: float,
        seed: int,
        max_tokens: int,
    ) -> str:
        if self.kill_at is not None and len(self.prompts) >= self.kill_at:
            raise Killed
        prompt = messages[-1].content
        self.prompts.append(prompt)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        # Replies come in another order than they were asked for.
        await asyncio.sleep(0.0001 * (seed % 7))
        self._in_flight -= 1
        digest = hashlib.sha256(f"{prompt}|{seed}|{temperature}|{top_p}".encode()).hexdigest()
        if int(digest, 16) % self.fails == 0:
            return "Sorry, I cannot think of one."
        return f"Here: {json.dumps({'question': f'New {digest[:12]}?', 'options': AGREE})} Good?"


class PaperAnswerer:
    """Answers by a function of the prompts; remembers what it was asked."""

    def __init__(
        self,
        shares: Callable[[str, str, int], tuple[float, ...] | None] | None = None,
        *,
        kill_at: int | None = None,
        labels: LabelScheme | None = LabelScheme.NUMBERS,
    ) -> None:
        self._shares, self.kill_at, self.labels = shares or _hashed, kill_at, labels
        self.asked: list[tuple[str, str]] = []

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme | None:
        return self.labels

    async def shares(
        self, messages: Sequence[Message], labels: Sequence[str]
    ) -> tuple[float, ...] | None:
        self._note(messages)
        await asyncio.sleep(0)
        return self._shares(messages[0].content, messages[1].content, len(labels))

    async def option(
        self, messages: Sequence[Message], labels: Sequence[str], *, seed: int
    ) -> int | None:
        self._note(messages)
        await asyncio.sleep(0)
        place = hash_seed(messages[0].content, messages[1].content, seed) % (len(labels) + 1)
        return place if place < len(labels) else None

    def _note(self, messages: Sequence[Message]) -> None:
        if self.kill_at is not None and len(self.asked) >= self.kill_at:
            raise Killed
        self.asked.append((messages[0].content, messages[1].content))


def _hashed(system: str, user: str, n: int) -> tuple[float, ...]:
    weights = [1 + hash_seed(system, user, i) % 9 for i in range(n)]
    return tuple(weight / sum(weights) for weight in weights)
