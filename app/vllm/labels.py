"""Which token each option label is, as a model's own tokenizer and chat template write it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from app.vllm.once import OnceCache
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message

_ASKED = Message("user", "?")


class Tokenize(Protocol):
    """Turns a chat into token ids, ready for the answer or in the midst of the last message."""

    def __call__(
        self, prompt: Sequence[Message], model: str, *, continues: bool, thinks: bool
    ) -> Awaitable[tuple[int, ...]]:
        """Return the token ids of the chat in the template of `model`."""
        ...


class Opening(NamedTuple):
    """The tokens of a chat up to where its answer begins.

    `thinks` is False where the template has a switch for thoughts, which is off then: a label that
    follows thoughts is not the first token.
    """

    tokens: tuple[int, ...]
    thinks: bool


class LabelIds(NamedTuple):
    """One token id per label, as first token after an opening that `thinks` or does not."""

    ids: tuple[int, ...]
    thinks: bool


class LabelTokens:
    """Finds the token ids of labels and remembers them.

    A label is one token where the chat continued by an assistant message that is the label has
    exactly one token more than the chat that asks for an answer, and begins with it. This way
    template, leading space and merging are the model's own.
    """

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._openings = OnceCache(self._find_opening)
        self._ids = OnceCache(self._find_id)

    async def choose(self, model: str, asked: AskedQuestion) -> LabelScheme | None:
        """Return the first scheme whose labels are one token each, None where none is."""
        for scheme in asked.schemes:
            if await self.find(model, asked.labelled(scheme).labels) is not None:
                return scheme
        return None

    async def find(self, model: str, labels: Sequence[str]) -> LabelIds | None:
        """Return one token id per label, None where a label is not one token of its own."""
        found = await asyncio.gather(*(self._ids.get((model, label)) for label in labels))
        ids = tuple(token_id for token_id in found if token_id is not None)
        # Labels that the tokenizer cannot tell apart are all its unknown token.
        if len(set(ids)) < len(labels):
            return None
        return LabelIds(ids, await self.thinks(model))

    async def thinks(self, model: str) -> bool:
        """Return whether labels are read of a chat as it is, with no thoughts switched off."""
        return (await self._openings.get(model)).thinks

    async def _find_id(self, key: tuple[str, str]) -> int | None:
        model, label = key
        prefix, thinks = await self._openings.get(model)
        answered = (_ASKED, Message("assistant", label))
        whole = await self._tokenize(answered, model, continues=True, thinks=thinks)
        is_one_token = len(whole) == len(prefix) + 1 and whole[:-1] == prefix
        return whole[-1] if is_one_token else None

    async def _find_opening(self, model: str) -> Opening:
        usual, unthinking = await asyncio.gather(
            *(
                self._tokenize((_ASKED,), model, continues=False, thinks=thinks)
                for thinks in (True, False)
            )
        )
        return Opening(unthinking, thinks=usual == unthinking)
