"""Survey questions: what was asked of whom, and what the people answered."""

from __future__ import annotations

from collections.abc import Iterable

from milieu_client.figures import ChosenOption, CultureName, OptionShare
from milieu_client.model import Model
from milieu_client.tables import Listing, Row, Tabular, row_of_share


class SurveyTerms(Model):
    """A survey, and what may be done with its figures.

    `redistribution` is whether they may be handed on as a whole; where not, they are given one
    question at a time. `wording` is 'own', Milieu's, or 'official', the survey's.
    """

    id: str
    title: str
    source: str
    citation: str
    licence: str
    commercial_use: bool
    redistribution: bool
    weighted: bool
    wording: str
    population: str
    notes: str


class CultureFigures(Model):
    """What the people of a culture answered.

    `n_effective` is the number of respondents that intervals are made with, `non_response` the
    share, in [0, 1], who gave none of the answers.
    """

    culture: CultureName
    shares: list[OptionShare]
    n_respondents: int | None
    n_effective: float | None
    non_response: float | None
    years: str


class QuestionWording(Model):
    """A question in one language; its options are in the order of the question's own."""

    language: str
    question: str
    options: list[str]


class _Question(Model, Tabular):
    """A survey question; `cultures` are the alpha-3 codes of those who were asked."""

    question_key: str
    question: str
    language: str
    options: list[ChosenOption]
    scale: str
    topic: str
    pack: str
    source_item: str
    languages: list[str]
    cultures: list[str]


class QuestionSummary(_Question):
    """A survey question that was found.

    `similarity` is the cosine with the searched text, None where its words alone were searched;
    `has_words` whether it has every word of it. `people` is what the named cultures answered: None
    where none is named, or where the survey's terms do not allow it here.
    """

    similarity: float | None
    has_words: bool | None
    people: list[CultureFigures] | None

    def rows(self) -> list[Row]:
        """Return the one row of the question; its figures are in `people`."""
        return [
            {
                "question_key": self.question_key,
                "question": self.question,
                "topic": self.topic,
                "pack": self.pack,
                "scale": self.scale,
                "n_options": len(self.options),
                "n_cultures": len(self.cultures),
                "similarity": self.similarity,
            }
        ]


class QuestionDetail(_Question):
    """A survey question with its wordings, and what every people answered."""

    translations: list[QuestionWording]
    people: list[CultureFigures]
    survey: SurveyTerms

    def rows(self) -> list[Row]:
        """Return a row per people and option."""
        return [
            {
                "culture": figures.culture.code,
                "culture_name": figures.culture.name,
                "question": self.question,
                "question_key": self.question_key,
                **row_of_share(share),
                "n_respondents": figures.n_respondents,
                "years": figures.years,
                "survey": self.survey.title,
                "citation": self.survey.citation,
            }
            for figures in self.people
            for share in figures.shares
        ]


class QuestionsPage(Listing[QuestionSummary]):
    """A page of the questions that were found, best first.

    Attributes:
        total: questions on all pages.
        offset: questions before this page.
        packs: the surveys that these are from.
    """

    def __init__(
        self,
        questions: Iterable[QuestionSummary],
        *,
        total: int,
        offset: int,
        packs: Iterable[SurveyTerms],
    ) -> None:
        """Hold the `questions` of the page."""
        super().__init__(questions)
        self.total, self.offset, self.packs = total, offset, tuple(packs)


class QuestionsReply(Model):
    """A page, as the service sends it."""

    total: int
    limit: int
    offset: int
    questions: list[QuestionSummary]
    packs: list[SurveyTerms]

    def page(self) -> QuestionsPage:
        """Return it as the client gives it."""
        return QuestionsPage(self.questions, total=self.total, offset=self.offset, packs=self.packs)
