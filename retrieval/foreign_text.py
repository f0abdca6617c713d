"""Questions in any language as their words: what is scale, which words tell, which are alike."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Sequence
from functools import lru_cache

from retrieval.foreign_words import ALIKE, ASKING, KINDS, ROLES
from survey_data.wording import fold_text

_STOP = r",，:：;；.。?？!！"
# From the clause that names the lower end of a scale to what is said of the upper one.
_SCALE = re.compile(
    rf"(?:^|[{_STOP}(（¿])[^{_STOP}(（¿]*?(?<!\d)[01](?!\d)(?P<named>\s*,)?"
    rf".*(?<!\d)10(?!\d)(?:\s*[(（][^)）]*[)）]|[^{_STOP}]*)(?P<last>\s*,[^{_STOP}]*)?"
)
_WORD = re.compile(r"[^\W\d_]+")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
PREFIX, SPELLED_ALIKE = 5, 0.82
_MIN_ROOT, _MAX_SMALL = 4, 3
_BREVE = "\u0306"
_GRAM, _MAX_SLIPS = 3, 2


def fold_accents(text: str) -> str:
    """Return `text` in lower case, without accents, which people leave out."""
    apart = unicodedata.normalize("NFKD", fold_text(text))
    # The breve of Cyrillic makes another letter.
    kept = (each for each in apart if each == _BREVE or not unicodedata.combining(each))
    return unicodedata.normalize("NFC", "".join(kept))


def strip_scale(text: str) -> str:
    """Return a question without what it says of a scale that ends with 10."""
    match = _SCALE.search(text)
    if match is None:
        return text
    end = match.end() if match["named"] else match.start("last") if match["last"] else match.end()
    start = match.start()
    opening = text[start] if text[start : start + 1] in ("¿",) else ""
    left = f"{text[:start]} {opening}{text[end:]}".strip(f" {_STOP}—-")
    return left if _count(left) >= 2 else text


def _count(text: str) -> int:
    return len(_WORD.findall(text)) + len("".join(_HAN.findall(text))) // 2


@lru_cache(maxsize=4096)
def find_words(text: str, language: str) -> tuple[str, ...]:
    """Return the words that tell what a question is about, each once, in order.

    What is written without blanks is cut into pairs of characters.
    """
    asking = ASKING.get(language)
    found: list[str] = []
    for word in _WORD.findall(fold_accents(text)):
        if _HAN.search(word):
            found += _cut(word, language)
        elif (len(word) > _MAX_SMALL) if asking is None else len(word) > 1 and word not in asking:
            found.append(word)
    return tuple(dict.fromkeys(found))


def _cut(run: str, language: str) -> list[str]:
    phrases = sorted(ASKING.get(language, ()), key=len, reverse=True)
    for phrase in phrases:
        run = run.replace(phrase, " ")
    pairs: list[str] = []
    for part in run.split():
        pairs += [part[i : i + 2] for i in range(max(1, len(part) - 1))]
    return pairs


@lru_cache(maxsize=16_384)
def find_groups(word: str, language: str) -> frozenset[int]:
    """Return the groups of words alike in meaning that a word is of."""
    lines = ALIKE.get(language, ())
    return frozenset(n for n, line in enumerate(lines) if word.startswith(line))


def is_among(word: str, known: Collection[str], language: str) -> bool:
    """Return whether `known` has a word, one of its root, spelled like it, or that means the same.

    Of what is written without blanks, it is enough that both characters are there.
    """
    if word in known or any(word[0] == other[0] and _is_alike(word, other) for other in known):
        return True
    if _HAN.match(word) and all(any(each in other for other in known) for each in word):
        return True
    groups = find_groups(word, language)
    return bool(groups) and any(not groups.isdisjoint(find_groups(o, language)) for o in known)


@lru_cache(maxsize=16_384)
def _is_alike(one: str, other: str) -> bool:
    """Return whether two words with one first letter have one root, or differ by a slip."""
    shortest, longest = sorted((len(one), len(other)))
    if shortest < _MIN_ROOT:
        return False
    if one[:PREFIX] == other[:PREFIX] and shortest >= PREFIX:
        return True
    if longest <= PREFIX + 1 and one[:_MIN_ROOT] == other[:_MIN_ROOT]:
        return True
    matcher = difflib.SequenceMatcher(None, one, other)
    return (
        shortest >= PREFIX
        and matcher.real_quick_ratio() >= SPELLED_ALIKE
        and matcher.quick_ratio() >= SPELLED_ALIKE
        and matcher.ratio() >= SPELLED_ALIKE
    )


class WordIndex:
    """Which of many texts have a word or one like it."""

    def __init__(self, texts: Sequence[Sequence[str]], language: str) -> None:
        """Take the words of each text."""
        self._language = language
        self._rows: dict[str, set[int]] = {}
        self._with_character: dict[str, set[int]] = {}
        for row, words in enumerate(texts):
            for word in words:
                self._rows.setdefault(word, set()).add(row)
                for each in word if _HAN.match(word) else ():
                    self._with_character.setdefault(each, set()).add(row)
        self._starting: dict[str, list[str]] = {}
        self._of_group: dict[int, set[int]] = {}
        for word, rows in self._rows.items():
            self._starting.setdefault(word[0], []).append(word)
            for group in find_groups(word, language):
                self._of_group.setdefault(group, set()).update(rows)

    def count_with(self, word: str) -> int:
        """Return in how many texts `is_among` finds a word."""
        found = set(self._rows.get(word, ()))
        for other in self._starting.get(word[0], ()):
            if _is_alike(word, other):
                found |= self._rows[other]
        for group in find_groups(word, self._language):
            found |= self._of_group.get(group, set())
        if _HAN.match(word):
            each = [self._with_character.get(character, set()) for character in word]
            found |= set.intersection(*each)
        return len(found)


@lru_cache(maxsize=4096)
def find_roles(text: str, language: str) -> tuple[int, ...]:
    """Return who is named in a question, each once, as lines of ROLES in the order of the text."""
    folded = fold_accents(text)
    starts: dict[int, int] = {}
    for number, line in enumerate(ROLES.get(language, ())):
        before = "" if _HAN.match(line[0]) else r"\b"
        if match := re.search(rf"{before}(?:{'|'.join(line)})", folded):
            starts[number] = match.start()
    return tuple(sorted(starts, key=lambda number: starts[number]))


@lru_cache(maxsize=4096)
def find_kinds(text: str, language: str) -> tuple[bool, ...]:
    """Return which of KINDS a question is of; of none in a language without any."""
    folded = fold_accents(text).strip("¿ ")
    return tuple(kind.search(folded) is not None for kind in KINDS.get(language, ()))


def find_grams(text: str) -> frozenset[str]:
    """Return the groups of three letters of a text, of two where it is written without blanks."""
    folded = re.sub(r"\W+", " ", fold_accents(text)).strip()
    n = _GRAM
    if _HAN.search(folded):
        folded, n = folded.replace(" ", ""), _GRAM - 1
    return frozenset(folded[i : i + n] for i in range(len(folded) - n + 1))


def is_mistyped(asked: str, known: str, vocabulary: Collection[str]) -> bool:
    """Return whether `asked` is `known` with a few words spelled in a way that nobody spells them.

    Such words are not in `vocabulary`. What is written without blanks is never taken for mistyped.
    """
    words, others = (_WORD.findall(fold_accents(text)) for text in (asked, known))
    if len(words) != len(others) or _HAN.search(asked):
        return False
    pairs = [(word, other) for word, other in zip(words, others, strict=True) if word != other]
    return len(pairs) <= _MAX_SLIPS and all(
        word not in vocabulary and _is_slip(word, other) for word, other in pairs
    )


def _is_slip(word: str, other: str) -> bool:
    if min(len(word), len(other)) < PREFIX or word[0] != other[0]:
        return False
    if sorted(word) == sorted(other):
        return True
    ratio = difflib.SequenceMatcher(None, word, other).ratio()
    return abs(len(word) - len(other)) <= 1 and ratio >= SPELLED_ALIKE


def is_known(language: str) -> bool:
    """Return whether the words are known that decide in a language."""
    return language in ASKING
