"""Greedy replies of a model, from a folder of weights or from a server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedded_model.reader.encoding import Encoded, encode_prompt
from prompting.messages import Message

# What is computed at once, padding among the tokens.
MAX_ROWS, MAX_TOKENS = 32, 8192
TIMEOUT_S = 120.0


class Reply(NamedTuple):
    """A greedy reply, and whether it ended before its tokens were used up."""

    text: str
    is_whole: bool


class Replier(Protocol):
    """A model that replies to chats."""

    def reply(self, chats: Sequence[Sequence[Message]], *, max_tokens: int) -> list[Reply]:
        """Return the likeliest reply to each chat, of at most `max_tokens` tokens."""


class FolderModel:
    """A model in a folder, computed in float32 by transformers."""

    def __init__(self, folder: Path, *, reader: Path | None = None) -> None:
        """Load the model, with the adapter in `reader` if there is one."""
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if reader is not None:
            model = PeftModel.from_pretrained(model, reader).merge_and_unload()
        self._model = model.eval()

    def reply(self, chats: Sequence[Sequence[Message]], *, max_tokens: int) -> list[Reply]:
        """Return the likeliest reply to each chat, of at most `max_tokens` tokens."""
        prompts = [encode_prompt(chat, self.tokenizer) for chat in chats]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        replies: dict[int, Reply] = {}
        for rows in divide(order, [len(prompt) for prompt in prompts]):
            found = self._generate([prompts[i] for i in rows], max_tokens)
            replies.update(zip(rows, found, strict=True))
        return [replies[i] for i in range(len(prompts))]

    @torch.inference_mode()
    def score_labels(self, encoded: Encoded) -> list[float]:
        """Return the probability of each label after a prompt, together at most 1."""
        tokens = torch.tensor([encoded.tokens])
        logits = self._model(input_ids=tokens, logits_to_keep=1).logits[0, -1]
        chances: list[float] = torch.softmax(logits, dim=-1)[list(encoded.labels)].tolist()
        return chances

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[list[int]], max_tokens: int) -> list[Reply]:
        width = max(map(len, prompts))
        end = self.tokenizer.eos_token_id
        padded = torch.tensor([[end] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        found = self._model.generate(
            input_ids=padded, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False,
            pad_token_id=end,
        )  # fmt: skip
        return [self._decode(row, end) for row in found[:, width:].tolist()]

    def _decode(self, tokens: list[int], end: int) -> Reply:
        is_whole = end in tokens
        kept = tokens[: tokens.index(end)] if is_whole else tokens
        return Reply(self.tokenizer.decode(kept), is_whole)


def divide(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the rows of `order`, which grow longer, in parts that are computed at once."""
    part: list[int] = []
    for row in order:
        if part and (len(part) == MAX_ROWS or lengths[row] * (len(part) + 1) > MAX_TOKENS):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


class ServedModel:
    """A model behind an OpenAI-compatible server."""

    def __init__(self, url: str, model: str) -> None:
        """Take the server's URL up to `/v1`, and the name that the model is served by."""
        self._url, self._name = f"{url.rstrip('/')}/chat/completions", model

    def reply(self, chats: Sequence[Sequence[Message]], *, max_tokens: int) -> list[Reply]:
        """Return the likeliest reply to each chat, of at most `max_tokens` tokens.

        Raises:
            OSError: the server cannot be reached, or answers with an error.
        """
        return [self._ask(chat, max_tokens) for chat in chats]

    def _ask(self, chat: Sequence[Message], max_tokens: int) -> Reply:
        body: dict[str, Any] = {
            "model": self._name,
            "messages": [{"role": each.role, "content": each.content} for each in chat],
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        request = urllib.request.Request(  # noqa: S310  # the URL is the caller's own
            self._url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as found:  # noqa: S310
            choice = json.load(found)["choices"][0]
        return Reply(choice["message"]["content"] or "", choice["finish_reason"] == "stop")
