"""How users ask about a people's answer: with the question, or following up on a reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from embedded_model.reader.facts import Rng, draw
from embedded_model.reader.intents import Intent, Wish
from prompting.statement import Statement

Phrasings: TypeAlias = Mapping[Intent, tuple[str, ...]]

LOWER_CASE, NO_MARK, HAS_LEAD = 0.3, 0.15, 0.2
_LEADS = (
    "Hi! ", "Hello. ", "Quick question: ", "I would like to know: ", "Please tell me: ",
    "For my class: ", "Just curious. ", "Good morning. ", "One more thing: ", "Hey, ",
)  # fmt: skip

FIRST: Phrasings = {
    Intent.ANSWER: (
        "{question}", "{question}", "{question}", "{question}",
        "{question} What do people in {place} say?",
        "What do people in {place} think: {question}",
        "How would people in {place} answer this: {question}",
        "{question} I mean in {place}.",
        "In {place}: {question}",
        "Ask people in {place}: {question}",
        "{question} Tell me how {adjective} people see it.",
        "How do {adjective} people answer the question \"{question}\"",
        "I wonder how people in {place} feel about this. {question}",
        "If I asked somebody in {place} \"{question}\", what would I hear?",
        "What is the usual view in {place}? {question}",
        "{question} Answer in a sentence.",
        "{question} Please be brief.",
        "{question} What do you think?",
        "What would you say? {question}",
        "Tell me, {question}",
    ),
    Intent.MOST: (
        "{question} Which answer is the most common in {place}?",
        "{question} What do most people in {place} say?",
        "Which option do people in {place} choose most often? {question}",
        "What is the most frequent answer in {place} to \"{question}\"",
        "{question} What is the top answer?",
        "What do the majority say? {question}",
        "{question} Which is the most popular option?",
    ),
    Intent.SHARE: (
        "{question} How many percent in {place} say \"{option}\"?",
        "{question} How many people in {place} answer \"{option}\"?",
        "How many say \"{option}\"? {question}",
        "{question} What is the share of \"{option}\"?",
        "What percentage of people in {place} would say \"{option}\" to this: {question}",
        "{question} What part of {adjective} people says {option}?",
        "{question} How often is \"{option}\" chosen?",
        "Give me the figure for \"{option}\": {question}",
    ),
    Intent.COMPARE: (
        "{question} Do more people in {place} say \"{option}\" or \"{other}\"?",
        "{question} Is \"{option}\" more common than \"{other}\"?",
        "{question} Which is chosen more often, \"{other}\" or \"{option}\"?",
        "{option} or {other}: what do more people in {place} say? {question}",
    ),
    Intent.EVERY: (
        "{question} Give me all the figures for {place}.",
        "{question} List the shares of all options.",
        "How are the answers in {place} distributed? {question}",
        "{question} What are the results?",
    ),
    Intent.TEXT: (
        "Write a short text about how people in {place} answer this: {question}",
        "Write two sentences for a newspaper: {question}",
        "Write a tweet on what people in {place} think. {question}",
        "{question} Write a short paragraph about the answers in {place}.",
        "Summarise for a report what people in {place} say: {question}",
        "Write a caption for a chart of the answers in {place} to \"{question}\"",
    ),
}  # fmt: skip
FOLLOW: Phrasings = {
    Intent.ANSWER: ("So what do they say?", "And in one sentence?", "What was the answer again?",
        "Say that again, please.", "How do people in {place} see it, then?"),
    Intent.MOST: ("Which answer is the most common?", "And the top answer?",
        "What do most people say?", "Which one is chosen most?"),
    Intent.SHARE: ("How many say \"{option}\"?", "And \"{option}\"?", "What about \"{option}\"?",
        "How many percent chose \"{option}\"?", "And how many said {option}?",
        "What is the figure for \"{option}\"?"),
    Intent.SECOND: ("And the second?", "Which answer comes second?", "What comes next?",
        "What is the second most common answer?", "And after that?"),
    Intent.COMPARE: ("Is \"{option}\" more common than \"{other}\"?",
        "Which has more, \"{other}\" or \"{option}\"?", "More \"{option}\" or more \"{other}\"?"),
    Intent.EVERY: ("Give me all the figures.", "What about the other options?",
        "List all shares, please.", "And the rest?"),
    Intent.LEAST: ("Which answer is the rarest?", "What do the fewest people say?",
        "And the least common one?"),
    Intent.TEXT: ("Write a short text about it.", "Put that in two sentences for a newspaper.",
        "Write a tweet about this.", "Make a short summary of it."),
    Intent.SOURCE: ("Where is that from?", "What is your source?", "Says who?",
        "Which survey is that?", "Where do these figures come from?", "Source?"),
    Intent.SURE: ("How sure is that?", "How precise is the figure?", "What is the interval?",
        "What is the margin of error?", "How exact is that?"),
    Intent.WHY: ("Why is that?", "Why?", "What is the reason?", "How do you explain it?",
        "Why do they say so?"),
    Intent.ELSEWHERE: ("And in {elsewhere}?", "What about {elsewhere}?",
        "How is it in {elsewhere}?", "Do people in {elsewhere} say the same?"),
}  # fmt: skip
HELD_OUT: Phrasings = {
    Intent.ANSWER: ("{question}", "I'd love to hear how folks in {place} feel: {question}",
        "{question} Speak for people in {place}."),
    Intent.MOST: ("{question} Name the answer that leads in {place}.",
        "{question} What would the biggest group in {place} pick?"),
    Intent.SHARE: ("{question} How large is the group in {place} that says \"{option}\"?",
        "{question} In {place}, \"{option}\" gets how many percent?"),
    Intent.COMPARE: ("{question} Which of these two is ahead in {place}: \"{other}\" or "
        "\"{option}\"?",),
    Intent.TEXT: ("Draft a short note for my blog on the views in {place}: {question}",),
    Intent.ELSEWHERE: ("Now tell me about {elsewhere}.",),
}  # fmt: skip


def phrase(
    rng: Rng, wish: Wish, statement: Statement, adjective: str, *, phrasings: Phrasings
) -> str:
    """Return what a user says who has a wish; some write in lower case, or without a mark."""
    question = statement.question
    template = draw(rng, phrasings[wish.intent])
    if rng.random() < LOWER_CASE and question[1:2].islower():
        question = question[0].lower() + question[1:]
    if template.endswith("{question}") and rng.random() < NO_MARK:
        question = question.removesuffix("?")
    said: str = template.format(
        question=question,
        place=statement.place,
        adjective=adjective,
        option=statement.options[wish.told[0].option],
        other=statement.options[wish.told[min(1, len(wish.told) - 1)].option],
        elsewhere=wish.elsewhere,
    )
    return f"{draw(rng, _LEADS)}{said}" if rng.random() < HAS_LEAD else said
