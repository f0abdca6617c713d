"""Requests for a new survey question as JSON, as CultureSPA's first step makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from prompting.messages import Message
from prompting.question_writing import Written, question_json, writing_messages
from survey_data.model import Question

# The survey's topics by those of the generated questions; the service shows the survey's.
SURVEY_TOPICS = {
    "Corruption": "Corruption",
    "Economic Values": "Economic values",
    "Ethical Values and Norms": "Ethical values and norms",
    "Happiness and Well-being": "Happiness and well-being",
    "Migration": "Migration",
    "Political Culture & Political Regimes": "Political culture and regimes",
    "Political Interest & Political Participation": "Political interest and participation",
    "Postmaterialist Index": "Postmaterialism",
    "Religious Values": "Religious values",
    "Science & Technology": "Science and technology",
    "Security": "Security",
    "Social Capital, Trust & Organizational Membership": "Social capital, trust and membership",
    "Social Values, Attitudes & Stereotypes": "Social values",
}
# A wanted question is short enough for a small model to write it whole.
MAX_TEXT, MAX_OPTIONS, MAX_OPTION = 120, 5, 30
# What a prompt shows: survey questions and generated ones. Early on there are no generated ones.
N_SHOWN = ((5, 0), (3, 2), (0, 5))
N_SHOWN_SHARES = (0.3, 0.4, 0.3)


class Writing(NamedTuple):
    """A request for a new question, and one reply to it.

    Attributes:
        messages: system and user message.
        shown: texts of the questions that the prompt shows.
        reply: JSON of another question on the topic.
    """

    messages: tuple[Message, Message]
    shown: tuple[str, ...]
    reply: str


class NewQuestions:
    """Draws requests for new questions, from generated questions and those of surveys.

    Attributes:
        texts: of all questions, casefolded: what is among them is not new.
    """

    def __init__(self, generated: Sequence[Question], surveyed: Iterable[Question]) -> None:
        """Sort the questions by topic.

        Raises:
            ValueError: no topic has a short question beside another one.
        """
        self._generated, self._surveyed = _group_by_topic(generated), _group_by_topic(surveyed)
        wanted = {topic: [q for q in of if _is_short(q)] for topic, of in self._generated.items()}
        self._wanted = [
            (topic, question)
            for topic, of in wanted.items()
            if len(self._generated[topic]) > 1
            for question in of
        ]
        if not self._wanted:
            raise ValueError("no topic has a short question beside another one")
        everyone = [*self._generated.values(), *self._surveyed.values()]
        self.texts = frozenset(q.text.casefold() for of in everyone for q in of)

    def draw(self, rng: np.random.Generator, *, n_shown: int = 5) -> Writing:
        """Return a request that shows at most `n_shown` questions of one topic, and its reply."""
        topic, wanted = self._wanted[int(rng.integers(len(self._wanted)))]
        n_surveyed, n_generated = N_SHOWN[int(rng.choice(len(N_SHOWN), p=N_SHOWN_SHARES))]
        survey_topic = SURVEY_TOPICS.get(topic, topic)
        surveyed = self._surveyed.get(survey_topic, [])
        if not surveyed:
            n_surveyed, n_generated = 0, n_surveyed + n_generated
        examples = [
            *_draw_some(rng, surveyed, n=n_surveyed, but=wanted),
            *_draw_some(rng, self._generated[topic], n=n_generated, but=wanted),
        ]
        shown = [examples[i] for i in rng.permutation(len(examples))][:n_shown]
        name = survey_topic if n_surveyed else topic
        messages = writing_messages(name, [Written(q.text, q.options) for q in shown])
        reply = question_json(Written(wanted.text, wanted.options))
        return Writing(messages, tuple(q.text for q in shown), reply)


def _group_by_topic(questions: Iterable[Question]) -> dict[str, list[Question]]:
    topics: dict[str, list[Question]] = {}
    for question in questions:
        topics.setdefault(question.topic, []).append(question)
    return topics


def _is_short(question: Question) -> bool:
    return (
        len(question.text) <= MAX_TEXT
        and len(question.options) <= MAX_OPTIONS
        and all(len(option) <= MAX_OPTION for option in question.options)
    )


def _draw_some(
    rng: np.random.Generator, questions: Sequence[Question], *, n: int, but: Question
) -> list[Question]:
    """Return up to `n` of `questions`, none of them with the text of `but`."""
    order = rng.permutation(len(questions))[: n + 1]
    return [questions[i] for i in order if questions[i].text != but.text][:n]
