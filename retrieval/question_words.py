"""Survey questions by the words that they have, in whatever language: for who is still typing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from retrieval.foreign_text import fold_accents
from survey_data.library import SurveyLibrary
from survey_data.model import Question

_NO_WORD = re.compile(r"[\W_]+")
_HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A question's words: its text in each language, and all that is said with it."""

    texts: tuple[str, ...]
    whole: str


class WordMatcher:
    """Finds the questions that have all words of a text, the last ones perhaps unfinished.

    It takes about a millisecond per thousand questions. Safe to share.
    """

    def __init__(self, library: SurveyLibrary) -> None:
        """Take the wordings of `library` in all languages, with options, topics and keys."""
        self._entries = [_make_entry(question, library) for question in library.questions.values()]

    def match(self, text: str) -> list[int]:
        """Return the rows of the questions that have every word of `text`, best first.

        A word is there where one begins with it; one that is written without blanks, where it
        stands anywhere. Questions that have them in their text come before those that have them in
        options or topic, whole words before beginnings, and equal ones in the library's order.
        None where `text` has no word.
        """
        words = fold_words(text).split()
        if not words:
            return []
        begun = [word if _HAN.search(word) else f" {word}" for word in words]
        whole = [word if _HAN.search(word) else f" {word} " for word in words]
        ranked = []
        for row, entry in enumerate(self._entries):
            if not _has(entry.whole, begun):
                continue
            in_text = any(_has(each, begun) for each in entry.texts)
            is_whole = any(
                _has(each, whole) for each in (entry.texts if in_text else [entry.whole])
            )
            ranked.append((not in_text, not is_whole, row))
        return [row for _, _, row in sorted(ranked)]


def fold_words(text: str) -> str:
    """Return the words of a text, in lower case and without accents, set apart by blanks."""
    return _NO_WORD.sub(" ", fold_accents(text)).strip()


def _make_entry(question: Question, library: SurveyLibrary) -> _Entry:
    wordings = [
        wording
        for language in library.languages
        if (wording := library.wording(question.key, language)) is not None
    ]
    texts = tuple(_set_apart([wording.text]) for wording in wordings)
    options = [option for wording in wordings for option in wording.options]
    about = _set_apart([question.topic, question.id, question.pack, question.source_item])
    return _Entry(texts, "".join([*texts, _set_apart(options), about]))


def _set_apart(texts: Iterable[str]) -> str:
    return "".join(f" {fold_words(text)} " for text in texts)


def _has(text: str, words: Iterable[str]) -> bool:
    return all(word in text for word in words)
