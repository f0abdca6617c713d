"""What a user wants to know of a people's answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from embedded_model.reader.facts import Rng, draw
from prompting.statement import MAX_OPTIONS, Statement, Told, list_told


class Intent(StrEnum):
    """What is asked for."""

    ANSWER = "answer"
    MOST = "most"
    SHARE = "share"
    SECOND = "second"
    COMPARE = "compare"
    EVERY = "every"
    LEAST = "least"
    TEXT = "text"
    SOURCE = "source"
    SURE = "sure"
    WHY = "why"
    ELSEWHERE = "elsewhere"


# What a conversation may begin with, as often as it stands here; anything may follow.
FIRST = (
    *(Intent.ANSWER,) * 5,
    *(Intent.MOST,) * 2,
    *(Intent.SHARE,) * 5,
    Intent.COMPARE,
    Intent.EVERY,
    *(Intent.TEXT,) * 2,
)

# What is learned late, and asked more often in what follows.
HARD = (Intent.SHARE, Intent.SHARE, Intent.ELSEWHERE, Intent.ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, of which shares, the one that the reply is about first.

    Attributes:
        intent: what is asked for.
        told: the shares that it is about, at least one.
        elsewhere: the place that is asked about although the prompt speaks of another.
    """

    intent: Intent
    told: tuple[Told, ...]
    elsewhere: str = ""


def can_ask(intent: Intent, statement: Statement) -> bool:
    """Return whether a statement has the reply to what is asked for."""
    told = list_told(statement)
    match intent:
        case Intent.COMPARE:
            return len({each.share for each in told}) > 1
        case Intent.LEAST:
            # Of many options the smallest shares are not told, and of equal ones none is least.
            is_all_told = len(statement.options) == len(told)
            return is_all_told and told[-1].percent < told[-2].percent
        case Intent.EVERY:
            return len(statement.options) <= MAX_OPTIONS
        case Intent.SECOND:
            return len(told) > 2 and told[0].percent > told[1].percent > told[2].percent
        case Intent.SURE:
            return statement.intervals is not None
    return True


def make_wish(rng: Rng, intent: Intent, statement: Statement, elsewhere: str) -> Wish:
    """Return a wish that `statement` can meet, its options drawn."""
    told = list_told(statement)
    match intent:
        case Intent.SHARE:
            return Wish(intent, (draw(rng, told),))
        case Intent.SECOND:
            return Wish(intent, (told[1],))
        case Intent.LEAST:
            return Wish(intent, (told[-1],))
        case Intent.COMPARE:
            first = draw(rng, [each for each in told if each.percent > told[-1].percent])
            return Wish(intent, (first, draw(rng, [o for o in told if o.percent < first.percent])))
        case Intent.ELSEWHERE:
            return Wish(intent, told, elsewhere)
    return Wish(intent, told)
