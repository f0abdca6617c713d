"""What the wording of options says: which are no answer, and whether they have an order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from survey_data.model import Scale

_NO_ANSWER = re.compile(
    r"d\.?k|dnk|don\W?t know|do not know|no (answer|response|opinion)( given)?"
    r"|refus(ed|al)( to answer)?|refuses? to answer|(decline[ds]? to|(prefer|rather) not( to)?)"
    r" (answer|say)|can(no|\W)?t (answer|choose|say)"
    r"|(other )?missing(;.*)?",
    re.IGNORECASE,
)
# No answer beside one of those, but perhaps an answer alone.
_BESIDE_NO_ANSWER = re.compile(r"not sure|unsure|undecided|na|nr|rf|ref|refuses?", re.IGNORECASE)
_NOT_ASKED = re.compile(
    r"(missing; )?(not applicable|inap(plicable)?\b|not asked)\b.*", re.IGNORECASE
)
# What an interviewer is told about an option: "(DO NOT READ)", "[VOL.]", "(Spontaneous)".
_TOLD = (
    r"(only if )?(vol(unteered)?\b\.?( only)?|(do not|don\W?t|not) read( out)?|dnr"
    r"|spontaneous(ly)?)"
)
_INSTRUCTION = re.compile(
    rf"[(\[]\s*{_TOLD}\s*[)\]]|^{_TOLD}\s*:|\s[-\u2013\u2014]+\s*{_TOLD}$", re.IGNORECASE
)
_OR = re.compile(r"\s*[/,;|()\[\]]\s*|\s+or\s+|\s+-\s+", re.IGNORECASE)
# Words of no answer in an option that may yet be one.
_NEAR_NO_ANSWER = re.compile(
    r"\bd\.?k\b|^\W*(don\W?t|do not) know|\brefus|\bno (answer|response|opinion)\b"
    r"|\b(not sure|unsure)\b"
    r"|hard to say|can(no|\W)?t (answer|choose|say|rate)|undecided|rather not|\bdecline"
    r"|\bmissing\b|not applicable|\binap|\bnot asked\b|prefer not|\bn/?a\b|heard enough",
    re.IGNORECASE,
)
_TOTAL = re.compile(r"total\s*\(?n\s*=?\)?", re.IGNORECASE)
# Volunteered, or off the scale: with one of these the options have no single order.
_OUTSIDE = re.compile(
    r"\(vol|\(do not read|\(spontaneous|\bdepends\b|never heard|^both\b|^others?\b|^hard to say"
    r"|^none of (the|these)|^neither(?! agree| approve| satisfied| good,? nor| positive)"
    r"|not allowed|no apology",
    re.IGNORECASE,
)
_MIDDLE = re.compile(
    r"\bsame\b|about right|right amount|no change|not change|no impact|no difference|^enough$"
    r"|not much difference|make a difference|matter$|^no influence$|^average$|^neither\b"
    r"|^as \w+ as",
    re.IGNORECASE,
)
_DEGREE = re.compile(
    r"\b(very|somewhat|fairly|mostly|quite|rather|too|not|no|none|nothing|never|always|often"
    r"|seldom|rarely|sometimes|usually|frequently|lot|deal|some|little|few|several|many|much|most"
    r"|all|completely|strongly|totally|definitely|probably|absolutely|major|minor|moderate"
    r"|moderately|slightly|small|big|large|great|high|low|more|less|better|worse|good|bad|best"
    r"|worst|average|important|top|lower|agree|disagree|might|would|inactive|active|daily|weekly"
    r"|monthly|once|times?)\b|^\d+$",
    re.IGNORECASE,
)
# Options longer than this on average are statements to choose from rather than steps.
MAX_STEP_WORDS = 8
MAX_NEAR_MISSES = 10


def is_no_answer(option: str) -> bool:
    """Return whether `option` says that no answer was given, or that none was asked for.

    What an interviewer is told ("(DO NOT READ)") does not matter, nor whether it says one thing or
    several ("DK/Refused", "Don't know or no answer").
    """
    bare = _bare(option)
    if is_not_asked(option) or _NO_ANSWER.fullmatch(bare):
        return True
    parts = [part for part in _OR.split(re.sub(r"\bn/a\b", "na", bare, flags=re.I)) if part]
    clear = [part for part in parts if _NO_ANSWER.fullmatch(part)]
    rest = [part for part in parts if part not in clear]
    return bool(clear) and all(_BESIDE_NO_ANSWER.fullmatch(part) for part in rest)


def is_not_asked(option: str) -> bool:
    """Return whether `option` says that the question was not asked, or does not apply."""
    return _NOT_ASKED.fullmatch(_bare(option)) is not None


def may_be_no_answer(option: str) -> bool:
    """Return whether `option` has words of no answer, but is not taken for one."""
    return bool(_NEAR_NO_ANSWER.search(option)) and not is_no_answer(option)


def describe_near_misses(options: Iterable[str]) -> str:
    """Return what a report says of those `options` that may be no answer; empty if none may."""
    near = Counter(option for option in options if may_be_no_answer(option))
    shown = ", ".join(f"'{option}' ({n} x)" for option, n in near.most_common(MAX_NEAR_MISSES))
    more = f" and {len(near) - MAX_NEAR_MISSES} more" if len(near) > MAX_NEAR_MISSES else ""
    return f"Counted as answers, though they may be none: {shown}{more}" if near else ""


def _bare(option: str) -> str:
    return " ".join(_INSTRUCTION.sub(" ", option).split()).strip(" .*")


def is_total(option: str) -> bool:
    """Return whether `option` is the total of the table that the figures were taken from."""
    return _TOTAL.fullmatch(option.strip()) is not None


def scale_of(options: Sequence[str]) -> Scale:
    """Return the scale of `options`: binary for two, else ordinal unless clearly nominal.

    Nominal are options of which one was volunteered or stands outside the order ("Other",
    "Depends", "Never heard of"), of which a middle answer ("about the same") stands last, whose
    numbers are out of order, that are whole statements, or of which fewer than half hold a word of
    degree ("very", "not", "a lot", "agree") or are a number.
    """
    if len(options) == 2:
        return Scale.BINARY
    numbers = [int(option) if option.isdecimal() else None for option in options]
    known = [(i, number) for i, number in enumerate(numbers) if number is not None]
    steps = {(b - a) * (j - i) for (i, a), (j, b) in pairwise(known)}
    gaps = any(j != i + 1 for (i, _), (j, _) in pairwise(known))
    n_degrees = sum(1 for option in options if _DEGREE.search(option))
    n_words = sum(len(option.split()) for option in options)
    nominal = (
        any(_OUTSIDE.search(option) for option in options)
        or bool(_MIDDLE.search(options[-1]))
        or (gaps or not (steps <= {1} or steps <= {-1}))
        or n_words > MAX_STEP_WORDS * len(options)
        or 2 * n_degrees < len(options)
    )
    return Scale.NOMINAL if nominal else Scale.ORDINAL
