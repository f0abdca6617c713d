"""How users put survey questions in a chat: open ones freely, closed ones in their own layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from prompting.messages import AskedQuestion

# How often a question begins in lower case after a lead-in that allows it, and lacks its mark.
LOWER_CASE, NO_MARK = 0.6, 0.15


class Frame(NamedTuple):
    """What stands before and after an open question."""

    lead: str = ""
    tail: str = ""


_LEADS = (
    "What do you think: ", "Tell me, ", "Tell me: ", "I am curious. ", "As for you, ",
    "Let me ask you something. ", "In your own words: ", "May I ask: ", "Be frank with me. ",
    "A question for you: ", "I would like to know: ", "Here is my question. ", "Hi! ",
    "Hello. I am doing a survey. ", "Please answer: ", "Just wondering, ", "In your opinion, ",
    "Thinking of your own life, ", "For my project I ask everyone: ", "So, ", "Next question: ",
    "Can you tell me, ", "I'd like to hear your view. ", "Honestly, ", "If I may ask, ",
)  # fmt: skip
_TAILS = (
    " What would you say?", " What is your view?", " What do you think?", " And why?",
    " How do you see it?", " Please tell me in a sentence.", " Be honest.", " Thanks!",
    " I would love to know.", " What would people like you say?", " Your opinion, please.",
    " Please explain.", " Keep it short.",
)  # fmt: skip
OPEN_FRAMES = (
    *(Frame() for _ in range(16)),
    *(Frame(lead=lead) for lead in _LEADS),
    *(Frame(tail=tail) for tail in _TAILS),
    *(Frame(lead, tail) for lead, tail in zip(_LEADS, (*_TAILS, *_TAILS), strict=False)),
)
HELD_OUT_FRAMES = (
    Frame("Speaking for yourself, "),
    Frame("There is something I have wanted to ask you. "),
    Frame("Quick one: "),
    Frame("", " Tell me how you feel about it."),
    Frame("", " Where do you stand on this?"),
    Frame("Good evening! ", " I am interested in your answer."),
)

# What people ask about in a few words of their own, and a survey in many.
SHORT = 0.45
_SUBJECTS = (
    "family", "friends", "religion", "God", "politics", "work", "the police", "the government",
    "the press", "the courts", "parliament", "the army", "the church", "democracy", "strangers",
    "foreigners", "immigrants", "homosexuality", "abortion", "divorce", "the death penalty", "war",
    "women at work", "working mothers", "men and women", "marriage", "children", "obedience",
    "independence", "leisure", "money", "taxes", "equality", "freedom", "security", "tradition",
    "artificial intelligence", "technology", "the environment", "climate change", "corruption",
    "bribes", "elections", "human rights", "your country", "national pride", "the economy",
    "private property", "competition", "hard work", "happiness", "health", "trust",
    "your neighbours",
    "banks", "trade unions", "the United Nations", "universities", "television", "the internet",
    "lying", "stealing", "suicide", "violence", "parents", "old age", "education", "poverty",
)  # fmt: skip
HELD_OUT_SUBJECTS = ("science", "the law", "charity", "your boss", "sports", "big companies")
_SHORT_FORMS = (
    "How important is {} to you?", "How important is {} in your life?", "Is {} important to you?",
    "How much do you trust {}?", "Do you trust {}?", "Can one trust {}?",
    "What do you think about {}?",
    "What do you think of {}?", "What is your opinion on {}?", "How do you feel about {}?",
    "What does {} mean to you?", "Do you believe in {}?", "Are you for or against {}?",
    "Is {} a good thing?", "What matters about {}?", "Tell me about {}.", "And {}?",
    "Should there be more of {}?", "Is {} ever justified?", "Do you worry about {}?",
    "Are you satisfied with {}?", "Who should decide about {}?", "Should women work?",
    "Are you religious?", "Are you happy?", "Are most people honest?",
    "Can most people be trusted?",
    "What are your values?", "What matters most in life?",
)  # fmt: skip

CLOSED_LAYOUTS = (
    "{question}\n{options}\nReply with the number only.",
    "{question}\n{options}\n\nJust the number, please.",
    "{question}\n\n{options}\n\nWhich one would you choose? Answer with its number.",
    "Choose one: {question}\n{options}",
    "Choose one.\n{question}\n{options}",
    "{question}\n{options}",
    "{question}\n\n{options}",
    "Q: {question}\n{options}\nA:",
    "Here is a question with numbered answers.\n\n{question}\n\n{options}\n\nGive me the number "
    "of your answer.",
    "Please pick one of these options.\n\n{question}\n\n{options}",
    "{question} Choose from:\n{options}",
    "{question} Answer with a number.\n{options}",
    "Question: {question}\n{options}\nYour answer, as a number:",
    "Hi, a quick survey question: {question}\n{options}\nOnly say the number.",
    "I have these options:\n{options}\n\nWith them, answer this: {question}",
    "Tell me the number that fits you best.\n\n{question}\n\n{options}\n\nThank you!",
    "{question}\n\nOptions:\n{options}\n\nReply with one number and nothing else.",
    "Multiple choice. {question}\n{options}\nNumber:",
)
HELD_OUT_LAYOUTS = (
    "What would you tick here?\n{question}\n{options}\nOne number is enough.",
    "{question}\nPossible answers:\n{options}\nI only need the number.",
)


def phrase_open_question(rng: np.random.Generator, text: str, *, frame: Frame | None = None) -> str:
    """Return an open question in a user's words: in `frame`, or in one that is drawn.

    Without `frame` it may also be a short one, about something other than the text.
    """
    if frame is None:
        if rng.random() < SHORT:
            return phrase_short_question(rng, _SUBJECTS)
        frame = OPEN_FRAMES[int(rng.integers(len(OPEN_FRAMES)))]
    runs_on = not frame.lead or frame.lead.endswith((", ", ": "))
    chance = LOWER_CASE if frame.lead else LOWER_CASE / 4
    # Not "I", nor "EU": only a word that is capitalised for its place.
    if runs_on and text[1:2].islower() and rng.random() < chance:
        text = text[0].lower() + text[1:]
    if not frame.tail and rng.random() < NO_MARK:
        text = text.removesuffix("?")
    return f"{frame.lead}{text}{frame.tail}"


def phrase_short_question(rng: np.random.Generator, subjects: Sequence[str]) -> str:
    """Return an open question of few words about one of `subjects`."""
    form = _SHORT_FORMS[int(rng.integers(len(_SHORT_FORMS)))]
    text = form.format(subjects[int(rng.integers(len(subjects)))])
    return text.rstrip("?") if rng.random() < NO_MARK else text


def phrase_closed_question(
    rng: np.random.Generator, asked: AskedQuestion, *, layout: str | None = None
) -> str:
    """Return a closed question in a user's layout, every option's number at the start of a line."""
    if layout is None:
        layout = CLOSED_LAYOUTS[int(rng.integers(len(CLOSED_LAYOUTS)))]
    options = "\n".join(
        f"{label}." if option == label else f"{label}. {option}"
        for label, option in zip(asked.labels, asked.options, strict=True)
    )
    return layout.format(question=asked.text, options=options)
