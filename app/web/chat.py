"""`/chat`: one message to the model, as it is and as a people."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from app.api.dependencies import ResourcesDep
from app.api.presenting import present_chat_evidence
from app.api.problems import PROBLEMS, kind_of
from app.api.schemas.answer import ChatEvidence
from app.api.schemas.chat import MAX_CONTENT_CHARS, ChatBody
from app.resources import Resources
from app.web.pages import PagesDep
from prompting.recipe import Method
from survey_data.errors import SurveyDataError
from survey_data.library import SurveyLibrary

router = APIRouter(include_in_schema=False)
MAX_TOKENS = 200
MAX_SHOWN_CHARS = 4000
HIDDEN = "It is in the log."


class Reply(NamedTuple):
    """What came of one pane: a text with its evidence, or a fault."""

    text: str
    evidence: ChatEvidence | None
    fault: str = ""


class ChatForm(NamedTuple):
    """What was typed and chosen, and what of it does not fit, by the name of its field."""

    message: str
    name: str
    code: str
    method: str
    wants_reply: bool
    faults: dict[str, str]


@router.get("/chat")
async def show_chat(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Show the two panes; with `reply` the replies are in the page, for who has no JavaScript."""
    library = resources.library
    form = _read_form(request.query_params, library)
    replies = None
    if form.wants_reply and not form.faults:
        wanted = {"culture": form.code} | ({"method": form.method} if form.method else {})
        plain, steered = await asyncio.gather(
            _reply(form.message, {}, resources), _reply(form.message, wanted, resources)
        )
        replies = {"plain": plain, "steered": steered}
    values: dict[str, Any] = {
        "form": form,
        "methods": list(Method),
        "faults": form.faults,
        "replies": replies,
        "model": resources.settings.model,
        "countries": [library.catalogue[each] for each in library.cultures],
        "max_tokens": MAX_TOKENS,
    }
    return pages.render(request, "chat.html", status=422 if form.faults else 200, **values)


def _read_form(query: QueryParams, library: SurveyLibrary) -> ChatForm:
    message, name = query.get("message", "").strip(), query.get("culture", "").strip()
    method, wants_reply, faults, code = query.get("method", ""), "reply" in query, {}, ""
    if name:
        try:
            culture = library.find_culture(name)
            code, name = culture.code, culture.name
        except SurveyDataError as error:
            faults["culture"] = str(error)
    if len(message) > MAX_SHOWN_CHARS:
        faults["message"] = f"At most {MAX_SHOWN_CHARS} characters here."
    if wants_reply and not message:
        faults["message"] = "Write a message."
    if wants_reply and not name:
        faults["culture"] = "Name a country."
    if method and method not in set(Method):
        faults["method"] = f"Expected one of {', '.join(Method)}."
    return ChatForm(message, name, code, method, wants_reply, faults)


async def _reply(message: str, fields: dict[str, str], resources: Resources) -> Reply:
    given: dict[str, Any] = {
        "model": resources.settings.model,
        "messages": [{"role": "user", "content": message[:MAX_CONTENT_CHARS]}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0.0,
        **fields,
    }
    try:
        body = ChatBody(**given)
        answer = await resources.pipeline.answer(body.turn(body.culture))
    except ValidationError as error:
        return Reply("", None, error.errors()[0]["msg"])
    except tuple(PROBLEMS) as error:
        kind = kind_of(error)
        return Reply("", None, f"{kind.title}. {HIDDEN if kind.status == 500 else error}")
    evidence = present_chat_evidence(answer, resources.library)
    return Reply(answer.text or "", evidence if fields else None)
