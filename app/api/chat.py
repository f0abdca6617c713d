"""`/v1/chat/completions` and `/v1/models`: OpenAI-compatible, with a culture where one is named."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse

from app.answering.pipeline import Pipeline
from app.answering.plan import ChatTurn, FreeText, Plan
from app.api.dependencies import PipelineDep, ResourcesDep
from app.api.presenting import evidence_fields
from app.api.problems import kind_of, openai_error
from app.api.schemas.chat import ChatBody, OpenAIProblem
from app.api.streaming import EVENT_STREAM, EventStream
from app.errors import AppError, ModelUnknown, UpstreamInvalid
from app.telemetry import Stopwatch
from app.vllm.chunks import chunk_text, chunk_usage
from app.vllm.wire import ChatCompletion, JsonObject, Usage

router = APIRouter(prefix="/v1", tags=["openai"])
NO_USAGE = Usage(0, 0, 0)
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIProblem} for status in (400, 401, 404, 413, 415, 502, 503, 504)
}


@router.get("/models", responses={401: FAILURES[401]})
async def list_models(pipeline: PipelineDep, resources: ResourcesDep) -> dict[str, Any]:
    """List the model, and the model as each covered culture."""
    base = resources.settings.model
    codes = sorted(pipeline.catalogue[code].alpha2 for code in pipeline.library.cultures)
    ids = [base, *(f"{base}@{code}" for code in codes)]
    created = int(resources.started_at)
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": created, "owned_by": "milieu"}
            for name in ids
        ],
    }


@router.post(
    "/chat/completions",
    response_model=None,
    responses={200: {"content": {EVENT_STREAM: {}}}, **FAILURES},
)
async def complete_chat(
    body: ChatBody,
    pipeline: PipelineDep,
    resources: ResourcesDep,
    x_culture: Annotated[str | None, Header(max_length=80)] = None,
) -> JSONResponse | EventStream:
    """Reply to a chat, as a person of the culture that is named; unsteered where none is."""
    body.check_fields()
    culture = _culture(body, x_culture, pipeline, resources.settings.model)
    turn, watch = body.turn(culture), Stopwatch(pipeline.metrics)
    if body.stream:
        events = _events(turn, body, pipeline, watch)
        # The first one is awaited here, so that a refusal still has a status of its own.
        first = await anext(events)
        return EventStream(_joined(first, events), events)
    async with pipeline.prepared_chat(turn, watch) as (plan, messages):
        with watch.step("answer"):
            completion = await pipeline.vllm.chat(body.upstream(plan, messages))
    reply = FreeText(completion.text, completion.usage)
    notes = await pipeline.record_chat(plan, turn, reply, watch)
    plan = replace(plan, warnings=(*plan.warnings, *notes))
    extra = _evidence(plan, pipeline) if body.evidence else {}
    return JSONResponse(_reply(completion, plan, body.model) | extra)


def _culture(body: ChatBody, header: str | None, pipeline: Pipeline, base: str) -> str | None:
    """Return the one culture that the request names: in its model, its body or its header.

    Raises:
        ModelUnknown: the model is another than `base`, with or without a culture.
        CultureConflict: the places name different cultures.
    """
    if body.model == base:
        suffix = None
    elif body.model.startswith(f"{base}@"):
        suffix = body.model.removeprefix(f"{base}@")
    else:
        raise ModelUnknown(body.model, base)
    return pipeline.named_once((suffix, body.culture, header))


def _evidence(plan: Plan, pipeline: Pipeline) -> JsonObject:
    fields = evidence_fields(plan, pipeline.library).model_dump(mode="json")
    return {"milieu": {"id": plan.id, **fields}}


async def _events(
    turn: ChatTurn, body: ChatBody, pipeline: Pipeline, watch: Stopwatch
) -> AsyncGenerator[str, None]:
    """Yield the stream that OpenAI's clients read, with the evidence in its first chunk."""
    wants_usage = body.stream_options is not None and body.stream_options.include_usage
    async with AsyncExitStack() as held:
        prepared = pipeline.prepared_chat(turn, watch)
        plan, messages = await held.enter_async_context(prepared)
        chunks = pipeline.vllm.stream(body.upstream(plan, messages))
        await held.enter_async_context(aclosing(chunks))
        first = await anext(chunks, None)
        if first is None:
            raise UpstreamInvalid("an empty stream", expected="chunks of an answer")
        extra = _evidence(plan, pipeline) if body.evidence else {}
        yield _event(_chunk(first, plan, body.model) | extra)
        pieces, usage = [chunk_text(first)], NO_USAGE
        ending: list[str] = []
        n_left = body.n or 1
        try:
            async for chunk in chunks:
                pieces.append(chunk_text(chunk))
                usage = chunk_usage(chunk) or usage
                if not (chunk.get("choices") or wants_usage):
                    continue
                event = _event(_chunk(chunk, plan, body.model))
                n_left -= _n_ended(chunk)
                # Some clients leave with the last word, and by then it has to be recorded.
                if n_left <= 0:
                    ending.append(event)
                else:
                    yield event
        except AppError as error:
            pipeline.record_failure(plan, watch)
            yield _event(openai_error(kind_of(error), str(error)))
        else:
            reply = FreeText("".join(pieces), usage)
            notes = await pipeline.record_chat(plan, turn, reply, watch)
            for event in ending:
                yield event
            if notes and body.evidence:
                last = {"choices": [], "milieu": {"warnings": list(notes)}}
                yield _event(_chunk(first, plan, body.model) | last)
    yield "data: [DONE]\n\n"


async def _joined(first: str, events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(events):
        yield first
        async for event in events:
            yield event


def _chunk(chunk: JsonObject, plan: Plan, model: str) -> JsonObject:
    kept = ("object", "created", "choices", "usage")
    # The id is the answer's, by which feedback is given on it.
    return {"id": plan.id} | {key: chunk[key] for key in kept if key in chunk} | {"model": model}


def _n_ended(chunk: JsonObject) -> int:
    """Return how many replies end with a chunk."""
    return sum(bool(choice.get("finish_reason")) for choice in chunk.get("choices") or ())


def _event(data: JsonObject) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _reply(completion: ChatCompletion, plan: Plan, model: str) -> JsonObject:
    usage = completion.usage
    return {
        "id": plan.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": model,
        "choices": [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": choice.logprobs,
                "finish_reason": choice.finish_reason,
            }
            for choice in completion.choices
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        },
    }
