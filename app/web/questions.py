"""`/questions`: all that was asked, to browse and search, and a page for each."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from app.answering.questions import QuestionQuery
from app.api.dependencies import ResourcesDep
from app.api.presenting_questions import (
    present_question,
    present_questions,
    tabulate_question,
    tabulate_questions,
)
from app.api.schemas.answer import MAX_QUESTION_CHARS
from app.errors import FilterUnknown, QuestionUnknown
from app.resources import Resources
from app.web.ask_form import split_names
from app.web.figures import find_figures, read_order, sort_figures
from app.web.pages import VIEWS, PagesDep
from app.web.scales import name_colours, stack_shares
from survey_data.errors import CultureNotCovered, CultureUnknown

router = APIRouter(include_in_schema=False)
PAGE_SIZE = 30
MAX_PAGE = 1000
N_SUGGESTED = 6
# Of fewer letters everything is like.
MIN_TYPED = 3


@router.get("/questions")
async def show_questions(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """List questions: searched, filtered, a page at a time."""
    library, faults = resources.library, dict[str, str]()
    query, number = _read_query(request.query_params)
    try:
        page = await resources.questions.find(query)
    except (CultureUnknown, CultureNotCovered, FilterUnknown) as error:
        faults["filter"] = str(error)
        page = await resources.questions.find(QuestionQuery(search=query.search, limit=PAGE_SIZE))
    values: dict[str, Any] = {
        "faults": faults,
        "found": present_questions(query, page, library),
        "search": query.search,
        "chosen": {name: request.query_params.get(name, "") for name in ("pack", "topic")},
        "cultures": query.cultures,
        "number": number,
        "n_pages": -(-page.total // PAGE_SIZE),
        "packs": [pack.manifest for pack in library.packs],
        "topics": _list_topics(request.query_params.get("pack", ""), resources),
        "countries": [library.catalogue[code] for code in library.cultures],
    }
    return pages.render(request, "questions.html", status=422 if faults else 200, **values)


@router.get("/questions.csv")
async def download_questions(
    request: Request, pages: PagesDep, resources: ResourcesDep
) -> Response:
    """Send all questions that a search finds as a table, without figures that must not be whole."""
    query, _ = _read_query(request.query_params, size=len(resources.library.questions))
    try:
        page = await resources.questions.find(query)
    except (CultureUnknown, CultureNotCovered, FilterUnknown) as error:
        return pages.render_problem(request, 422, "The request does not fit", str(error))
    found = present_questions(query, page, resources.library)
    return _send("".join(tabulate_questions(found)), "milieu-questions")


@router.get("/questions/{key}.csv")
async def download_question(
    key: str, request: Request, pages: PagesDep, resources: ResourcesDep
) -> Response:
    """Send what every people answered to a question as a table."""
    try:
        question = resources.questions.show(key)
    except QuestionUnknown as error:
        return pages.render_problem(request, 404, "Unknown question", str(error))
    found = present_question(question, (), resources.library)
    return _send("".join(tabulate_question(found)), f"milieu-{key.replace(':', '-')}")


@router.get("/questions/{key}")
async def show_question(
    key: str, request: Request, pages: PagesDep, resources: ResourcesDep
) -> Response:
    """Show a question, its wordings, and what every people answered."""
    try:
        question = resources.questions.show(key)
    except QuestionUnknown as error:
        return pages.render_problem(request, 404, "Unknown question", str(error))
    found = present_question(question, (), resources.library)
    figures = await find_figures(question, resources, estimates=False)
    order = read_order(request.query_params, question)
    groups = sort_figures(figures, order)
    rows = [figure for _, group in groups for figure in group]
    stack = stack_shares(question, [[share.share for share in row.shares] for row in rows])
    values: dict[str, Any] = {"found": found, "figures": rows, "order": order, "stack": stack}
    values["bars"] = dict(zip((row.culture.code for row in rows), stack.bars, strict=True))
    values["colours"] = name_colours(question)
    values["numbers"] = list(question.numbers)
    return pages.render(request, "question.html", question=question, **values)


@router.get("/suggest")
async def suggest(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the part of a page that offers questions like what is being typed."""
    text = request.query_params.get("question", "").strip()[:MAX_QUESTION_CHARS]
    view = request.query_params.get("view", "/")
    view = view if view in {each.path for each in VIEWS} else "/"
    found = []
    if len(text) >= MIN_TYPED:
        page = await resources.questions.find(QuestionQuery(search=text, limit=N_SUGGESTED))
        found = [each.question for each in page.questions]
    cultures = split_names(request.query_params.getlist("culture"))
    values: dict[str, Any] = {"suggested": found, "view": view, "cultures": cultures}
    return pages.render(request, "suggestions.html", **values)


def _read_query(query: QueryParams, *, size: int = PAGE_SIZE) -> tuple[QuestionQuery, int]:
    """Return what an address looks for, and the number of the page, from 1."""
    text = query.get("page", "")
    number = min(max(int(text[:6]), 1), MAX_PAGE) if text.isascii() and text.isdigit() else 1
    wanted = QuestionQuery(
        search=query.get("search", "").strip()[:MAX_QUESTION_CHARS],
        cultures=split_names(query.getlist("culture")),
        packs=tuple(filter(None, query.getlist("pack"))),
        topics=tuple(filter(None, query.getlist("topic"))),
        limit=size,
        offset=(number - 1) * PAGE_SIZE if size == PAGE_SIZE else 0,
    )
    return wanted, number


def _list_topics(pack: str, resources: Resources) -> list[str]:
    library = resources.library
    prefix = f"{pack}:"
    return [t for t, keys in library.topics.items() if not pack or keys[0].startswith(prefix)]


def _send(table: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(table, media_type="text/csv; charset=utf-8", headers=headers)
