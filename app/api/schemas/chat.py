"""OpenAI's chat request, as far as Milieu serves it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.answering.requests import Asker, ChatTurn
from app.api.faults import suggest_name
from app.api.schemas.answer import (
    CONSENT,
    ELSEWHERE,
    MAX_NEW_TOKENS,
    MAX_UNIT_CHARS,
    PROMPT_LANGUAGE,
    STEER,
    WITHHOLD,
    AdapterText,
    ArmText,
    CultureText,
)
from app.errors import FieldUnsupported
from app.vllm.wire import MAX_CHOICES, ChatRequest
from prompting.messages import Message
from prompting.recipe import MAX_K, ExemplarStyle, Method, PromptLanguage, RecipeOverrides
from retrieval.selector_name import SelectorName
from retrieval.steer import Steer

MAX_MESSAGES = 256
MAX_CONTENT_CHARS = 100_000
MAX_STOPS = 4
# Of lists and objects within one another; schemas of replies have a dozen.
MAX_LEVELS = 100
# Sent by ordinary clients; they change nothing in the reply and go no further than here.
IGNORED = frozenset(
    {
        "metadata", "store", "service_tier", "parallel_tool_calls", "safety_identifier",
        "prompt_cache_key", "reasoning_effort", "verbosity",
    }
)  # fmt: skip
# Their empty values, which some clients send, ask for nothing.
UNSUPPORTED = {
    "tools": "Milieu's prompts have no tools",
    "tool_choice": "Milieu's prompts have no tools",
    "functions": "Milieu's prompts have no tools",
    "function_call": "Milieu's prompts have no tools",
    "logit_bias": "it would change what a culture's answer is",
    "modalities": "replies are text",
    "audio": "replies are text",
    "prediction": "vLLM's chat does not take it",
    "web_search_options": "Milieu looks up surveys only",
}
TOOLS_LEFT_OUT = (
    "calls of tools were left out, and what they returned counts as said by the assistant: "
    "Milieu's prompts have no tools"
)


class OpenAIFault(BaseModel):
    """What went wrong, as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIProblem(BaseModel):
    """The body of every error under OpenAI's paths."""

    error: OpenAIFault


class TextPart(BaseModel):
    """A part of a message; text is the only kind that is asked."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["text"]
    text: str = Field(max_length=MAX_CONTENT_CHARS)


class RefusalPart(BaseModel):
    """What an assistant said in place of an answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["refusal"]
    refusal: str = Field(max_length=MAX_CONTENT_CHARS)

    @property
    def text(self) -> str:
        """What it said."""
        return self.refusal


Part = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class ChatMessage(BaseModel):
    """One message of the chat so far, which another model may have taken part in."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str, Field(max_length=MAX_CONTENT_CHARS)] | list[Part] | None = None
    tool_calls: list[Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise ValueError(f"a message of the {self.role} without content; expected a text")
        return self

    @property
    def text(self) -> str:
        """What it says, empty where it calls tools only."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or ())

    @property
    def is_of_tools(self) -> bool:
        """Whether it calls tools, or is what one of them returned."""
        return self.role in ("tool", "function") or bool(self.tool_calls)

    @property
    def plain(self) -> Message:
        """The message as the pipeline has it.

        A developer's is a system message. What a tool returned the assistant knew when it went on,
        so it counts as said by the assistant.
        """
        match self.role:
            case "developer":
                return Message("system", self.text)
            case "tool" | "function":
                return Message("assistant", self.text)
            case role:
                return Message(role, self.text)


