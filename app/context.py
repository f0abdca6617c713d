"""How many tokens the served model reads, and how many a prompt has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from app.errors import UpstreamModelMissing
from app.vllm_client import VllmClient
from retrieval.prompting import Message

# What a chat template adds to a message, generously; for the quick bound only.
TEMPLATE_TOKENS = 16


class ContextWindow:
    """Counts tokens as the served model does."""

    def __init__(
        self,
        vllm: VllmClient,
        *,
        default_tokens: int,
        count_text: Callable[[str], int] | None = None,
    ) -> None:
        """Ask `vllm`; a server that does not tell its limit is taken to read `default_tokens`.

        `count_text` counts the tokens of a text as the model does, where its tokenizer is at hand;
        that saves a call to the server.
        """
        self._vllm = vllm
        self._default = default_tokens
        self._count_text = count_text or _n_bytes
        self._known: dict[str, int] = {}

    async def n_tokens(self, model: str) -> int:
        """Return how many tokens `model` reads and writes together. Asked once per model.

        Raises:
            UpstreamModelMissing: no server serves `model`.
            UpstreamError: no server answers.
        """
        if model not in self._known:
            served = {found.id: found.max_model_len for found in await self._vllm.models()}
            if model not in served:
                listed = ", ".join(sorted(served)) or "nothing"
                raise UpstreamModelMissing(model, f"it serves {listed}.")
            self._known[model] = served[model] or self._default
        return self._known[model]

    async def count(self, messages: Sequence[Message], model: str, *, at_most: int) -> int:
        """Return the number of tokens of a prompt, or a bound on it that is within `at_most`.

        A token is at least one byte of text, so most prompts need no call to be known to fit.
        """
        bound = sum(self._count_text(message.content) + TEMPLATE_TOKENS for message in messages)
        if bound <= at_most:
            return bound
        return len(await self._vllm.tokenize(messages, model=model))


def file_counter(tokenizer_file: Path) -> Callable[[str], int]:
    """Return a function that counts tokens as the tokenizer in `tokenizer_file` does."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))

    def count(text: str) -> int:
        return len(tokenizer.encode(text))

    return count


def _n_bytes(text: str) -> int:
    return len(text.encode())
