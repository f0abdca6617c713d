"""English as questions of surveys are put: what is scale or frame, and what words say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from retrieval.english_words import ASKING, FEMALE, LIKE_WORDS, MALE, ROLES, VAGUE

_SCALE = re.compile(
    r"[,:;]?\s*(?:answer |place yourself |rate it )?"
    r"\b(?:from|between|where|if|on a scale (?:from|of))\s+[01]\b"
    r".*?\b10\b(?:,? (?:means )?[^,?.:]+)?,?",
    re.IGNORECASE,
)
_MEASURED = re.compile(
    r"\b(?:justified|satisfied|important|essential|happy|proud)\b", re.IGNORECASE
)
_FRAME = re.compile(
    r"^(?:(?:how|where) (?:do|would) you (?:judge|rate|place|see) "
    r"|(?:do|would) you agree (?:or disagree )?(?:that )?,? ?(?:generally, |in general, )?"
    r"|(?:say |answer )?how far (?:do|would) you agree(?: that)?,? |all in all,? "
    r"|taking everything into account,? |all things considered,? |taking all things together,? )",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W\d_]{2,}")
_PHRASES = tuple(
    (re.compile(rf"\b(?:{phrase})\b"), word)
    for phrase, word in (
        (r"not (?:like|want)(?: to have)?", "object"),
        (r"(?:living |live |lives |lived )?next door(?: to you)?", "neighbours"),
        (r"mak(?:e|ing) use of|turn to", "use"),
        (r"(?:gone|go|do|did|been|be|were|left|live) without|not have enough", "lack"),
        (r"(?:put|place) (?:your |my )?(?:trust|faith) in", "trust"),
    )
)
PREFIX, SPELLED_ALIKE = 5, 0.85
_ENDINGS = (
    *("ingly", "edly", "ments", "ment", "ness", "ations", "ation", "ings"),
    *("ing", "ies", "ied", "es", "ed", "ly", "s", "e", "y"),
)
_MIN_STEM = 4
# What kind of question it is. Two questions of different kinds are rarely the same one.
KINDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"how (?:often|frequent\w*|regularly)|frequen|regularly",
        r"how many|what share",
        r"\bshould\b|\bmay\b",
        r"justif|ever ok\b",
        r"\bago\b|\bwas\b|\bwere\b|\bdid\b|used to|in the (?:last|past)|past year",
        r"\byour\b|\byou\b|youre",
        r"^how (?:much|strong|far|important|satisfied|close|confident|worried)|extent|degree",
        r"\bfuture\b|\bexpect\b|\bin (?:\w+) years\b|\bnext year\b|\bto come\b",
        r"\bright to\b|\bduty\b|\bentitled\b|\brights\b",
    )
)
_OWN = re.compile(r"\bown\b|\bmy\b|\bsame\b", re.IGNORECASE)
_OTHERS = re.compile(
    r"\bother than\b|\banother\b|\bdiffer\w*|\bforeign\w*|\bother countries\b", re.IGNORECASE
)
_STARTS = frozenset(["how", "what", "which", "who", "when", "where", "why"])
# A quiz, and what is only second best.
_FACTUAL = re.compile(
    r"^(?:who|when|where|which \w+) (?:is|are|was|were|did)\b|^how (?:do|can) i\b|^how to\b",
    re.IGNORECASE,
)
_SECOND = re.compile(r"\bsecond(?:ly)?\b", re.IGNORECASE)
_LESS = re.compile(r"\bless\b|\bfewer\b", re.IGNORECASE)
_OBJECTING = re.compile(
    r"\bobject\b|\b(?:would|do) you mind\b|\bnot (?:like|want)\b|\bbother", re.IGNORECASE
)
# What others do to the one who is asked.
_TO_YOU = re.compile(
    r"\b(?:trust|believe|respect|accept|help|like|know)s? (?:in )?(?:you|me)\W*$", re.IGNORECASE
)
# What was done, and what would be.
_DONE = re.compile(r"^(?:have|had|has|did)\b", re.IGNORECASE)
_WOULD = re.compile(r"^(?:would|will)\b", re.IGNORECASE)
# Of which only one question speaks where two are not the same.
_OPPOSING = (_FACTUAL, _SECOND, _LESS, _OBJECTING, _TO_YOU)
_COMPARING = re.compile(r"\bthan\b|\bbeat\b|\bhit\b|\bbefore\b")


def strip_scale(text: str) -> str:
    """Return a question without what it says of its scale, and without a frame before it.

    What the scale measures is kept where nothing else says it: "Divorce: justified?"
    """
    core = " ".join(_SCALE.sub(" ", text).split())
    core = re.sub(r"\s+([?.,:])", r"\1", core).strip(" ,:")
    core = _FRAME.sub("", core).strip(" ,:")
    if not core:
        return text
    scale = _SCALE.search(text)
    measured = _MEASURED.search(scale[0]) if scale else None
    if measured and measured[0].casefold()[:PREFIX] not in core.casefold():
        core = f"{core.rstrip(' ?.')}: {measured[0].casefold()}?"
    return core[0].upper() + core[1:]


@lru_cache(maxsize=1024)
def find_words(text: str) -> Mapping[str, str]:
    """Return the words that say what a question is about, by their stems."""
    words: dict[str, str] = {}
    text = text.casefold()
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    for word in WORD.findall(text):
        stem = _stem(word)
        if word not in ASKING and stem not in ASKING:
            words.setdefault(stem, word)
    return MappingProxyType(words)


@lru_cache(maxsize=1024)
def find_kinds(text: str) -> tuple[bool, ...]:
    """Return which of KINDS a question is of."""
    return tuple(kind.search(text) is not None for kind in KINDS)


def find_missing(words: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """Return the stems of `words` that tell something and for which `known` has none like it."""
    return [s for s, word in words.items() if word not in VAGUE and not is_among(s, known)]


def names_somebody_else(
    words: Mapping[str, str], core: Mapping[str, str], known: Mapping[str, str]
) -> bool:
    """Return whether one question names somebody, a boss or a mother, whom the other does not.

    `words` are the asked one's, `core` and `known` those of the other without and with its scale
    and options.
    """
    return any(s in _ROLES and not is_among(s, known) for s in words) or any(
        s in _ROLES and not is_among(s, words) for s in core
    )


def find_start(text: str) -> str:
    """Return the word that a question asks with, such as "how"; empty for one of yes or no."""
    first = text.casefold().partition(" ")[0]
    return first if first in _STARTS else ""


def is_among(stem: str, known: Mapping[str, str]) -> bool:
    """Return whether `known` has the stem, one that looks like it or one that means the same."""
    if stem in known or any(_is_alike(stem, other) for other in known):
        return True
    groups = _GROUPS.get(stem, frozenset())
    return any(not groups.isdisjoint(_GROUPS.get(other, frozenset())) for other in known)


def is_spelled_among(stem: str, known: Mapping[str, str]) -> bool:
    """Return whether `known` has the stem or one that looks like it."""
    return stem in known or any(_is_alike(stem, other) for other in known)


def is_opposed(asked: str, known: str) -> bool:
    """Return whether two questions cannot be one, however alike their words are.

    That is where one asks of one's own what the other asks of others', or what one did where the
    other asks what one would; and where only one asks for a fact, for what comes second, for less,
    what one objects to, or what others do to one.
    """
    own, others, done, would, *rest = (
        one != other for one, other in zip(_find_marks(asked), _find_marks(known), strict=True)
    )
    return (own and others) or (done and would) or any(rest)


def is_swapped(asked: str, known: str) -> bool:
    """Return whether both compare the sexes, the other way round."""
    if not _COMPARING.search(asked.casefold()):
        return False
    one, other = _first_sex(asked), _first_sex(known)
    return one is not None and other is not None and one != other


@lru_cache(maxsize=1024)
def _find_marks(text: str) -> tuple[bool, ...]:
    """Return which of the marks a question has that may oppose it to another."""
    marks = (_OWN, _OTHERS, _DONE, _WOULD, *_OPPOSING)
    return tuple(mark.search(text) is not None for mark in marks)


def _first_sex(text: str) -> bool | None:
    """Return whether the male sex is named first; None where not both are named."""
    words = WORD.findall(text.casefold())
    named = [word in MALE for word in words if word in MALE or word in FEMALE]
    return named[0] if len(set(named)) == 2 else None


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word.removesuffix(ending)
    return word


@lru_cache(maxsize=65_536)
def _is_alike(one: str, other: str) -> bool:
    """Return whether two words have one root, or differ by a slip of the pen."""
    shortest = min(len(one), len(other))
    if shortest < _MIN_STEM or one[0] != other[0]:
        return False
    if one[:PREFIX] == other[:PREFIX]:
        return True
    matcher = difflib.SequenceMatcher(None, one, other)
    return (
        shortest >= PREFIX
        and matcher.real_quick_ratio() >= SPELLED_ALIKE
        and matcher.ratio() >= SPELLED_ALIKE
    )


def _read_groups(lines: str) -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for number, line in enumerate(lines.strip().splitlines()):
        for word in line.split():
            groups.setdefault(_stem(word), set()).add(number)
    return {stem: frozenset(numbers) for stem, numbers in groups.items()}


_GROUPS = _read_groups(LIKE_WORDS)
_ROLES = frozenset(map(_stem, ROLES))
