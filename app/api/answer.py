"""`/answer`: one culture-aligned answer, with its evidence."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.answering.pipeline import Pipeline
from app.answering.plan import Answer, Delta, Event, Plan
from app.answering.requests import AnswerRequest, Asker
from app.api.dependencies import DefaultsDep, LibraryDep, PipelineDep, agree_on_culture
from app.api.direct import DirectRoute
from app.api.presenting import present_answer, present_evidence
from app.api.problems import declare_failures, kind_of
from app.api.recent import AnswerKeeper, KeeperDep
from app.api.schemas.answer import AnswerBody, AnswerResponse, Body, CultureText
from app.api.streaming import EVENT_STREAM, EventStream
from app.errors import AppError
from app.settings import AnswerSettings
from app.telemetry import server_timing
from files.json_line import write_json_line
from prompting.errors import PromptingError
from prompting.recipe import RecipeOverrides
from survey_data.library import SurveyLibrary

router = APIRouter(tags=["answers"], route_class=DirectRoute)
FAILURES = declare_failures(400, 401, 404, 413, 415, 422, 502, 503, 504)
REPLIES = {200: {"content": {EVENT_STREAM: {}}}, **FAILURES}


class AnswerQuery(AnswerBody):
    """The fields of a question, as query parameters."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: a list without parts is one that was left out."""
        return ()


class CultureQuery(Body):
    """The culture as query parameter, beside a question in the body."""

    culture: CultureText | None = None


@router.get("/answer", response_model=AnswerResponse, responses=REPLIES)
async def get_answer(
    query: Annotated[AnswerQuery, Query()],
    pipeline: PipelineDep,
    library: LibraryDep,
    defaults: DefaultsDep,
    keeper: KeeperDep,
) -> Response:
    """Answer a question as the people of a culture answer it."""
    request = read_request(query, query.culture, defaults)
    return await _respond(request, pipeline, library, keeper)


@router.post("/answer", response_model=AnswerResponse, responses=REPLIES)
async def post_answer(
    body: AnswerBody,
    pipeline: PipelineDep,
    library: LibraryDep,
    defaults: DefaultsDep,
    keeper: KeeperDep,
    query: Annotated[CultureQuery, Query()],
) -> Response:
    """Answer a question as the people of a culture answer it; the culture in query or body."""
    culture = agree_on_culture((query.culture, body.culture), library.catalogue)
    request = read_request(body, culture, defaults)
    return await _respond(request, pipeline, library, keeper)


def read_request(body: AnswerBody, culture: str | None, defaults: AnswerSettings) -> AnswerRequest:
    """Return what the pipeline is asked for `culture`."""
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
            n_elsewhere=body.elsewhere,
            prompt_language=body.prompt_language,
        ),
        answer_from=body.answer_from,
        withhold=body.withhold,
        steer=body.steer,
        notes=body.notes,
        asker=Asker(body.user, body.session, body.arm, body.consent),
        seed=body.seed,
        max_tokens=body.max_tokens or defaults.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        streams=body.stream,
    )


async def _respond(
    request: AnswerRequest,
    pipeline: Pipeline,
    library: SurveyLibrary,
    keeper: AnswerKeeper,
) -> Response:
    if request.streams:
        events = pipeline.stream(request)
        # What can be refused is refused before the first byte, with its own status.
        plan = await anext(events)
        return EventStream(_write_events(plan, events, library, keeper), events)
    answer = await pipeline.answer(request)
    text = keeper.keep(present_answer(answer, library))
    timing = {"Server-Timing": server_timing(answer.timings_ms)}
    return Response(text, headers=timing, media_type="application/json")


async def _write_events(
    first: Event,
    events: AsyncGenerator[Event, None],
    library: SurveyLibrary,
    keeper: AnswerKeeper,
) -> AsyncGenerator[str, None]:
    """Yield `evidence`, then `delta` per piece of free text, then `answer`; or `problem`."""
    async with aclosing(events):
        try:
            yield _write_event(first, library, keeper)
            async for event in events:
                if line := _write_event(event, library, keeper):
                    yield line
        except (AppError, PromptingError) as error:
            kind = kind_of(error)
            problem = {"title": kind.title, "status": kind.status, "detail": str(error)}
            yield _write("problem", problem)


def _write_event(event: Event, library: SurveyLibrary, keeper: AnswerKeeper) -> str:
    match event:
        case Plan():
            fields = present_evidence(event, library).model_dump()
            return _write("evidence", {"id": event.id, **fields})
        case Delta():
            return _write("delta", {"text": event.text}) if event.text else ""
        case Answer():
            reply = present_answer(event, library)
            keeper.keep(reply)
            return _write("answer", reply.model_dump())


def _write(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {write_json_line(data)}\n\n"
