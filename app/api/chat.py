"""`/v1/chat/completions`: OpenAI-compatible, with a culture where one is named."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic_core import to_json

from app.answering.plan import Answer, Delta, Event, Plan
from app.api.dependencies import LibraryDep, PipelineDep, ResourcesDep, agree_on_culture
from app.api.direct import DirectRoute
from app.api.model_list import find_suffix
from app.api.openai_errors import openai_error
from app.api.presenting import present_chat_evidence
from app.api.problems import kind_of
from app.api.recent import AnswerKeeper, KeeperDep
from app.api.schemas.answer import ChatEvidence
from app.api.schemas.chat import ChatBody, OpenAIProblem
from app.api.streaming import EVENT_STREAM, EventStream
from app.api.strict import read_utf8
from app.errors import AppError
from app.vllm.wire import JsonObject, Usage
from files.json_line import write_json_line
from survey_data.cultures import CultureCatalogue
from survey_data.library import SurveyLibrary

router = APIRouter(prefix="/v1", tags=["openai"], route_class=DirectRoute)
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIProblem} for status in (400, 401, 404, 413, 415, 502, 503, 504)
}


@router.post(
    "/chat/completions",
    response_model=None,
    responses={200: {"content": {EVENT_STREAM: {}}}, **FAILURES},
)
async def complete_chat(
    body: ChatBody,
    pipeline: PipelineDep,
    library: LibraryDep,
    resources: ResourcesDep,
    keeper: KeeperDep,
    x_culture: Annotated[str | None, Header(max_length=80)] = None,
) -> Response:
    """Reply to a chat, as a person of the culture that is named; unsteered where none is."""
    body.check_fields()
    turn = body.turn(_find_culture(body, x_culture, library.catalogue, resources.settings.model))
    if not turn.streams:
        answer = await pipeline.answer(turn)
        evidence = keeper.keep(present_chat_evidence(answer, library))
        return _write_reply(answer, body, evidence)
    events = pipeline.stream(turn)
    lines = _write_lines(events, body, library, keeper)
    # The first one is awaited here, so that a refusal still has a status of its own.
    first = await anext(lines)
    return EventStream(_join(first, lines), events)


def _find_culture(
    body: ChatBody, header: str | None, catalogue: CultureCatalogue, base: str
) -> str | None:
    """Return the one culture that the request names: in its model, its body or its header.

    Raises:
        ModelUnknown: the model is another than `base`, with or without a culture.
        CultureConflict: the places name different cultures.
    """
    suffix = find_suffix(body.model, base)
    return agree_on_culture((suffix, body.culture, read_utf8(header)), catalogue)


def _list_late(answer: Answer) -> JsonObject:
    """Return the fields of the evidence that turned out otherwise than they were streamed."""
    late: JsonObject = {}
    if answer.late_warnings:
        late["warnings"] = list(answer.late_warnings)
    if answer.steered != answer.plan.steered:
        late |= {"steered": answer.steered, "not_steered_because": answer.not_steered_because}
    return late


def _write_evidence(evidence: ChatEvidence, body: ChatBody) -> JsonObject:
    return {"milieu": evidence.model_dump(mode="json")} if body.evidence else {}


async def _write_lines(
    events: AsyncGenerator[Event, None],
    body: ChatBody,
    library: SurveyLibrary,
    keeper: AnswerKeeper,
) -> AsyncGenerator[str, None]:
    """Yield the stream that OpenAI's clients read, with the evidence in its first chunk."""
    wants_usage = body.stream_options is not None and body.stream_options.include_usage
    plan: Plan | None = None
    first: JsonObject | None = None
    n_usages = 0
    async with aclosing(events):
        try:
            async for event in events:
                match event:
                    case Plan():
                        plan = event
                    case Delta(chunk=chunk):
                        assert plan is not None  # it comes first
                        fields = _present_chunk(chunk, plan, body.model)
                        if first is None:
                            first = fields
                            evidence = present_chat_evidence(plan, library)
                            yield _write_line(first | _write_evidence(evidence, body))
                        elif chunk.get("choices") or wants_usage:
                            n_usages += not chunk.get("choices")
                            yield _write_line(fields)
                    case Answer():
                        keeper.keep(present_chat_evidence(event, library))
                        if wants_usage and not n_usages and first and event.usage.prompt_tokens:
                            counts = {"choices": [], "usage": _present_usage(event.usage)}
                            yield _write_line(first | counts)
                        if (late := _list_late(event)) and body.evidence and first is not None:
                            yield _write_line(first | {"choices": [], "milieu": late})
        except AppError as error:
            if first is None:
                raise
            kind = kind_of(error)
            yield _write_line(openai_error(kind.status, kind.code, str(error)))
    yield "data: [DONE]\n\n"


async def _join(first: str, lines: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(lines):
        yield first
        async for line in lines:
            yield line


def _present_chunk(chunk: JsonObject, plan: Plan, model: str) -> JsonObject:
    # Counts come in a chunk of their own, which clients know by its lack of choices.
    kept = ("object", "created", "choices", *(() if chunk.get("choices") else ("usage",)))
    # The id is the answer's, by which feedback is given on it.
    return {"id": plan.id} | {key: chunk[key] for key in kept if key in chunk} | {"model": model}


def _write_line(data: JsonObject) -> str:
    return f"data: {write_json_line(data)}\n\n"


def _write_reply(answer: Answer, body: ChatBody, evidence: str) -> Response:
    """Return the reply, with the `evidence`, which is JSON already, as its last field."""
    reply = to_json(_present_reply(answer, body), inf_nan_mode="null")
    if body.evidence:
        reply = reply[:-1] + b',"milieu":' + evidence.encode() + b"}"
    return Response(reply, media_type="application/json")


def _present_reply(answer: Answer, body: ChatBody) -> JsonObject:
    completion, usage = answer.completion, answer.usage
    assert completion is not None  # it was not streamed
    return {
        "id": answer.plan.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": body.model,
        "choices": [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": choice.logprobs,
                "finish_reason": choice.finish_reason,
            }
            for choice in completion.choices
        ],
        "usage": _present_usage(usage),
    }


def _present_usage(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
