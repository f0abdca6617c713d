"""What the mini model replies in free text: what the first exemplar says, or that it can't help."""

from __future__ import annotations

import re
from typing import NamedTuple

from prompting.messages import Steering, draw
from prompting.percents import whole_percents
from prompting.recipe import ExemplarStyle

CANNOT_HELP = "I can only speak about values and attitudes that a survey has asked about."
LIKE_ME = "people like me"
OF_CULTURE = "people with {article} {adjective} background"
# From this percentage on, most of the people are behind an option.
MOST = 50

_PEOPLE = r"(?P<people>[Pp]eople like me|[Pp]eople with an? .+? background)"
_CHOICE = r'(?:"(?P<text>.+)"|(?P<number>\d+)) when asked a similar question\.'
_FORMS = (
    re.compile(rf"(?:Most|The largest group of) {_PEOPLE}, (?P<percent>\d+)%, chose {_CHOICE}"),
    re.compile(rf"{_PEOPLE} chose {_CHOICE}"),
)


class Said(NamedTuple):
    """What a reply to an open question says.

    Attributes:
        people: who is spoken of ("people like me").
        option: the chosen option's text, or its number if it is a bare point of a scale.
        is_number: whether the option is such a point.
        percent: how many chose it, in whole percent; None if the prompt shows no shares.
    """

    people: str
    option: str
    is_number: bool
    percent: int | None


def what_to_say(steering: Steering) -> Said | None:
    """Return what the first exemplar of a prompt lets its people say, None without exemplars."""
    if not (steering.method.shows_exemplars and steering.exemplars):
        return None
    question, distribution = steering.exemplars[0].question, steering.exemplars[0].distribution
    answer, percent = distribution.mode, None
    if steering.style is ExemplarStyle.SHARES:
        percent = whole_percents(distribution.shares)[answer]
    elif steering.style is ExemplarStyle.DRAW:
        key = f"{steering.seed}|{distribution.culture}|{question.key}"
        answer = draw(distribution.shares, key=key)
    option = question.options[answer]
    return Said(_name_people(steering), option, option == str(question.numbers[answer]), percent)


def reply(steering: Steering) -> str:
    """Return the reply to an open question about values."""
    said = what_to_say(steering)
    return CANNOT_HELP if said is None else put_in_words(said)


def put_in_words(said: Said) -> str:
    """Return what is said as one sentence."""
    if said.percent is None:
        start = said.people[0].upper() + said.people[1:]
    elif said.percent >= MOST:
        start = f"Most {said.people}, {said.percent}%,"
    else:
        start = f"The largest group of {said.people}, {said.percent}%,"
    # In its quotation marks the option's text has the same tokens as in an exemplar's brackets.
    chosen = said.option if said.is_number else f'"{said.option}"'
    return f"{start} chose {chosen} when asked a similar question."


def read(text: str) -> Said | None:
    """Return what a reply says, None if it has no form that `put_in_words` gives."""
    found = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    groups = found.groupdict()
    people, percent = groups["people"], groups.get("percent")
    said = Said(
        people[0].lower() + people[1:],
        groups["text"] or groups["number"],
        groups["number"] is not None,
        None if percent is None else int(percent),
    )
    return said if put_in_words(said) == text else None


def _name_people(steering: Steering) -> str:
    if not steering.method.names_culture or steering.culture is None:
        return LIKE_ME
    culture = steering.culture
    return OF_CULTURE.format(article=culture.article, adjective=culture.adjective)
