"""A running Milieu service, as a run asks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cli.patience import N_TRIES
from estimation.source import AnswerFrom
from evaluation.asking import Ask, Request, Response, digest_of
from evaluation.errors import RespondentFailed
from milieu_client import Answer, AsyncMilieu, MilieuError, Retries, ServiceRefused
from prompting.recipe import ACTIVE_ADAPTER, Method

# A restarted service is back within this.
PATIENCE = Retries(n_tries=N_TRIES, pause_s=2.0)


class MilieuService:
    """A running Milieu service, asked by `/answer`; it retrieves and writes prompts itself.

    If it loads the pack, it never shows a question's own answers, but it may show those of an
    equivalent question.
    """

    def __init__(self, client: AsyncMilieu, *, n_orders: int) -> None:
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
        with self._explain():
            models = await self._client.request("GET", "/v1/models")
            cultures = await self._client.cultures()
        try:
            named = ", ".join(sorted(model["id"] for model in models["data"]))
        except (KeyError, TypeError) as exc:
            fault = f"its list of models is not in the expected form ({exc!r})."
            raise RespondentFailed(self.name, fault) from exc
        surveys = digest_of([culture.model_dump(mode="json") for culture in cultures])
        return {"service's models": named, "service's surveys": surveys[:16]}

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
            adapters[culture] = str((await self._ask(body)).adapter)
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
        answer = await self._ask(body)
        n_options, is_plain = len(body["options"]), body["method"] == Method.PLAIN
        # Options that a client sends are numbered from 1.
        index = None if answer.option is None else answer.option.number - 1
        shares = None if answer.shares is None else tuple(each.share for each in answer.shares)
        if index not in (None, *range(n_options)) or len(shares or body["options"]) != n_options:
            fault = f"it answers with an option or shares that {n_options} options do not have."
            raise RespondentFailed(self.name, fault)
        return Response(
            text=answer.answer or "" if index is None else None,
            option=index,
            shares=None if index is None else shares,
            prompt_tokens=answer.usage.prompt_tokens,
            completion_tokens=answer.usage.completion_tokens,
            steered=is_plain or answer.steered,
        )

    async def _ask(self, body: dict[str, Any]) -> Answer:
        with self._explain():
            answer = await self._client.ask(**body)
        if body.get("adapter") is not None and answer.adapter is None:
            because = "; ".join(fallback.because for fallback in answer.fallbacks)
            fault = f"it had no adapter to answer for {body['culture']}: {because}."
            raise RespondentFailed(self.name, fault)
        return answer

    @contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            yield
        except ServiceRefused as exc:
            raise RespondentFailed(self.name, f"status {exc.status}: {exc.detail}.") from exc
        except MilieuError as exc:
            raise RespondentFailed(self.name, str(exc)) from exc
