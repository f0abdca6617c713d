"""Whole conversations to train on: how a question is put, and what the model answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from mini_model.phrasings import phrase_closed_question, phrase_open_question
from mini_model.replies import CANNOT_HELP, reply
from mini_model.requests import draw_other_request
from mini_model.tokenizer import ASSISTANT
from prompting.messages import (
    AskedQuestion,
    Message,
    Steering,
    chat_system_message,
    survey_messages,
)
from survey_data.model import Question

# The label after the last prompt: the loss is on the shares alone.
PLACEHOLDER = "0"
# Share of open questions in a chat, the others come as a survey's; and of other requests.
OPEN_IN_CHAT, OTHER_IN_CHAT = 0.5, 0.85

# What makes a whole conversation of how it is steered.
Ask: TypeAlias = Callable[[Steering], Sequence[Message]]


def ask_by_survey(question: Question) -> Ask:
    """Return how a survey puts the closed question."""
    asked = AskedQuestion(question.text, question.options, question.first_number)
    return lambda steering: [*survey_messages(asked, steering), Message("assistant", PLACEHOLDER)]


def ask_in_user_layout(rng: np.random.Generator, question: Question) -> Ask:
    """Return how a user of a chat puts the closed question."""
    asked = AskedQuestion(question.text, question.options, question.first_number)
    user = phrase_closed_question(rng, asked)
    return lambda steering: [*chat(user, steering), Message("assistant", PLACEHOLDER)]


def ask_openly(rng: np.random.Generator, question: Question) -> Ask:
    """Return how the question is put without its options, in a chat or by a survey."""
    if rng.random() < OPEN_IN_CHAT:
        user = phrase_open_question(rng, question.text)
        return lambda steering: [*chat(user, steering), Message("assistant", reply(steering))]
    asked = AskedQuestion(question.text)
    return lambda steering: [
        *survey_messages(asked, steering),
        Message("assistant", reply(steering)),
    ]


def ask_other(rng: np.random.Generator) -> Ask:
    """Return how something other than a question about values is asked, and refused."""
    user, refusal = draw_other_request(rng), Message("assistant", CANNOT_HELP)
    if rng.random() < OTHER_IN_CHAT:
        return lambda steering: [*chat(user, steering), refusal]
    return lambda steering: [*survey_messages(AskedQuestion(user), steering), refusal]


def chat(user: str, steering: Steering) -> list[Message]:
    """Return a chat of one message, steered as the service does it."""
    system = chat_system_message(steering)
    head = [Message("system", system)] if system else []
    return [*head, Message("user", user)]


def render_chat(messages: Sequence[Message]) -> str:
    """Return `messages` as the chat template writes them."""
    return "".join(f"<|{message.role}|>{message.content}<|end|>" for message in messages)


def render_prompt(messages: Sequence[Message]) -> str:
    """Return `messages` as the chat template writes them before an answer."""
    return render_chat(messages) + ASSISTANT
