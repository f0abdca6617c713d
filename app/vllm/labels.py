"""Which token each option label is, as a model's own tokenizer and chat template write it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from app.vllm.once import OnceCache
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message

_ASKED = Message("user", "?")


class Tokenize(Protocol):
    """Turns a chat into token ids, ready for the answer or in the midst of the last message."""

    def __call__(
        self, prompt: Sequence[Message], model: str, *, continues: bool
    ) -> Awaitable[tuple[int, ...]]:
        """Return the token ids of the chat in the template of `model`."""
        ...


class LabelTokens:
    """Finds the token ids of labels and remembers them.

    A label is one token where the chat continued by an assistant message that is the label has
    exactly one token more than the chat that asks for an answer, and begins with it. This way
    template, leading space and merging are the model's own.
    """

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._prefixes = OnceCache(self._find_prefix)
        self._ids = OnceCache(self._find)

    async def choose(self, model: str, asked: AskedQuestion) -> LabelScheme | None:
        """Return the first scheme whose labels are one token each, None where none is."""
        for scheme in asked.schemes:
            if await self.ids(model, asked.labelled(scheme).labels) is not None:
                return scheme
        return None

    async def ids(self, model: str, labels: Sequence[str]) -> tuple[int, ...] | None:
        """Return one token id per label, None where a label is not one token of its own."""
        found = await asyncio.gather(*(self._ids.get((model, label)) for label in labels))
        ids = tuple(token_id for token_id in found if token_id is not None)
        # Labels that the tokenizer cannot tell apart are all its unknown token.
        return ids if len(set(ids)) == len(labels) else None

    async def _find(self, key: tuple[str, str]) -> int | None:
        model, label = key
        prefix = await self._prefixes.get(model)
        answered = (_ASKED, Message("assistant", label))
        whole = await self._tokenize(answered, model, continues=True)
        is_one_token = len(whole) == len(prefix) + 1 and whole[:-1] == prefix
        return whole[-1] if is_one_token else None

    async def _find_prefix(self, model: str) -> tuple[int, ...]:
        return await self._tokenize((_ASKED,), model, continues=False)