class StreamOptions(BaseModel):
    """What else a stream should hold."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    include_usage: bool = False


class ChatBody(BaseModel):
    """OpenAI's fields that Milieu serves, and Milieu's own: `culture` to `consent`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str = Field(min_length=1, max_length=300)
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=MAX_NEW_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MAX_NEW_TOKENS)
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    top_p: float | None = Field(None, gt=0.0, le=1.0)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    stop: str | list[str] | None = None
    presence_penalty: float | None = Field(None, ge=-2.0, le=2.0)
    frequency_penalty: float | None = Field(None, ge=-2.0, le=2.0)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    n: int | None = Field(1, ge=1, le=MAX_CHOICES)
    response_format: dict[str, Any] | None = None
    user: str | None = Field(None, max_length=MAX_UNIT_CHARS)

    culture: CultureText | None = None
    method: Method | None = None
    k: int | None = Field(None, ge=1, le=MAX_K)
    exemplar_style: ExemplarStyle | None = None
    retriever: SelectorName | None = None
    adapter: AdapterText | None = None
    elsewhere: int | None = Field(None, ge=0, le=MAX_K, description=ELSEWHERE)
    prompt_language: PromptLanguage | None = Field(None, description=PROMPT_LANGUAGE)
    withhold: bool = Field(False, description=WITHHOLD)
    steer: Steer | None = Field(None, description=STEER)
    evidence: bool = Field(True, description="Whether the reply has the field 'milieu'.")
    session: str = Field("", max_length=MAX_UNIT_CHARS, description="For experiments.")
    arm: ArmText = ""
    consent: bool = Field(False, description=CONSENT)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.stop, list) and len(self.stop) > MAX_STOPS:
            raise ValueError(f"{len(self.stop)} stops, at most {MAX_STOPS} are served")
        first = next((m for m in self.messages if m.role not in ("system", "developer")), None)
        if first is not None and first.role in ("tool", "function"):
            raise ValueError(f"the role '{first.role}' comes first; expected who called it before")
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message is the assistant's; expected one to reply to")
        return self

    def check_fields(self) -> None:
        """Refuse what is asked for but not served.

        Raises:
            FieldUnsupported: a field that Milieu does not serve, or that nobody knows.
        """
        for field, value in (self.model_extra or {}).items():
            if field in UNSUPPORTED and value not in (None, [], {}, "none", "auto"):
                raise FieldUnsupported(field, UNSUPPORTED[field])
            if field not in UNSUPPORTED and field not in IGNORED:
                meant = suggest_name(field, list(ChatBody.model_fields))
                raise FieldUnsupported(field, f"no such field in a chat request{meant}")
        for field in ("stop", "response_format"):
            _check_json(field, getattr(self, field))
        kind = (self.response_format or {}).get("type", "text")
        if kind not in ("text", "json_object", "json_schema"):
            raise FieldUnsupported("response_format", f"no such type as '{str(kind)[:40]}'")

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the request was not taken as it stands."""
        return (TOOLS_LEFT_OUT,) if any(m.is_of_tools for m in self.messages) else ()

    def turn(self, culture: str | None) -> ChatTurn:
        """Return what the pipeline is asked."""
        return ChatTurn(
            chat=self._chat_request(),
            culture=culture,
            recipe=RecipeOverrides(
                method=self.method,
                k=self.k,
                style=self.exemplar_style,
                retriever=self.retriever,
                adapter=self.adapter,
                n_elsewhere=self.elsewhere,
                prompt_language=self.prompt_language,
            ),
            asker=Asker(self.user or "", self.session, self.arm, self.consent),
            withhold=self.withhold,
            steer=self.steer,
            notes=self.notes,
            streams=bool(self.stream),
        )

    def _chat_request(self) -> ChatRequest:
        """Return the fields that may go to vLLM."""
        return ChatRequest(
            model=self.model,
            messages=tuple(_join_assistants(self.messages)),
            # The newer or the older name.
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logprobs=bool(self.logprobs),
            top_logprobs=self.top_logprobs,
            n=self.n or 1,
            response_format=self._response_format(),
        )

    def _response_format(self) -> dict[str, Any] | None:
        given = self.response_format
        if given is None or given.get("type", "text") == "text":
            return None
        # Of what the client sent only these keys may reach vLLM.
        return {key: given[key] for key in ("type", "json_schema") if key in given}


def _check_json(field: str, value: object) -> None:
    """Refuse what could not be sent on: Python reads more than JSON has, and deeper.

    Raises:
        FieldUnsupported: it is nested too deeply, or holds what is no text or no number.
    """
    if _is_deeper(value, MAX_LEVELS):
        raise FieldUnsupported(field, f"it is nested more than {MAX_LEVELS} levels deep")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise FieldUnsupported(field, "half of a surrogate pair is no text") from None
    except ValueError:
        raise FieldUnsupported(field, "NaN and Infinity are no numbers in JSON") from None


def _is_deeper(value: object, n_levels: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return n_levels == 0 or any(_is_deeper(part, n_levels - 1) for part in value)


def _join_assistants(messages: Sequence[ChatMessage]) -> Iterator[Message]:
    """Yield the messages; what the assistant and its tools said in a row is one of them.

    Many chat templates take turns of user and assistant only.
    """
    for is_said, group in groupby(messages, key=lambda message: message.plain.role == "assistant"):
        if not is_said:
            yield from (message.plain for message in group)
        elif texts := [message.text for message in group if message.text]:
            yield Message("assistant", "\n".join(texts))
