"""A running Milieu service, as a run asks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from app.errors import ServiceUnreachable
from cli.patience import call_patiently
from cli.service_client import ServiceClient
from estimation.source import AnswerFrom
from evaluation.asking import Ask, Request, Response, digest_of
from evaluation.errors import RespondentFailed
from prompting.recipe import ACTIVE_ADAPTER, Method


class _Later(Exception):
    """The service is busy or unavailable for the moment."""


class MilieuService:
    """A running Milieu service, asked by `/answer`; it retrieves and writes prompts itself.

    If it loads the pack, it never shows a question's own answers, but it may show those of an
    equivalent question.
    """

    def __init__(self, client: ServiceClient, *, n_orders: int) -> None:
        """Ask by `client`; the service averages over `n_orders` option orders itself."""
        self._client, self._n_orders = client, n_orders
        self._unsteered_as: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self._client.url

    async def identity(self) -> dict[str, str]:
        """Return what the service says about itself: its models and its surveys.

        Raises:
            RespondentFailed: it does not answer, or is not a Milieu service.
        """
        models = await self._send("GET", "/v1/models")
        cultures = await self._send("GET", "/v1/cultures")
        try:
            named = ", ".join(sorted(model["id"] for model in json.loads(models)["data"]))
        except (ValueError, KeyError, TypeError) as exc:
            fault = f"its list of models is not in the expected form ({exc!r})."
            raise RespondentFailed(self.name, fault) from exc
        return {"service's models": named, "service's surveys": digest_of(cultures)[:16]}

    async def active_adapters(self, cultures: Sequence[str]) -> dict[str, str]:
        """Return the adapter that the service answers with now for each of `cultures`, by code.

        Raises:
            RespondentFailed: it does not answer, or has none for one of them.
        """
        adapters = {}
        for culture in cultures:
            body: dict[str, Any] = {"question": "Is it?", "options": ["Yes", "No"]}
            body |= {"method": Method.ADAPTER, "adapter": ACTIVE_ADAPTER, "culture": culture}
            body |= {"answer_from": AnswerFrom.MODEL}
            reply = await self._send("POST", "/answer", body)
            _read_response(self.name, reply, body)
            adapters[culture] = str(json.loads(reply)["adapter"])
        return adapters

    async def request(self, ask: Ask) -> Request:
        if ask.recipe is None:
            raise ValueError("a service is asked by a recipe")
        culture, question = ask.culture, ask.question
        method = ask.recipe.method
        if ask.adapter is not None:
            method = method.with_adapter
        if method is Method.PLAIN:
            # The route wants a culture, but the answer is the same for all: one request is enough.
            culture = self._unsteered_as.setdefault(question.key, culture)
        body = {
            "question": question.text,
            "options": list(question.options),
            "culture": culture,
            "method": method,
            # The tables know more than the model, which is what is measured.
            "answer_from": AnswerFrom.MODEL,
            "k": ask.recipe.k,
            "exemplar_style": ask.recipe.style,
            "retriever": ask.recipe.retriever,
            "elsewhere": ask.recipe.n_elsewhere,
            "prompt_language": ask.recipe.prompt_language,
            "orders": self._n_orders,
            "seed": ask.seed,
        }
        if ask.adapter is not None:
            body["adapter"] = ask.adapter
        return Request(digest_of(self.name, body), body)

    async def respond(self, request: Request) -> Response:
        body: dict[str, Any] = request.content
        return _read_response(self.name, await self._send("POST", "/answer", body), body)

    async def _send(self, *request: Any) -> str:
        """Return the reply, waiting up to a minute for a service that restarts."""
        return await call_patiently(partial(self._send_once, *request), self.name, (_Later,))

    async def _send_once(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        try:
            status, text = await self._client.send(method, path, body)
        except ServiceUnreachable as exc:
            raise _Later(exc.reason) from exc
        if status in (429, 502, 503, 504):
            raise _Later(f"status {status}")
        if status != 200:
            raise RespondentFailed(self.name, f"status {status}: {text[:300]}.")
        return text


def _read_response(name: str, text: str, body: dict[str, Any]) -> Response:
    n_options, is_plain = len(body["options"]), body["method"] == Method.PLAIN
    try:
        reply: dict[str, Any] = json.loads(text)
        usage, option = reply["usage"], reply["option"]
        if body.get("adapter") is not None and reply["adapter"] is None:
            because = "; ".join(fallback["because"] for fallback in reply["fallbacks"])
            raise RespondentFailed(
                name, f"it had no adapter to answer for {body['culture']}: {because}."
            )
        shares = None
        if reply["shares"] is not None:
            shares = tuple(float(share["share"]) for share in reply["shares"])
        # Options that a client sends are numbered from 1.
        index = None if option is None else int(option["number"]) - 1
        if index not in (None, *range(n_options)) or len(shares or body["options"]) != n_options:
            raise ValueError(f"an option or shares that {n_options} options do not have")
        return Response(
            text=str(reply["answer"] or "") if index is None else None,
            option=index,
            shares=None if index is None else shares,
            prompt_tokens=int(usage["prompt_tokens"]),
            completion_tokens=int(usage["completion_tokens"]),
            steered=is_plain or bool(reply["steered"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise RespondentFailed(name, f"its reply is not an /answer response ({exc!r}).") from exc
