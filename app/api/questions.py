"""`/v1/questions`: what surveys asked, in any language of who looks for it, and the figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from app.answering.questions import QuestionQuery
from app.api.dependencies import LibraryDep, QuestionsDep
from app.api.negotiating import prefers_csv
from app.api.presenting_questions import (
    present_question,
    present_questions,
    tabulate_question,
    tabulate_questions,
)
from app.api.problems import declare_failures
from app.api.schemas.questions import (
    QuestionDetail,
    QuestionQueryFields,
    QuestionsQuery,
    QuestionsResponse,
)
from app.api.strict import StrictRoute
from reports.csv_rows import CSV

router = APIRouter(prefix="/v1/questions", tags=["questions"], route_class=StrictRoute)
TOTAL = "X-Total-Count"
AS_TABLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {CSV: {"schema": {"type": "string"}}}}
}
QuestionKey = Annotated[
    str, Path(min_length=1, max_length=200, description="Key of a question.", examples=["wvs7:Q6"])
]


@router.get(
    "",
    response_model=QuestionsResponse,
    responses=AS_TABLE | declare_failures(401, 404, 422, 500, 503),
)
async def list_questions(
    query: Annotated[QuestionsQuery, Query()],
    questions: QuestionsDep,
    library: LibraryDep,
    request: Request,
    response: Response,
) -> Response | QuestionsResponse:
    """List what surveys asked: searched, filtered, a page at a time; CSV by `Accept: text/csv`."""
    wanted = QuestionQuery(
        search=query.search,
        words_only=query.match == "words",
        cultures=tuple(query.culture),
        packs=tuple(query.pack),
        topics=tuple(query.topic),
        limit=query.limit,
        offset=query.offset,
    )
    page = await questions.find(wanted)
    found = present_questions(wanted, page, library, language=query.language)
    headers = {TOTAL: str(found.total), "Vary": "Accept"}
    if prefers_csv(request.headers.get("accept", "")):
        return _send_table(tabulate_questions(found), "questions", headers)
    response.headers.update(headers)
    return found


@router.get(
    "/{key}", response_model=QuestionDetail, responses=AS_TABLE | declare_failures(401, 404, 422)
)
async def show_question(
    key: QuestionKey,
    query: Annotated[QuestionQueryFields, Query()],
    questions: QuestionsDep,
    library: LibraryDep,
    request: Request,
    response: Response,
) -> Response | QuestionDetail:
    """Show a question, its translations and what each people answered; CSV by `Accept`."""
    question = questions.show(key)
    cultures = dict.fromkeys(library.find_culture(each).code for each in query.culture)
    found = present_question(question, cultures, library, language=query.language)
    headers = {"Vary": "Accept"}
    if prefers_csv(request.headers.get("accept", "")):
        name = question.key.replace(":", "-")
        return _send_table(tabulate_question(found), name, headers)
    response.headers.update(headers)
    return found


def _send_table(rows: Iterable[str], name: str, headers: dict[str, str]) -> Response:
    given = headers | {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(
        "".join(rows), media_type=f"{CSV}; charset=utf-8; header=present", headers=given
    )
