"""`/v1/batch`: many questions of many cultures in many ways, answered as `/answer` answers one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from app.answering.batches import BatchResult
from app.api.dependencies import DefaultsDep, LibraryDep, ResourcesDep
from app.api.faults import place_in_body
from app.api.negotiating import prefers_csv
from app.api.presenting_batch import COLUMNS, BatchPresenter, tabulate_line
from app.api.problems import PROBLEM_JSON
from app.api.reading_batch import read_batch
from app.api.schemas.answer import Body, CultureText
from app.api.schemas.batch import MAX_CULTURES, MAX_RECIPES, BatchBody, BatchLine
from app.api.streaming import EventStream
from app.api.strict import StrictRoute
from files.json_line import write_json_line
from prompting.recipe import Method
from reports.csv_rows import CSV, write_csv_row

PATH = "/v1/batch"
LINES = "application/x-ndjson"
TEXT = {"schema": {"type": "string"}}
router = APIRouter(tags=["answers"], route_class=StrictRoute)


class BatchStream(EventStream):
    """The lines of a batch's results."""

    media_type = LINES


class BatchQuery(Body):
    """Whom to ask in which ways, as query parameters, beside those of a JSON body."""

    culture: list[CultureText] = Field(
        default_factory=list,
        max_length=MAX_CULTURES,
        description="Code, name or language tag, repeatable.",
    )
    method: list[Method] = Field(
        default_factory=list, max_length=MAX_RECIPES, description="A way to answer, repeatable."
    )


REF = "#/components/schemas/{model}"
BODY_SCHEMA = BatchBody.model_json_schema(ref_template=REF)
LINE_SCHEMA = BatchLine.model_json_schema(ref_template=REF, mode="serialization")
# What they refer to: FastAPI knows neither a body that the route reads nor lines that it writes.
SCHEMAS: dict[str, Any] = LINE_SCHEMA.pop("$defs") | BODY_SCHEMA.pop("$defs")
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": BODY_SCHEMA}, CSV: TEXT},
    }
}
PROBLEM = {"content": {PROBLEM_JSON: {"schema": {"$ref": REF.format(model="Problem")}}}}
# A declared model would be told to come as lines too.
REPLIES: dict[int | str, dict[str, Any]] = {
    200: {"content": {LINES: {"schema": LINE_SCHEMA}, CSV: TEXT}},
    **dict.fromkeys((400, 401, 413, 415, 422), PROBLEM),
}


@router.post(
    PATH,
    status_code=200,
    response_class=BatchStream,
    response_model=None,
    openapi_extra=BODY,
    responses=REPLIES,
)
async def answer_batch(
    request: Request,
    query: Annotated[BatchQuery, Query()],
    resources: ResourcesDep,
    library: LibraryDep,
    defaults: DefaultsDep,
) -> BatchStream:
    """Answer every question of every culture in every way; each result comes when it is done.

    JSON or CSV in, lines of JSON or CSV out, by `Content-Type` and `Accept`. A question that is
    refused gets its problem, and the others their answers. Closing the connection ends the work.
    """
    try:
        # A large body takes a while, in which others are answered.
        batch = await asyncio.to_thread(
            read_batch,
            await request.body(),
            request.headers.get("content-type", ""),
            cultures=query.culture,
            methods=query.method,
            limits=resources.settings.batch,
        )
    except ValidationError as exc:
        raise RequestValidationError(place_in_body(exc)) from exc
    presenter = BatchPresenter(
        library,
        path=PATH,
        milieu=request.app.version,
        encoder=resources.retrieval.index.model_id,
    )
    results = resources.batches.run(batch.items(defaults))
    as_table = prefers_csv(request.headers.get("accept", ""))
    return BatchStream(
        _write(results, presenter, as_table=as_table),
        results,
        media_type=f"{CSV}; charset=utf-8; header=present" if as_table else LINES,
        headers={"X-Total-Count": str(len(batch)), "Vary": "Accept"},
    )


async def _write(
    results: AsyncGenerator[BatchResult, None], presenter: BatchPresenter, *, as_table: bool
) -> AsyncGenerator[str, None]:
    """Yield a line of JSON per result; or the header of a table, and the rows of each."""
    if as_table:
        yield write_csv_row(COLUMNS)
    async with aclosing(results):
        async for result in results:
            line = presenter.present(result)
            if as_table:
                yield "".join(map(write_csv_row, tabulate_line(line)))
            else:
                yield write_json_line(line.model_dump(mode="json")) + "\n"
