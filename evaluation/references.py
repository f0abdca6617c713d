"""Respondents without an LLM: baselines that cost nothing, for every method to be compared with.

None of them answers with the asked culture's own answer to the asked question, nor with answers to
a barred question. There is one exception: which country is most similar is decided over all
questions, including the asked one, as in the published table. That flatters this reference.

Source: METHODS, metric 7; the published table is that of Xu et al., arXiv 2410.12971.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

import numpy as np

from evaluation.asking import Ask, Condition, Request, Response, digest_of
from survey_data.arrays import Floats
from survey_data.library import SurveyLibrary
from survey_data.model import Question, ResponseDistribution
from survey_data.similarity import compare_modes

K_NEAREST = 5

Rule: TypeAlias = Callable[[Question, str], Response]


@dataclass(frozen=True)
class References:
    """The rules that the references follow, each from a question and a culture to a response.

    A response has shares that sum to 1 and the option that the rule chooses, which is not always
    the one with the largest share.

    Attributes:
        library: what people answered.
        pack: id of the pack whose questions are compared.
        cultures: alpha-3 codes of the cultures that may be looked at.
        barred: maps a question's key to the keys of questions that may not be used for it, such as
            its paraphrases; the question itself never is.
        nearest: maps a question's key to the keys of other questions, nearest first.
        k: how many of the nearest are averaged.
    """

    library: SurveyLibrary
    pack: str
    cultures: Sequence[str]
    barred: Callable[[str], frozenset[str]]
    nearest: Callable[[str], Sequence[str]]
    k: int = K_NEAREST

    def __post_init__(self) -> None:
        """Check `pack` and `k`.

        Raises:
            PackMissing: no loaded pack has that id.
            ValueError: `k` is below 1.
        """
        self.library.pack(self.pack)
        if self.k < 1:
            raise ValueError(f"k is {self.k}, expected 1 or more")

    def make_conditions(self) -> tuple[Condition, ...]:
        """Return the five references as rows of the results.

        With one culture the two that look at others, world mean and most similar country, are left
        out.
        """
        rules = {"uniform": self.uniform, "prior by option count": self.prior}
        if len(self.cultures) > 1:
            rules |= {"world mean": self.world_mean, "most similar country": self.most_similar}
        rules["nearest exemplars"] = self.nearest_exemplars
        return tuple(Condition(name, "reference", Reference(name, r)) for name, r in rules.items())

    def uniform(self, question: Question, culture: str) -> Response:
        """Return the same share for each option, and the lower middle option."""
        n_options = len(question.options)
        return Response(option=(n_options - 1) // 2, shares=(1.0 / n_options,) * n_options)

    def prior(self, question: Question, culture: str) -> Response:
        """Return the mean shares of all other questions with as many options, and their mode.

        The mean is over all cells of the other cultures. Uniform if there is none.
        """
        n_options = len(question.options)
        others = [i for i, other in enumerate(self.cultures) if other != culture]
        columns = [
            j
            for j, of in enumerate(self._questions)
            if len(of.options) == n_options and self._may_use(of.key, question)
        ]
        cells = self._shares[np.ix_(others, columns)][..., :n_options].reshape(-1, n_options)
        return _average(cells[~np.isnan(cells).any(axis=1)]) or self.uniform(question, culture)

    def world_mean(self, question: Question, culture: str) -> Response:
        """Return the mean shares of the other cultures on this question.

        The option is the mean of their modal numbers, a half rounded to the even number; it
        depends on the number that the options are counted from, and on a nominal question it has
        no meaning but the alignment score's. Uniform if no other culture was asked.
        """
        others = (self.library.distribution(question.key, c) for c in self.cultures if c != culture)
        cells = [cell for cell in others if cell is not None]
        averaged = _average(_rows(cells))
        if averaged is None:
            return self.uniform(question, culture)
        numbers = [question.first_number + cell.mode for cell in cells]
        option = round(sum(numbers) / len(numbers)) - question.first_number
        return Response(option=option, shares=averaged.shares)

    def most_similar(self, question: Question, culture: str) -> Response:
        """Return the shares of the most similar culture that was asked, and their mode.

        Cultures are compared by the alignment score between their modal answers to the questions
        of the pack that both answered; equal ones come in the order of codes. Uniform if no
        comparable culture was asked.
        """
        for other in self._similar.get(culture, ()):
            cell = self.library.distribution(question.key, other)
            if cell is not None:
                return Response(option=cell.mode, shares=cell.shares)
        return self.uniform(question, culture)

    def nearest_exemplars(self, question: Question, culture: str) -> Response:
        """Return the mean of the culture's own shares on the k nearest questions, and their mode.

        Skips questions with another number of options, barred ones and those it was not asked.
        The mean of fewer if there are fewer than k, the prior if there is none.
        """
        usable = (
            cell
            for key in self.nearest(question.key)
            if self._may_use(key, question)
            and (cell := self.library.distribution(key, culture)) is not None
            and len(cell.shares) == len(question.options)
        )
        return _average(_rows(islice(usable, self.k))) or self.prior(question, culture)

    def _may_use(self, key: str, question: Question) -> bool:
        return key != question.key and key not in self.barred(question.key)

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        return self.library.pack(self.pack).questions

    @cached_property
    def _shares(self) -> Floats:
        return self.library.tabulate(self._questions, self.cultures)

    @cached_property
    def _similar(self) -> Mapping[str, tuple[str, ...]]:
        """The cultures that can be compared with each culture of the pack, most similar first."""
        modes = {
            culture: {
                question.key: cell.mode
                for question in self._questions
                if (cell := self.library.distribution(question.key, culture)) is not None
            }
            for culture in self.library.cultures
        }
        found = {}
        for culture, own in modes.items():
            others = {code: modes.get(code, {}) for code in self.cultures if code != culture}
            scores = compare_modes(own, others, self.library.questions)
            found[culture] = tuple(sorted(scores, key=lambda code: (-scores[code], code)))
        return found


@dataclass(frozen=True)
class Reference:
    """A respondent that follows a rule; it shows nothing, so option orders do not matter to it."""

    name: str
    rule: Rule

    async def request(self, ask: Ask) -> Request:
        """Return what the rule gives; its digest is that of the answer itself."""
        response = self.rule(ask.question, ask.culture)
        answer = (response.option, response.shares)
        return Request(digest_of("reference", self.name, *answer), content=response)

    async def respond(self, request: Request) -> Response:
        """Return what the rule gave."""
        response: Response = request.content
        return response


def _rows(cells: Iterable[ResponseDistribution]) -> Floats:
    return np.array([cell.shares for cell in cells], dtype=np.float64)


def _average(rows: Floats) -> Response | None:
    """Return the mean row as shares, and the first option of the largest; None without a row."""
    return Response.from_shares(rows.mean(axis=0)) if len(rows) else None
