"""Closed questions with one right answer, to see whether tuning cost a model its abilities.

They are made, not collected: the same seed always gives the same questions, in plain words of
Milieu's own, and every culture answers them alike. Numbers are written as words, since options
have numbers already. Within a kind the right option stands in each place equally often, so that a
model that always says "1" is right as often as by chance.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, TypeVar

from evaluation.asking import digest_of
from evaluation.general_facts import CATEGORIES, FACTS, OPPOSITES, SENTENCES
from survey_data.model import Question, Scale

N_OPTIONS = 4
N_PER_KIND = 24
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
LETTERS = string.ascii_uppercase
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GeneralQuestion:
    """A question and the index of its right option; `question.topic` is its kind."""

    question: Question
    right: int


class _Made(NamedTuple):
    """A question before its options are ordered: the right answer, and wrong ones."""

    text: str
    right: str
    wrong: Sequence[str]


def general_questions(seed: int) -> tuple[GeneralQuestion, ...]:
    """Return `N_PER_KIND` questions of every kind, the same ones for the same seed."""
    found = []
    for kind, make in _KINDS.items():
        made = _shuffle(make(), f"{seed}|{kind}")[:N_PER_KIND]
        found += [_question(kind, number, of, seed=seed) for number, of in enumerate(made)]
    return tuple(found)


def questions_sha256(questions: Iterable[GeneralQuestion]) -> str:
    """Return the sha256 of texts, options and right answers, in hex."""
    return digest_of([(of.question.text, of.question.options, of.right) for of in questions])


def number_word(number: int) -> str:
    """Return a number from 0 to 99 in words.

    Raises:
        ValueError: it is out of that range.
    """
    if not 0 <= number <= 99:
        raise ValueError(f"{number} in words; expected 0 to 99")
    if number < len(_SMALL):
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_SMALL[ones]}" if ones else _TENS[tens]


def _question(kind: str, number: int, made: _Made, *, seed: int) -> GeneralQuestion:
    right = number % N_OPTIONS
    wrong = _shuffle(dict.fromkeys(made.wrong), f"{seed}|{made.text}")[: N_OPTIONS - 1]
    options = [*wrong[:right], made.right, *wrong[right:]]
    key = f"general:{kind.replace(' ', '-')}-{number}"
    question = Question(key, kind, made.text, tuple(options), Scale.NOMINAL)
    return GeneralQuestion(question, right)


def _shuffle(items: Iterable[T], key: str) -> list[T]:
    """Return `items` in an order that only they and `key` decide, on every machine."""

    def rank(item: T) -> bytes:
        return hashlib.sha256(f"{key}|{item}".encode()).digest()

    return sorted(items, key=rank)


def _near(number: int) -> list[str]:
    """Return the words of numbers near to `number`, which are wrong."""
    return [number_word(other) for other in range(max(0, number - 3), number + 4) if other - number]


def _sums() -> list[_Made]:
    return [_calculate(a, "plus", b, a + b) for a in range(2, 13) for b in range(2, 13)]


def _differences() -> list[_Made]:
    return [_calculate(a, "minus", b, a - b) for a in range(6, 20) for b in range(2, a - 1)]


def _calculate(one: int, sign: str, other: int, result: int) -> _Made:
    text = f"How much is {number_word(one)} {sign} {number_word(other)}?"
    return _Made(text, number_word(result), _near(result))


def _largest() -> list[_Made]:
    text = "Which of these numbers is the largest?"
    return [
        _Made(text, number_word(largest), [number_word(largest - step) for step in (2, 7, 13)])
        for largest in range(20, 96, 3)
    ]


def _sequences() -> list[_Made]:
    found = []
    for start, step in product(range(1, 12), (1, 2, 3, 5, 10)):
        *shown, right = (start + step * i for i in range(5))
        text = f"Which number comes next: {', '.join(map(number_word, shown))}?"
        found.append(_Made(text, number_word(right), _near(right)))
    return found


def _letters() -> list[_Made]:
    found = []
    for place in range(2, len(LETTERS) - 2):
        near = [*LETTERS[place - 2 : place], *LETTERS[place + 1 : place + 3]]
        for word, step in (("after", -1), ("before", 1)):
            asked = LETTERS[place + step]
            wrong = [letter for letter in near if letter != asked]
            text = f"Which letter comes right {word} {asked} in the alphabet?"
            found.append(_Made(text, LETTERS[place], wrong))
    return found


def _in_circle(names: Sequence[str], noun: str) -> list[_Made]:
    found = []
    for place, asked in enumerate(names):
        for words, step in (("right after", 1), ("right before", -1), (f"two {noun}s after", 2),
                            (f"two {noun}s before", -2)):  # fmt: skip
            right = names[(place + step) % len(names)]
            wrong = [name for name in names if name not in (asked, right)]
            found.append(_Made(f"Which {noun} comes {words} {asked}?", right, wrong))
    return found


def _words_of_sentences() -> list[_Made]:
    found = []
    for sentence in SENTENCES:
        own = _content(sentence)
        others = [word for other in SENTENCES for word in _content(other) if word not in own]
        text = f"Which word stands in this sentence? “{sentence}”"
        found.append(_Made(text, _shuffle(own, sentence)[0], others))
    return found


def _content(sentence: str) -> list[str]:
    """Return the words of a sentence that say something by themselves."""
    return [word for word in sentence.rstrip(".").split() if len(word) > 3 and word.islower()]


def _counts() -> list[_Made]:
    found = []
    for name, members in CATEGORIES.items():
        for length in range(3, 7):
            listed = _shuffle(members, f"{name}|{length}")[:length]
            text = f"How many words are in this list: {', '.join(listed)}?"
            found.append(_Made(text, number_word(length), _near(length)))
    return found


def _opposites() -> list[_Made]:
    words = [word for pair in OPPOSITES for word in pair]
    found = []
    for pair in OPPOSITES:
        wrong = [word for word in words if word not in pair]
        for one, other in (pair, pair[::-1]):
            found.append(_Made(f"What is the opposite of “{one}”?", other, wrong))
    return found


def _categories() -> list[_Made]:
    return [
        _Made(
            f"Which of these is {name}?",
            member,
            [word for other, words in CATEGORIES.items() if other != name for word in words],
        )
        for name, members in CATEGORIES.items()
        for member in members
    ]


_KINDS: dict[str, Callable[[], list[_Made]]] = {
    "sums": _sums,
    "differences": _differences,
    "largest number": _largest,
    "number sequences": _sequences,
    "letters": _letters,
    "days": lambda: _in_circle(DAYS, "day"),
    "months": lambda: _in_circle(MONTHS, "month"),
    "words in a sentence": _words_of_sentences,
    "counting": _counts,
    "opposites": _opposites,
    "categories": _categories,
    "facts": lambda: [_Made(*fact) for fact in FACTS],
}
