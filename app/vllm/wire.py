"""What goes over the wire to vLLM and comes back: bodies, replies and chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from pydantic_core import from_json

from app.errors import UpstreamInvalid
from prompting.messages import Message

JsonObject: TypeAlias = dict[str, Any]
# One event of a stream, as vLLM sent it: OpenAI's `chat.completion.chunk`.
ChatChunk: TypeAlias = JsonObject

MAX_CHOICES = 8
TOKEN_ID = "token_id:"  # noqa: S105  # how vLLM spells a token when asked for ids


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion to ask for. Nothing that is not a field here is ever sent to vLLM.

    None leaves a value to vLLM (and the model's `generation_config`). `choices` limits the answer
    to one of these texts.

    Raises:
        ValueError: `n` is not 1 to 8, or there is no message.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    n: int = 1
    choices: tuple[str, ...] = ()
    response_format: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MAX_CHOICES:
            raise ValueError(f"n is {self.n}; ask for 1 to {MAX_CHOICES} choices")
        if not self.messages:
            raise ValueError("there is no message; a chat needs at least one")

    def body(self, *, stream: bool = False) -> JsonObject:
        """Return the JSON body of the request, without the values that are left to vLLM."""
        body: JsonObject = {"model": self.model, "messages": wire_messages(self.messages)}
        for name in _PLAIN_FIELDS:
            if (value := getattr(self, name)) is not None:
                body[name] = value
        body["n"] = self.n
        if self.stop:
            body["stop"] = list(self.stop)
        if self.logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = self.top_logprobs or 0
        if self.choices:
            body["structured_outputs"] = {"choice": list(self.choices)}
        if self.response_format is not None:
            body["response_format"] = dict(self.response_format)
        body["stream"] = stream
        if stream:
            body["stream_options"] = {"include_usage": True}
        return body


_PLAIN_FIELDS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
)


class Usage(NamedTuple):
    """Tokens of one request; `cached_tokens` of the prompt came from the prefix cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """One generated answer; `logprobs` is OpenAI's object, None where it was not asked for."""

    index: int
    text: str
    finish_reason: str | None
    logprobs: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """A whole chat completion: at least one choice, in order of index."""

    id: str
    created: int
    model: str
    choices: tuple[ChatChoice, ...]
    usage: Usage

    @property
    def text(self) -> str:
        """What the first choice says."""
        return self.choices[0].text

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended, such as 'stop' or 'length'."""
        return self.choices[0].finish_reason


@dataclass(frozen=True, slots=True)
class LabelLogprobs:
    """Natural log-probabilities of the labels as first token of the answer, in label order."""

    labels: tuple[str, ...]
    logprobs: tuple[float, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model name that vLLM answers to; an adapter has its base model as `parent`."""

    id: str
    root: str
    parent: str | None
    max_model_len: int | None


def wire_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return `messages` as vLLM takes them."""
    return [{"role": message.role, "content": message.content} for message in messages]


def template_options(*, thinks: bool) -> JsonObject:
    """Return what a chat template is told; nothing but where a model is not to think first.

    The name is that of Qwen's, GLM's and SmolLM's templates; others take no notice.
    """
    return {} if thinks else {"chat_template_kwargs": {"enable_thinking": False}}


def score_body(
    model: str, messages: Sequence[Message], *, ids: Sequence[int], thinks: bool = True
) -> JsonObject:
    """Return the body that asks for the log-probabilities of `ids` as the next token."""
    return {
        "model": model,
        "messages": wire_messages(messages),
        "max_tokens": 1,
        "temperature": 0.0,
        "n": 1,
        "logprobs": True,
        "logprob_token_ids": list(ids),
        # Two tokens may decode to the same text; their ids are never the same.
        "return_tokens_as_token_ids": True,
        "stream": False,
        **template_options(thinks=thinks),
    }


def read_json(data: bytes) -> JsonObject:
    """Return the JSON object in `data`.

    Raises:
        UpstreamInvalid: `data` is not JSON, or not an object. With half a surrogate pair, which
            could not be sent on, it is not JSON.
    """
    try:
        value = from_json(data)
    except ValueError as exc:
        raise UpstreamInvalid(repr(data[:80]), expected="JSON") from exc
    if not isinstance(value, dict):
        raise UpstreamInvalid(f"a JSON {type(value).__name__}", expected="a JSON object")
    return value


def read_completion(reply: JsonObject, *, model: str) -> ChatCompletion:
    """Return the chat completion in `reply`.

    Raises:
        UpstreamInvalid: a part is missing or of the wrong kind, or another model answered.
    """
    try:
        if reply["model"] != model:
            raise UpstreamInvalid(f"an answer of '{reply['model']}'", expected=f"one of '{model}'")
        choices = [
            ChatChoice(
                index=int(choice["index"]),
                text=_text(choice["message"]["content"]),
                finish_reason=choice.get("finish_reason"),
                logprobs=choice.get("logprobs"),
            )
            for choice in reply["choices"]
        ]
        if not choices:
            raise UpstreamInvalid("no choice", expected="at least one")
        return ChatCompletion(
            id=str(reply["id"]),
            created=int(reply["created"]),
            model=model,
            choices=tuple(sorted(choices, key=lambda choice: choice.index)),
            usage=read_usage(reply["usage"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UpstreamInvalid(f"{exc!r} in a reply", expected="a chat completion") from exc


def read_scores(
    completion: ChatCompletion, labels: Sequence[str], *, ids: Sequence[int]
) -> LabelLogprobs:
    """Return the log-probability of each label from a completion asked by `score_body`.

    Raises:
        UpstreamInvalid: a label's token is not among the log-probabilities.
    """
    try:
        content = (completion.choices[0].logprobs or {})["content"]
        by_token = {top["token"]: float(top["logprob"]) for top in content[0]["top_logprobs"]}
        found = tuple(by_token[f"{TOKEN_ID}{token_id}"] for token_id in ids)
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        expected = f"log-probabilities of the labels {', '.join(labels)}"
        raise UpstreamInvalid(f"{exc!r} in a reply", expected=expected) from exc
    return LabelLogprobs(tuple(labels), found, completion.usage)


def read_usage(usage: JsonObject) -> Usage:
    """Return the token counts in `usage`; no count of cached tokens is read as 0.

    Raises:
        UpstreamInvalid: `usage` has not the form of OpenAI's.
    """
    try:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        # A reply of nothing but a prompt has no completion tokens, or null of them.
        completion = usage.get("completion_tokens") or 0
        return Usage(int(usage["prompt_tokens"]), int(completion), int(cached))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UpstreamInvalid(f"{exc!r} in a reply", expected="token counts") from exc


def read_models(reply: JsonObject) -> tuple[ListedModel, ...]:
    """Return the models in a reply of `/v1/models`.

    Raises:
        UpstreamInvalid: the reply has another form.
    """
    try:
        return tuple(
            ListedModel(
                id=str(model["id"]),
                root=str(model.get("root") or model["id"]),
                parent=model.get("parent"),
                max_model_len=model.get("max_model_len"),
            )
            for model in reply["data"]
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise UpstreamInvalid(f"{exc!r} in a reply", expected="a list of models") from exc


def read_tokens(reply: JsonObject) -> tuple[int, ...]:
    """Return the token ids in a reply of `/tokenize`.

    Raises:
        UpstreamInvalid: the reply has another form.
    """
    tokens = reply.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise UpstreamInvalid(f"tokens {str(tokens)[:80]}", expected="a list of token ids")
    return tuple(tokens)


def _text(content: object) -> str:
    # A model that only thinks or only stops has no content.
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(f"content is a {type(content).__name__}")
    return content
