"""What is replied from a statement: a sentence or two, every figure as the statement tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from embedded_model.reader.facts import Rng, draw
from embedded_model.reader.intents import Intent, Wish
from prompting.phrases.fields import find_phrases
from prompting.recipe import PromptLanguage
from prompting.statement import Statement, Surveyed, Told, list_told

Templates: TypeAlias = Mapping[Intent, tuple[str, ...]]

_SURVEYED: Templates = {
    Intent.ANSWER: (
        'In the survey "{title}", {share} of people in {place} said {option}.',
        'Most often, people in {place} said {option}: {share} did, in the survey "{title}".',
        '{share} of people in {place} said {option} and {next_share} said {next_option}, according '
        'to the survey "{title}".',
    ),
    Intent.MOST: (
        'The most common answer in {place} is {option}: {share} said so in the survey "{title}".',
        'In {place}, {option} is the most common answer, with {share}.',
    ),
    Intent.SHARE: (
        "{share} of people in {place} said {option}.",
        "In {place}, {share} said {option}.",
    ),
    Intent.SECOND: ("The second most common answer in {place} is {option}, with {share}.",),
    Intent.COMPARE: (
        "More people in {place} said {option} ({share}) than {next_option} ({next_share}).",
    ),
    Intent.EVERY: ("Of people in {place}, {every}.",),
    Intent.LEAST: ("The least common answer in {place} is {option}, with {share}.",),
    Intent.TEXT: (
        'Asked "{question}", {share} of people in {place} said {option}. Another {next_share} said '
        "{next_option}.",
        'What do people in {place} think? {share} said {option} when they were asked "{question}"',
    ),
    Intent.SURE: ("The 90% interval of {option}, which {share} in {place} said, is {interval}.",),
    Intent.WHY: (
        "The survey does not say why; it says that {share} of people in {place} said {option}.",
    ),
    Intent.ELSEWHERE: (
        "It is not known here how people in {elsewhere} answer. In {place}, {share} said {option}.",
    ),
}  # fmt: skip
_ESTIMATED: Templates = {
    Intent.ANSWER: (
        "It is not known how people in {place} answer this, but it is estimated that about {share} "
        "would say {option}.",
        "How people in {place} answer this is not known. From answers elsewhere it is estimated "
        "that about {share} would say {option} and {next_share} {next_option}.",
    ),
    Intent.MOST: (
        "It is not known, but by an estimate the most common answer in {place} would be {option}, "
        "with about {share}.",
    ),
    Intent.SHARE: (
        "It is not known, but it is estimated that about {share} of people in {place} would say "
        "{option}.",
    ),
    Intent.SECOND: (
        "By the estimate, the second most common answer in {place} would be {option}, with about "
        "{share}.",
    ),
    Intent.COMPARE: (
        "It is not known, but by an estimate more people in {place} would say {option} (about "
        "{share}) than {next_option} (about {next_share}).",
    ),
    Intent.EVERY: ("It is not known, but it is estimated that of people in {place} {every}.",),
    Intent.LEAST: (
        "By the estimate, the least common answer in {place} would be {option}, with about "
        "{share}.",
    ),
    Intent.TEXT: (
        'It is not known how people in {place} answer the question "{question}" By an estimate, '
        "about {share} would say {option}.",
    ),
    Intent.SURE: (
        "It is an estimate: the 90% interval of {option}, about {share} in {place}, is {interval}.",
    ),
    Intent.WHY: (
        "Why is not known; it is only estimated that about {share} of people in {place} would say "
        "{option}.",
    ),
    Intent.ELSEWHERE: (
        "It is not known here how people in {elsewhere} answer. For {place} it is estimated that "
        "about {share} would say {option}.",
    ),
}


def write_reply(rng: Rng, wish: Wish, statement: Statement) -> str:
    """Return the reply to a wish, in one of its wordings."""
    surveyed = statement.surveyed
    if wish.intent is Intent.SOURCE:
        return _name_source(statement)
    templates = _ESTIMATED if surveyed is None else _SURVEYED
    told = wish.told
    if len(told) < 2:  # a wording may go on to another share
        told = (*told, *(other for other in list_told(statement) if other not in told))
    said: str = draw(rng, templates[wish.intent]).format(
        place=statement.place,
        elsewhere=wish.elsewhere,
        question=statement.question,
        title="" if surveyed is None else surveyed.title,
        share=told[0].share,
        option=_quote(statement, told[0]),
        next_share=told[1].share,
        next_option=_quote(statement, told[1]),
        every=_list_shares(statement),
        interval=_write_interval(statement, told[0]),
    )
    said = said.replace("about less than", "less than")
    return said[0].upper() + said[1:]


def _quote(statement: Statement, told: Told) -> str:
    return f'"{statement.options[told.option]}"'


def _list_shares(statement: Statement) -> str:
    verb = " would say" if statement.surveyed is None else " said"
    return find_phrases(PromptLanguage.EN).list_names(
        [
            f"{each.share}{'' if place else verb} {_quote(statement, each)}"
            for place, each in enumerate(list_told(statement))
        ]
    )


def _write_interval(statement: Statement, told: Told) -> str:
    if statement.intervals is None:
        return "not given"
    low, high = (round(100.0 * end) for end in statement.intervals[told.option])
    return "narrower than one percent" if low == high else f"{low} to {high}%"


def _name_source(statement: Statement) -> str:
    surveyed = statement.surveyed
    if surveyed is None:
        donors = find_phrases(PromptLanguage.EN).list_names(statement.donors[:3])
        mostly = f", mostly in {donors}" if donors else ""
        return (
            f"They are estimates from what people elsewhere answered{mostly}, not survey results."
        )
    return f'The figures are from the survey "{surveyed.title}"{_tell_size(statement, surveyed)}.'


def _tell_size(statement: Statement, surveyed: Surveyed) -> str:
    when = f" in {surveyed.years}" if surveyed.years else ""
    n = surveyed.n_respondents
    if n is None:
        return f", of people in {statement.place}{when}" if when else ""
    return f", in which {n:,} people in {statement.place} were asked{when}"
