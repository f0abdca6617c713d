"""From survey questions to what a client is sent of them, as JSON and as rows of a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from app.answering.questions import QuestionPage, QuestionQuery
from app.api.presenting_sources import present_culture_name, present_figures
from app.api.schemas.answer import DIGITS
from app.api.schemas.questions import (
    CultureFigures,
    QuestionDetail,
    QuestionFields,
    QuestionsResponse,
    QuestionSummary,
    QuestionWording,
    SurveyTerms,
)
from app.api.schemas.sources import ChosenOption
from reports.csv_rows import write_csv_row
from retrieval.question_search import FoundQuestion
from survey_data.library import SurveyLibrary
from survey_data.model import PackManifest, Question

COLUMNS = (
    *("question_key", "question", "language", "topic", "pack", "scale", "similarity"),
    *("culture", "culture_name", "number", "label", "share", "low", "high"),
    *("n_respondents", "n_effective", "non_response", "years"),
    *("survey", "population", "source", "citation", "licence"),
)


def present_questions(
    query: QuestionQuery, page: QuestionPage, library: SurveyLibrary, *, language: str | None = None
) -> QuestionsResponse:
    """Return a page of questions, worded in `language` where they are.

    Figures are those of the named cultures, and only where the survey's terms let them be handed
    on as a whole: page by page a list gives all that there is.
    """
    packs = dict.fromkeys(found.question.pack for found in page.questions)
    return QuestionsResponse(
        total=page.total,
        limit=query.limit,
        offset=query.offset,
        questions=[
            _present_found(
                found, page.cultures, library, language=language, searched=query.search.strip()
            )
            for found in page.questions
        ],
        packs=[present_terms(library.manifest(pack)) for pack in packs],
    )


def present_question(
    question: Question,
    cultures: Collection[str],
    library: SurveyLibrary,
    *,
    language: str | None = None,
) -> QuestionDetail:
    """Return a question with the figures of `cultures`, alpha-3; without any, of all asked."""
    own = question.language
    others = (tag for tag in library.pack(question.pack).languages if tag != own)
    wordings = (library.wording(question.key, tag) for tag in others)
    return QuestionDetail(
        **dict(_present_fields(question, library, language)),
        translations=[
            QuestionWording(language=each.language, question=each.text, options=list(each.options))
            for each in wordings
            if each is not None
        ],
        people=_list_figures(question, cultures, library, language=language),
        survey=present_terms(library.manifest(question.pack)),
    )


def present_terms(manifest: PackManifest) -> SurveyTerms:
    """Return what a pack says of its survey and of what may be done with the figures."""
    return SurveyTerms(**{name: getattr(manifest, name) for name in SurveyTerms.model_fields})


def tabulate_questions(found: QuestionsResponse) -> Iterator[str]:
    """Yield the rows of a CSV file, its header first: one per question, culture and option.

    Where no figures are given, one per question and option.
    """
    terms = {each.id: each for each in found.packs}
    yield write_csv_row(COLUMNS)
    for each in found.questions:
        yield from _tabulate(each, each.people or [], terms[each.pack], each.similarity)


def tabulate_question(question: QuestionDetail) -> Iterator[str]:
    """Yield the rows of a CSV file, its header first: one per culture and option."""
    yield write_csv_row(COLUMNS)
    yield from _tabulate(question, question.people, question.survey, None)


def _present_found(
    found: FoundQuestion,
    cultures: Collection[str],
    library: SurveyLibrary,
    *,
    language: str | None,
    searched: str,
) -> QuestionSummary:
    question, people = found.question, None
    if cultures and library.manifest(question.pack).redistribution:
        people = _list_figures(question, cultures, library, language=language)
    return QuestionSummary(
        **dict(_present_fields(question, library, language)),
        similarity=None if found.similarity is None else round(found.similarity, DIGITS),
        has_words=found.has_words if searched else None,
        people=people,
    )


def _present_fields(
    question: Question, library: SurveyLibrary, language: str | None
) -> QuestionFields:
    worded = _word(question, library, language)
    tags = library.pack(question.pack).languages
    languages = [tag for tag in tags if library.wording(question.key, tag) is not None]
    return QuestionFields(
        question_key=question.key,
        question=worded.text,
        language=worded.language,
        options=[
            ChosenOption(number=number, label=label)
            for number, label in zip(worded.numbers, worded.options, strict=True)
        ],
        scale=question.scale,
        topic=question.topic,
        pack=question.pack,
        source_item=question.source_item,
        languages=languages,
        cultures=list(library.cultures_of(question.key)),
    )


def _list_figures(
    question: Question, cultures: Collection[str], library: SurveyLibrary, *, language: str | None
) -> list[CultureFigures]:
    worded = _word(question, library, language)
    asked = library.cultures_of(question.key)
    wanted = [code for code in cultures if code in asked] if cultures else asked
    found = []
    for code in wanted:
        figures = present_figures(worded, code, library)
        assert figures is not None  # they were asked
        kept = {n: v for n, v in figures if n in CultureFigures.model_fields}
        culture = present_culture_name(library.catalogue[code])
        found.append(CultureFigures(culture=culture, **kept))
    return found


def _word(question: Question, library: SurveyLibrary, language: str | None) -> Question:
    wording = None if language is None else library.wording(question.key, language)
    return question if wording is None else question.reworded(wording)


def _tabulate(
    question: QuestionFields,
    people: Iterable[CultureFigures],
    terms: SurveyTerms,
    similarity: float | None,
) -> Iterator[str]:
    head = (
        *(question.question_key, question.question, question.language, question.topic),
        *(question.pack, question.scale, similarity),
    )
    about = (terms.title, terms.population, terms.source, terms.citation, terms.licence)
    is_empty = True
    for figures in people:
        counts = (figures.n_respondents, figures.n_effective, figures.non_response, figures.years)
        for share in figures.shares:
            is_empty, interval = False, share.interval
            ends = (None, None) if interval is None else (interval.low, interval.high)
            option = (share.number, share.label, share.share, *ends)
            culture = (figures.culture.code, figures.culture.name)
            yield write_csv_row((*head, *culture, *option, *counts, *about))
    if is_empty:
        for chosen in question.options:
            blank = (None,) * 3
            option = (chosen.number, chosen.label, *blank)
            yield write_csv_row((*head, None, None, *option, *blank, None, *about))
