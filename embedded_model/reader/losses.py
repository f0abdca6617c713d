"""What training makes small: the losses of replies and of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from embedded_model.reader.encoding import Encoded


class Losses(NamedTuple):
    """Sums over a batch in nats.

    Attributes:
        reply: of the tokens of replies.
        label: of labels, by the people's shares.
    """

    reply: torch.Tensor
    label: torch.Tensor


class Counts(NamedTuple):
    """How many tokens or labels each loss is of, at least one."""

    reply: int
    label: int


def count(rows: Sequence[Encoded]) -> Counts:
    """Return what the losses of a step are divided by."""
    label = sum(1 for row in rows if row.labels)
    reply = sum(len(row.places) for row in rows) - label
    return Counts(max(1, reply), max(1, label))


def compute_losses(model: Any, rows: Sequence[Encoded]) -> Losses:
    """Return the losses of `rows`, of a PEFT model."""
    logits = _compute_logits(model, rows)
    device = logits.device
    ends = torch.tensor([len(row.places) for row in rows]).cumsum(0).tolist()
    parts = [logits[end - len(row.places) : end] for row, end in zip(rows, ends, strict=True)]
    zero = logits.new_zeros(())
    reply, label = zero, zero
    for row, part in zip(rows, parts, strict=True):
        if row.labels:
            chances = functional.log_softmax(part[-1], dim=-1)[list(row.labels)]
            label = label - (chances * torch.tensor(row.shares, device=device)).sum()
        else:
            wanted = torch.tensor(row.wanted, device=device)
            reply = reply + functional.cross_entropy(part, wanted, reduction="sum")
    return Losses(reply, label)


def _compute_logits(model: Any, rows: Sequence[Encoded]) -> torch.Tensor:
    """Return float32[n, vocabulary] of all places, row by row.

    Rows are padded at their end, where nothing that counts looks, so no mask is needed.
    """
    inner = model.get_base_model()
    device = next(inner.parameters()).device
    tokens = torch.zeros((len(rows), max(len(row.tokens) for row in rows)), dtype=torch.long)
    for i, row in enumerate(rows):
        tokens[i, : len(row.tokens)] = torch.tensor(row.tokens)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        hidden = inner.model(input_ids=tokens.to(device), use_cache=False).last_hidden_state
        picked = torch.cat([hidden[i, row.places] for i, row in enumerate(rows)])
        logits: torch.Tensor = inner.lm_head(picked)
    return logits.float()
