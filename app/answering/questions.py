"""Finds survey questions for who looks for them: searched, filtered, and a page at a time."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from app.answering.lookup import EvidenceLookup
from app.errors import FilterUnknown, QuestionUnknown
from retrieval.question_search import FoundQuestion, QuestionSearch
from survey_data.library import SurveyLibrary
from survey_data.model import Question

N_NEAREST = 3


@dataclass(frozen=True, slots=True)
class QuestionQuery:
    """Which questions are wanted.

    Attributes:
        search: a text in any language; empty for all questions, in the library's order.
        words_only: whether to search for the words of the text alone, which encodes nothing.
        cultures: codes, names or tags; questions that all of these were asked.
        packs: ids; questions of any of these. None for all.
        topics: questions on any of these. None for all.
        limit: questions on a page, 0 for none.
        offset: questions before the page.
    """

    search: str = ""
    words_only: bool = False
    cultures: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class QuestionPage:
    """A page of the questions that a query finds.

    Attributes:
        questions: those of the page, best first.
        total: how many there are on all pages.
        cultures: the query's, as alpha-3 codes, each once.
    """

    questions: tuple[FoundQuestion, ...]
    total: int
    cultures: tuple[str, ...]


class QuestionBrowser:
    """Finds questions of the loaded packs."""

    def __init__(
        self, library: SurveyLibrary, search: QuestionSearch, lookup: EvidenceLookup
    ) -> None:
        """Search by `search`, in the threads and within the bound of `lookup`."""
        self._library, self._search, self._lookup = library, search, lookup

    async def find(self, query: QuestionQuery) -> QuestionPage:
        """Return the page of the questions that `query` asks for.

        Raises:
            CultureUnknown, CultureNotCovered: a culture is none, or nobody surveyed it.
            FilterUnknown: no loaded pack has such an id, or no question such a topic.
            RetrievalBusy: too many texts wait to be looked up already.
        """
        library = self._library
        found_cultures = (library.find_culture(each).code for each in query.cultures)
        cultures = tuple(dict.fromkeys(found_cultures))
        packs = _check_filter("pack", query.packs, [pack.manifest.id for pack in library.packs])
        topics = _check_filter("topic", query.topics, library.topics)
        kept = [
            each
            for each in await self._list(query)
            if (not packs or each.question.pack in packs)
            and (not topics or each.question.topic in topics)
            and all(library.distribution(each.question.key, code) for code in cultures)
        ]
        page = kept[query.offset : query.offset + query.limit]
        return QuestionPage(tuple(page), len(kept), cultures)

    def show(self, key: str) -> Question:
        """Return the question with a key.

        Raises:
            QuestionUnknown: no loaded pack has it; the keys spelled most like it are named.
        """
        question = self._library.questions.get(key)
        if question is None:
            keys = self._library.questions
            # Quadratic in the length, so of bounded length.
            nearest = difflib.get_close_matches(key[:100], keys, n=N_NEAREST)
            raise QuestionUnknown(key, nearest)
        return question

    async def _list(self, query: QuestionQuery) -> list[FoundQuestion]:
        text = query.search.strip()
        if not text:
            questions = self._library.questions.values()
            return [FoundQuestion(question, None, False) for question in questions]
        if query.words_only:
            return self._search.match_words(text)
        return await self._lookup.run(lambda: self._search.search(text))


def _check_filter(name: str, wanted: Collection[str], known: Collection[str]) -> frozenset[str]:
    for each in wanted:
        if each not in known:
            raise FilterUnknown(name, each, known)
    return frozenset(wanted)
