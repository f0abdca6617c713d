"""Fits a prompt into the context of the served model, by leaving out what it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tokenizers import Tokenizer

from app.errors import ContextTooSmall
from app.vllm.client import VllmClient
from prompting.messages import Message, Steering

# What a chat template adds to a message, generously; for the quick bound only.
TEMPLATE_TOKENS = 16
# Paragraphs that are counted once: what exemplars say, which is much the same in many prompts.
N_PARAGRAPHS, MAX_CHARACTERS = 4096, 1000
_PARAGRAPH = re.compile(r"(?<=\n\n)")

Build: TypeAlias = Callable[[Steering], tuple[Message, ...]]
CountText: TypeAlias = Callable[[str], int]


class Fitted(NamedTuple):
    """A prompt that fits, what it says, and the `budget` of tokens that it fits into."""

    messages: tuple[Message, ...]
    steering: Steering
    budget: int


class ContextWindow:
    """Knows how many tokens the served model reads, and how many a prompt has."""

    def __init__(self, vllm: VllmClient, *, count_text: CountText | None = None) -> None:
        """Ask `vllm`.

        `count_text` tells how many tokens a text has for the model, or a few more, where its
        tokenizer is at hand; that saves a call to the server.
        """
        self._vllm = vllm
        self._count_text = count_text or _n_bytes

    async def fit(
        self,
        steering: Steering,
        build: Build,
        *,
        model: str,
        n_reply_tokens: int,
        bare: Steering,
    ) -> Fitted:
        """Return the prompt with as many exemplars, nearest first, as there is room for.

        What a chat is told is left out last. Where a method that shows exemplars is left with
        neither, `bare` takes its place.

        Raises:
            ContextTooSmall: the prompt does not fit even without both.
            UpstreamError: vLLM does not tell.
        """
        n_context = await self._vllm.context_tokens(model)
        budget = n_context - n_reply_tokens
        while True:
            messages = build(steering)
            n_tokens = await self._count(messages, model, at_most=budget)
            if n_tokens <= budget:
                return Fitted(messages, steering, budget)
            n_shown = len(steering.exemplars)
            if not n_shown and steering.statement is None:
                raise ContextTooSmall(n_tokens, n_context=n_context, n_reply=n_reply_tokens)
            n_kept = max(0, min(n_shown - 1, n_shown * budget // n_tokens))
            steering = _shorten(steering, n_kept, bare)

    async def _count(self, messages: Sequence[Message], model: str, *, at_most: int) -> int:
        """Return the number of tokens of a prompt, or a bound on it that is within `at_most`.

        A token is at least one byte of text, so most prompts need no call to be known to fit.
        """
        bound = sum(self._count_text(message.content) + TEMPLATE_TOKENS for message in messages)
        return bound if bound <= at_most else await self._vllm.count_tokens(messages, model=model)


def _shorten(steering: Steering, n_kept: int, bare: Steering) -> Steering:
    """Return what is left with `n_kept` exemplars, or, where there were none, without statement."""
    statement = steering.statement if steering.exemplars else None
    if steering.method.shows_exemplars and not n_kept and statement is None:
        return bare
    return replace(steering, exemplars=steering.exemplars[:n_kept], statement=statement)


def file_counter(tokenizer_file: Path) -> CountText:
    """Return a function that bounds the tokens of a text by the tokenizer in `tokenizer_file`.

    It counts paragraph by paragraph, and one token more for each: what is between two may be
    another token in the whole text than at the end of the first.
    """
    tokenizer = Tokenizer.from_file(str(tokenizer_file))

    def count(paragraph: str) -> int:
        return len(tokenizer.encode(paragraph))

    count_again = lru_cache(maxsize=N_PARAGRAPHS)(count)

    def count_text(text: str) -> int:
        paragraphs = _PARAGRAPH.split(text)
        return len(paragraphs) + sum(
            (count_again if len(each) <= MAX_CHARACTERS else count)(each) for each in paragraphs
        )

    return count_text


def _n_bytes(text: str) -> int:
    return len(text.encode())
