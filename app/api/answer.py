"""`/answer`: one culture-aligned answer, with its evidence."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.answering.pipeline import Pipeline
from app.answering.plan import Answer, AnswerRequest, Asker, Plan
from app.api.dependencies import PipelineDep
from app.api.presenting import evidence_fields, present_answer
from app.api.problems import declare_failures, kind_of
from app.api.schemas.answer import AnswerBody, AnswerResponse, Body, CultureText
from app.api.streaming import EVENT_STREAM, EventStream
from app.errors import AppError
from app.telemetry import server_timing
from prompting.errors import PromptingError
from prompting.recipe import RecipeOverrides
from survey_data.library import SurveyLibrary

router = APIRouter(tags=["answers"])
FAILURES = declare_failures(400, 401, 404, 413, 415, 422, 502, 503, 504)
REPLIES = {200: {"content": {EVENT_STREAM: {}}}, **FAILURES}


class AnswerQuery(AnswerBody):
    """The fields of a question, as query parameters."""


class CultureQuery(Body):
    """The culture as query parameter, beside a question in the body."""

    culture: CultureText | None = None


@router.get("/answer", response_model=AnswerResponse, responses=REPLIES)
async def get_answer(
    query: Annotated[AnswerQuery, Query()],
    pipeline: PipelineDep,
    response: Response,
) -> Response | AnswerResponse:
    """Answer a question as the people of a culture answer it."""
    request = _request(query, query.culture, pipeline)
    return await _respond(request, query.stream, pipeline, response)


@router.post("/answer", response_model=AnswerResponse, responses=REPLIES)
async def post_answer(
    body: AnswerBody,
    pipeline: PipelineDep,
    response: Response,
    query: Annotated[CultureQuery, Query()],
) -> Response | AnswerResponse:
    """Answer a question as the people of a culture answer it; the culture in query or body."""
    culture = pipeline.named_once((query.culture, body.culture))
    request = _request(body, culture, pipeline)
    return await _respond(request, body.stream, pipeline, response)


def _request(body: AnswerBody, culture: str | None, pipeline: Pipeline) -> AnswerRequest:
    return AnswerRequest(
        question=body.question,
        culture=culture,
        options=tuple(body.options),
        recipe=RecipeOverrides(
            method=body.method,
            k=body.k,
            style=body.exemplar_style,
            retriever=body.retriever,
            # One is what is asked of everybody.
            n_orders=body.orders if body.orders > 1 else None,
            adapter=body.adapter,
        ),
        asker=Asker(body.user, body.session, body.arm, body.consent),
        seed=body.seed,
        max_tokens=body.max_tokens or pipeline.settings.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
    )


async def _respond(
    request: AnswerRequest, stream: bool, pipeline: Pipeline, response: Response
) -> Response | AnswerResponse:
    if stream:
        pieces = pipeline.answer_in_pieces(request)
        # What can be refused is refused before the first byte, with its own status.
        plan = await anext(pieces)
        return EventStream(_events(plan, pieces, pipeline), pieces)
    answer = await pipeline.answer(request)
    response.headers["Server-Timing"] = server_timing(answer.timings_ms)
    return present_answer(answer, pipeline.library)


async def _events(
    plan: Plan | str | Answer,
    pieces: AsyncGenerator[Plan | str | Answer, None],
    pipeline: Pipeline,
) -> AsyncGenerator[str, None]:
    """Yield `evidence`, then `delta` per piece of free text, then `answer`; or `problem`."""
    library = pipeline.library
    async with aclosing(pieces):
        try:
            piece = plan
            while True:
                match piece:
                    case Plan():
                        yield _event("evidence", _evidence(piece, library))
                    case str():
                        yield _event("delta", {"text": piece})
                    case Answer():
                        yield _event("answer", present_answer(piece, library).model_dump())
                        return
                piece = await anext(pieces)
        except (AppError, PromptingError) as error:
            kind = kind_of(error)
            problem = {"title": kind.title, "status": kind.status, "detail": str(error)}
            yield _event("problem", problem)


def _evidence(plan: Plan, library: SurveyLibrary) -> dict[str, Any]:
    return {"id": plan.id, **evidence_fields(plan, library).model_dump()}


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
