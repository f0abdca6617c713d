"""The loss of a text under a served model, by the log-probabilities of a prompt."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import aiohttp


async def ask_loss(url: str, api_key: str, model: str, tokens: Sequence[int]) -> float:
    """Return the mean of -log p over all tokens but the first, in nats."""
    body = {"model": model, "prompt": list(tokens), "max_tokens": 1, "prompt_logprobs": 0}
    headers = {"Authorization": f"Bearer {api_key}"}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(f"{url}/v1/completions", json=body, headers=headers) as response,
    ):
        found = (await response.json())["choices"][0]["prompt_logprobs"]
    return -statistics.fmean(
        place[str(token)]["logprob"] for place, token in zip(found[1:], tokens[1:], strict=True)
    )
