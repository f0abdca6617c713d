"""Step 4: keep the culture-aware answers that differ from the unaware ones, and make controls.

Source: METHODS, CultureSPA step 4 (arXiv 2410.12971, section 3.2 and the studies of data quantity
and quality).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple

from pydantic import ConfigDict

from adapters.culturespa.answer import QuestionAnswer
from adapters.culturespa.questions import GeneratedQuestion
from adapters.culturespa.settings import CollectSettings
from adapters.culturespa.steps import STRICT
from survey_data.distances import total_variation


@dataclass(frozen=True, slots=True)
class Example:
    """What is trained on: people of `culture` answer `question` (a key) with option `option`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    culture: str
    question: str
    option: int


class AnswerVerdict(StrEnum):
    """What became of an aware answer."""

    KEPT = "kept"
    UNREADABLE = "unreadable"
    SAME = "same"
    TOO_CLOSE = "too-close"


class CollectedExamples(NamedTuple):
    """The examples, in the order of the answers, and per culture what became of its answers."""

    examples: tuple[Example, ...]
    verdicts: Mapping[str, Counter[AnswerVerdict]]


def collect(answers: Iterable[QuestionAnswer], settings: CollectSettings) -> CollectedExamples:
    """Return the aware answers that differ from the unaware answer to the same question.

    An answer is unreadable if there are no shares, or if fewer than half of its sampled replies are
    readable; without an unaware answer every aware one is. Of equally likely or frequent options
    the first is the answer.
    """
    answers = tuple(answers)
    unaware = {answer.question: answer for answer in answers if answer.culture is None}
    examples, verdicts = [], dict[str, Counter[AnswerVerdict]]()
    for answer in answers:
        if answer.culture is None:
            continue
        verdict = judge(unaware.get(answer.question), answer, settings)
        verdicts.setdefault(answer.culture, Counter())[verdict] += 1
        option = choose_option(answer)
        if verdict is AnswerVerdict.KEPT and option is not None:
            examples.append(Example(answer.culture, answer.question, option))
    return CollectedExamples(tuple(examples), verdicts)


def judge(
    unaware: QuestionAnswer | None, aware: QuestionAnswer, settings: CollectSettings
) -> AnswerVerdict:
    """Return whether an aware answer differs enough from the unaware one."""
    before = None if unaware is None else choose_option(unaware)
    after = choose_option(aware)
    if unaware is None or before is None or after is None:
        return AnswerVerdict.UNREADABLE
    if before == after:
        return AnswerVerdict.SAME
    if unaware.shares is not None and aware.shares is not None:
        far = total_variation(unaware.shares, aware.shares) >= settings.min_total_variation
    else:
        far = compute_p_value(unaware.options, aware.options, after) <= settings.max_p_value
    return AnswerVerdict.KEPT if far else AnswerVerdict.TOO_CLOSE


def choose_option(answer: QuestionAnswer) -> int | None:
    """Return the option that an answer comes to, None if it is unreadable."""
    if answer.shares is not None:
        return max(range(len(answer.shares)), key=lambda i: (answer.shares or ())[i])
    readable = [option for option in answer.options if option is not None]
    if not readable or 2 * len(readable) < len(answer.options):
        return None
    counts = Counter(readable)
    return min(counts, key=lambda option: (-counts[option], option))


def compute_p_value(
    unaware: Sequence[int | None], aware: Sequence[int | None], option: int
) -> float:
    """Return how likely it is that aware replies choose `option` so often by chance, in (0, 1].

    Fisher's exact test, one-sided, over the readable replies: of all ways to deal the replies that
    chose `option` to the two groups, the share that gives the aware group as many or more.
    """
    n_aware = sum(reply is not None for reply in aware)
    n = n_aware + sum(reply is not None for reply in unaware)
    hits_aware = sum(reply == option for reply in aware)
    hits = hits_aware + sum(reply == option for reply in unaware)
    ways = sum(
        math.comb(hits, k) * math.comb(n - hits, n_aware - k)
        for k in range(hits_aware, min(hits, n_aware) + 1)
    )
    return ways / math.comb(n, n_aware)


def take_subset(examples: Iterable[Example], ratio: float, *, seed: int) -> tuple[Example, ...]:
    """Return the share `ratio`, in [0, 1], of each culture's examples, rounded up, in their order.

    Examples are ranked by a hash of `seed` and their own content, so a smaller ratio's are among
    those of a larger one.
    """
    examples = tuple(examples)
    sizes = Counter(example.culture for example in examples)
    # Less a hair: 0.1 of 30 is a little over 3 in floating point.
    wanted = {culture: math.ceil(ratio * n - 1e-9) for culture, n in sizes.items()}
    return _take_first(examples, wanted, seed=seed)


def draw_control(
    answers: Iterable[QuestionAnswer], like: Iterable[Example], *, seed: int
) -> tuple[Example, ...]:
    """Return as many examples per culture as `like` has, drawn from all readable aware answers.

    Whether an answer differs from the unaware one does not matter: it is the control for that.
    A culture with fewer readable answers than `like` has examples gives all of them.
    """
    wanted = Counter(example.culture for example in like)
    pool = tuple(
        Example(answer.culture, answer.question, option)
        for answer in answers
        if answer.culture is not None and (option := choose_option(answer)) is not None
    )
    return _take_first(pool, wanted, seed=seed)


def count_by_topic(
    examples: Iterable[Example], questions: Iterable[GeneratedQuestion]
) -> dict[str, dict[str, int]]:
    """Return the number of examples by culture and topic; topics without any are left out."""
    topics = {question.key: question.topic for question in questions}
    counts: dict[str, Counter[str]] = {}
    for example in examples:
        counts.setdefault(example.culture, Counter())[topics[example.question]] += 1
    return {culture: dict(sorted(of.items())) for culture, of in sorted(counts.items())}


def _take_first(
    examples: Sequence[Example], wanted: Mapping[str, int], *, seed: int
) -> tuple[Example, ...]:
    def rank(example: Example) -> bytes:
        return hashlib.sha256(f"{seed}|{example.culture}|{example.question}".encode()).digest()

    taken: Counter[str] = Counter()
    kept = set()
    for example in sorted(examples, key=rank):
        if taken[example.culture] < wanted.get(example.culture, 0):
            taken[example.culture] += 1
            kept.add(example)
    return tuple(example for example in examples if example in kept)
