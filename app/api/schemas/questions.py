"""The shapes of survey questions: what was asked of whom, and what the people answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.api.schemas.answer import MAX_QUESTION_CHARS, Body, CultureText
from app.api.schemas.sources import ChosenOption, CultureName, OptionShare, ResponseModel
from survey_data.model import Scale

MAX_LIMIT = 500
MAX_FILTERS = 300
NameText = Annotated[str, Field(min_length=1, max_length=200)]


class QuestionsQuery(Body):
    """Which questions are wanted, as query parameters."""

    search: str = Field(
        "",
        max_length=MAX_QUESTION_CHARS,
        description="A text in any language. What it asks comes first, then what has its words, "
        "then what is near to it. Without one, all questions.",
        examples=["trust in the police"],
    )
    match: Literal["meaning", "words"] = Field(
        "meaning",
        description="'words' finds what has every word of the text, or words that begin so, and "
        "answers in milliseconds: for suggestions while somebody is typing.",
    )
    culture: list[CultureText] = Field(
        default_factory=list,
        max_length=MAX_FILTERS,
        description="Code, name or language tag, repeatable: questions that all of these were "
        "asked, with their figures where the survey's terms allow that.",
    )
    pack: list[NameText] = Field(
        default_factory=list, max_length=MAX_FILTERS, description="Id of a pack, repeatable."
    )
    topic: list[NameText] = Field(
        default_factory=list, max_length=MAX_FILTERS, description="A topic, repeatable."
    )
    language: NameText | None = Field(
        None, description="Language tag of the wording to show, where there is one in it."
    )
    limit: int = Field(20, ge=1, le=MAX_LIMIT, description="Questions on a page.")
    offset: int = Field(0, ge=0, le=1_000_000, description="Questions before the page.")


class QuestionQueryFields(Body):
    """Whose figures of a question are wanted, as query parameters."""

    culture: list[CultureText] = Field(
        default_factory=list,
        max_length=MAX_FILTERS,
        description="Code, name or language tag, repeatable; all that were asked where none is.",
    )
    language: NameText | None = Field(
        None, description="Language tag of the wording to show, where there is one in it."
    )


class SurveyTerms(ResponseModel):
    """The survey that a question is from, and what may be done with its figures."""

    id: str
    title: str
    source: str
    citation: str
    licence: str
    commercial_use: bool
    redistribution: bool = Field(
        description="Whether the figures may be handed on as a whole. Where not, they are given "
        "one question at a time."
    )
    weighted: bool
    wording: str = Field(description="'own', Milieu's, or 'official', the survey's.")
    population: str = Field(description="Which people, where it is not everyone.")
    notes: str


class CultureFigures(ResponseModel):
    """What the people of a culture answered."""

    culture: CultureName
    shares: list[OptionShare]
    n_respondents: int | None
    n_effective: float | None = Field(description="What intervals are made with.")
    non_response: float | None = Field(description="Share, in [0, 1], of who gave no option.")
    years: str


class QuestionWording(ResponseModel):
    """A question in one language, its options in the order of the question's own."""

    language: str
    question: str
    options: list[str]


class QuestionFields(ResponseModel):
    """A survey question."""

    question_key: str
    question: str
    language: str = Field(description="Language tag of question and options.")
    options: list[ChosenOption]
    scale: Scale
    topic: str
    pack: str
    source_item: str
    languages: list[str] = Field(description="Language tags that it is worded in, its own first.")
    cultures: list[str] = Field(description="Alpha-3 codes of those who were asked.")


class QuestionSummary(QuestionFields):
    """A survey question that was found."""

    similarity: float | None = Field(
        description="Cosine with the searched text, on a scale of its own for English. Null where "
        "nothing was searched, or its words alone."
    )
    has_words: bool | None = Field(
        description="Whether it has every word of the searched text; null where nothing was."
    )
    people: list[CultureFigures] | None = Field(
        description="What the named cultures answered. Null where none is named, and where the "
        "survey's terms let its figures be given one question at a time only."
    )


class QuestionsResponse(ResponseModel):
    """A page of questions, best first."""

    total: int = Field(description="Questions on all pages.")
    limit: int
    offset: int
    questions: list[QuestionSummary]
    packs: list[SurveyTerms] = Field(description="The surveys that these are from.")


class QuestionDetail(QuestionFields):
    """A survey question with its wordings, and what every people answered."""

    translations: list[QuestionWording]
    people: list[CultureFigures]
    survey: SurveyTerms
