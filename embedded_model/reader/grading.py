"""Grades a reply by what its prompt says: option, share, people, no other figure, good form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_SENTENCES, MAX_CHARS = 3, 600
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SHARE = re.compile(r"(?:less than )?\d+(?:\.\d+)?\s?%", re.IGNORECASE)
_QUOTED = re.compile(r'["“]([^"“”]+)["”]')
_LAYOUT = re.compile(r"^(?:Question|Options|Answer|Shares|\d+\.|[A-Z]\.)\s*:?", re.MULTILINE)
_END = re.compile(r'[.!?]["”)]?$')
_SENTENCE_END = re.compile(r'(?<=[.!?])["”)]?\s+(?=["“]?[A-Z])')
UNKNOWN = re.compile(r"\b(?:not known|isn't known|unknown|not told|not say)\b", re.IGNORECASE)
ESTIMATED = re.compile(r"\bestimate", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reply is to say.

    Attributes:
        prompt: all that the model was shown; figures in it may be given.
        option: the one that comes first, empty where none is wanted.
        options: all that could be named.
        share: of that option, as the prompt tells it, empty where it tells none.
        people: names of the people, any of which will do; empty where the prompt names none.
        others: names of other peoples; where given, none of the people's need be there, and these
            must not.
        is_known: whether the prompt tells what the people themselves answered.
        is_estimated: whether it tells an estimate.
    """

    prompt: str
    option: str
    options: tuple[str, ...]
    share: str
    people: tuple[str, ...]
    others: tuple[str, ...] = ()
    is_known: bool = True
    is_estimated: bool = False


class Grade(NamedTuple):
    """What is right about a reply.

    Attributes:
        option: the first option that it names is the right one.
        share: so is the first share, or none is told and none is given.
        people: it names the people, or no other where it need not.
        candid: it says what is not known, and calls an estimate one.
        figures: every figure in it is in the prompt.
        formed: one to three whole sentences, no part of a prompt's layout, nothing twice.
    """

    option: bool
    share: bool
    people: bool
    candid: bool
    figures: bool
    formed: bool

    @property
    def is_right(self) -> bool:
        """Whether all of it is right."""
        return all(self)


def grade(reply: str, expected: Expected, *, is_whole: bool = True) -> Grade:
    """Return what is right about `reply`; one that was cut is not well-formed."""
    text = reply.strip()
    shares = [_fold_share(found) for found in _SHARE.findall(text)]
    named = find_option(text, expected.options)
    return Grade(
        option=not expected.option or named == expected.option,
        share=shares[:1] == ([_fold_share(expected.share)] if expected.share else []),
        people=names_the_people(text, expected),
        candid=is_candid(text, expected),
        figures=has_only_figures_of(text, expected.prompt),
        formed=is_whole and is_well_formed(text),
    )


def find_option(text: str, options: Sequence[str]) -> str | None:
    """Return the option that `text` names first; what else it quotes is not looked at.

    An option that is a bare number counts only in quotation marks.
    """
    by_text = {option.casefold(): option for option in options}
    found = []
    for quoted in _QUOTED.finditer(text):
        words = quoted[1].casefold().rstrip(".,")
        if words in by_text:
            found.append((quoted.start(), by_text[words]))
    bare = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)
    for option in sorted(options, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(option)}(?!\w)"
        if not option.isdecimal() and (match := re.search(pattern, bare, re.IGNORECASE)):
            found.append((match.start(), option))
            bare = re.sub(pattern, lambda hit: " " * len(hit[0]), bare, flags=re.IGNORECASE)
    return min(found)[1] if found else None


def names_the_people(text: str, expected: Expected) -> bool:
    """Return whether `text` names the people, or no other where it need not."""
    if expected.others:
        return not any(_has_name(text, name) for name in expected.others)
    folded = text.casefold()
    return not expected.people or any(name.casefold() in folded for name in expected.people)


def is_candid(text: str, expected: Expected) -> bool:
    """Return whether `text` says what is not known or estimated, and no more of it."""
    if expected.is_estimated:
        return ESTIMATED.search(text) is not None
    return (UNKNOWN.search(text) is None) == expected.is_known


def has_only_figures_of(text: str, prompt: str) -> bool:
    """Return whether every number in `text` is one of the prompt's."""
    return set(_NUMBER.findall(text)) <= set(_NUMBER.findall(prompt))


def is_well_formed(text: str) -> bool:
    """Return whether `text` is a few whole sentences and nothing else."""
    sentences = _SENTENCE_END.split(text)
    return (
        _END.search(text) is not None
        and len(text) <= MAX_CHARS
        and len(sentences) <= MAX_SENTENCES
        and len({sentence.casefold() for sentence in sentences}) == len(sentences)
        and text.count('"') % 2 == 0
        and _LAYOUT.search(text) is None
    )


def _has_name(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _fold_share(share: str) -> str:
    return share.casefold().replace(" %", "%")
