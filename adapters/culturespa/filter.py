"""Step 2: drop the questions that cannot be asked, and bring the rest into one form.

Source: METHODS, CultureSPA step 2 (arXiv 2410.12971, section 3.1): on the released 13,000 questions
the three rules that drop leave 12,891, 12,860 and 12,847.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from adapters.culturespa.questions import GeneratedQuestion

_NUMBER = re.compile(r"\s*(\d+)\s*")
# "1. text", "1) text", "(1) text", "1 - text" and "1 (text)", but not "1-2 weeks" or "1.5 hours".
_NUMBERED = re.compile(
    r"\s*(?:(?P<a>\d+)[.):]\s+|\((?P<b>\d+)\)\s+|(?P<c>\d+)\s+[-–]\s+)(?!\d)(?P<text>\S.*?)\s*"  # noqa: RUF001  models write both dashes
    r"|\s*(?P<d>\d+)\s*\((?P<inside>[^()]+)\)\s*",
    re.DOTALL,
)
SCALE_PHRASES = ("on a scale", "with 1 being", "where 1 means", "which 1 means")


@dataclass(frozen=True, slots=True)
class FilterCounts:
    """What each rule did.

    Attributes:
        n_read: questions before the first rule.
        n_repeated: dropped, since the text repeats an earlier one or a survey question.
        n_unexplained: dropped, since the options are bare numbers and the text explains no scale.
        n_half_labelled: dropped, since some options are bare numbers, others are not, and it is
            not the two ends that carry the labels.
        n_moved: kept, with the labels of the two ends moved into the text.
        n_renumbered: kept, with numbering inside the options stripped.
    """

    n_read: int
    n_repeated: int
    n_unexplained: int
    n_half_labelled: int
    n_moved: int
    n_renumbered: int

    @property
    def n_left(self) -> tuple[int, int, int]:
        """The questions left after each of the three rules that drop, in their order."""
        distinct = self.n_read - self.n_repeated
        explained = distinct - self.n_unexplained
        return distinct, explained, explained - self.n_half_labelled


class FilteredQuestions(NamedTuple):
    """The questions that are kept, in their order, and what became of the others."""

    questions: tuple[GeneratedQuestion, ...]
    counts: FilterCounts


def filter_questions(
    questions: Sequence[GeneratedQuestion], *, surveyed: Iterable[str]
) -> FilteredQuestions:
    """Return the questions that pass the rules, their options unnumbered.

    The first of equal texts is kept, unless it equals one of `surveyed`, to the letter: the texts
    of the survey that results are judged by.
    """
    known, distinct = set(surveyed), dict[str, GeneratedQuestion]()
    for question in questions:
        if question.text not in known:
            distinct.setdefault(question.text, question)
    explained = [q for q in distinct.values() if not _is_unexplained(q)]
    labelled = [_unify_options(q) for q in explained]
    kept = [q for q in labelled if q is not None]
    before = {q.key: q for q in explained}
    counts = FilterCounts(
        n_read=len(questions),
        n_repeated=len(questions) - len(distinct),
        n_unexplained=len(distinct) - len(explained),
        n_half_labelled=len(explained) - len(kept),
        n_moved=sum(q.text != before[q.key].text for q in kept),
        n_renumbered=sum(
            q.text == before[q.key].text and q.options != before[q.key].options for q in kept
        ),
    )
    return FilteredQuestions(tuple(kept), counts)


def _is_unexplained(question: GeneratedQuestion) -> bool:
    text = question.text.casefold()
    bare = all(_NUMBER.fullmatch(option) for option in question.options)
    return bare and not any(phrase in text for phrase in SCALE_PHRASES)


def _unify_options(question: GeneratedQuestion) -> GeneratedQuestion | None:
    """Return the question with options of one form, None if that is impossible."""
    options = question.options
    bare = [match for option in options if (match := _NUMBER.fullmatch(option))]
    if len(bare) == len(options):
        numbers = [int(match[1]) for match in bare]
        return replace(
            question,
            options=tuple(match[1] for match in bare),
            first_number=_find_first_number(numbers),
        )
    if bare:
        return _move_ends(question)
    return _strip_numbers(question)


def _move_ends(question: GeneratedQuestion) -> GeneratedQuestion | None:
    """Return a scale that is labelled at its ends with the labels in the text, None for others."""
    options = question.options
    low, high = _split_number(options[0]), _split_number(options[-1])
    between = [_NUMBER.fullmatch(option) for option in options[1:-1]]
    if low is None or high is None or not all(between):
        return None
    numbers = [low.number, *(int(match[1]) for match in between if match), high.number]
    ends = f"Here {low.number} means '{low.text}' and {high.number} means '{high.text}'."
    return replace(
        question,
        text=f"{question.text.strip()} {ends}",
        options=tuple(str(number) for number in numbers),
        first_number=_find_first_number(numbers),
    )


def _strip_numbers(question: GeneratedQuestion) -> GeneratedQuestion:
    found = [_split_number(option) for option in question.options]
    numbers = [part.number for part in found if part is not None]
    options = tuple(
        option if part is None else part.text
        for option, part in zip(question.options, found, strict=True)
    )
    is_whole = len(numbers) == len(options)
    return replace(
        question, options=options, first_number=_find_first_number(numbers) if is_whole else 1
    )


class _Numbered(NamedTuple):
    number: int
    text: str


def _split_number(option: str) -> _Numbered | None:
    match = _NUMBERED.fullmatch(option)
    if match is None:
        return None
    number = next(match[name] for name in "abcd" if match[name] is not None)
    return _Numbered(int(number), (match["text"] or match["inside"]).strip())


def _find_first_number(numbers: Sequence[int]) -> int:
    """Return 0 for a scale that counts up from 0, else 1."""
    return 0 if list(numbers) == list(range(len(numbers))) else 1
