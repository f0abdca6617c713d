"""What a batch of training costs: the answers' divergence, the replies' cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from mini_model.corpus import IGNORE, TrainingSequence
from mini_model.stages import Mixture

REPLY_WEIGHT = 0.5


def compute_losses(
    model: LlamaForCausalLM,
    rows: Sequence[TrainingSequence],
    label_tokens: torch.Tensor,
    *,
    mixture: Mixture,
    teacher: LlamaForCausalLM | None,
) -> dict[str, torch.Tensor]:
    """Return the loss to minimise, its parts, and the divergence by number of exemplars.

    With a `teacher` its answers are the right ones.
    """
    device = label_tokens.device
    tokens, targets, n_before, reply_weight = (
        torch.from_numpy(np.stack([getattr(row, name) for row in rows])).to(device)
        for name in TrainingSequence._fields
    )
    is_reply = reply_weight > 0
    with torch.autocast(device.type, dtype=torch.bfloat16):
        hidden = model.model(tokens).last_hidden_state
    answers = n_before != IGNORE
    # In float32, which compiles nothing: their number differs from batch to batch.
    logits = model.lm_head(hidden[answers].float())
    replies = model.lm_head(hidden[:, :-1][is_reply[:, :-1]].float())
    log_probs = functional.log_softmax(logits.float(), dim=-1)[:, label_tokens]
    wanted = targets[answers]
    if teacher is not None and len(wanted):
        wanted = _ask_teacher(teacher, tokens, answers, label_tokens)
    # Kullback-Leibler divergence, so that a perfect answer costs nothing whatever its entropy.
    entropy = torch.special.entr(wanted).sum(-1)
    divergence = -(wanted * log_probs).sum(-1) - entropy
    weight = _weigh_answers(n_before, asked_weight=mixture.asked_weight)
    # A batch may hold replies alone.
    parts = {"answer": (weight * divergence).sum() / weight.sum().clamp_min(1.0)}
    total = mixture.answer_weight * parts["answer"]
    if len(replies):
        parts["reply"] = _compute_reply_loss(replies, tokens, reply_weight)
        total = total + REPLY_WEIGHT * parts["reply"]
    return {"total": total, **parts, **_split_by_exemplars(divergence, n_before[answers])}


def _compute_reply_loss(
    replies: torch.Tensor, tokens: torch.Tensor, reply_weight: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy of the words of replies, each with its weight."""
    is_reply = reply_weight > 0
    said = functional.cross_entropy(replies, tokens[:, 1:][is_reply[:, :-1]], reduction="none")
    counts_for = reply_weight[is_reply]
    return (counts_for * said).sum() / counts_for.sum()


def _weigh_answers(n_before: torch.Tensor, *, asked_weight: float) -> torch.Tensor:
    """Return the weight of each answer: `asked_weight` for the last one of a row, 1 for others."""
    answers = n_before != IGNORE
    last = torch.zeros_like(n_before, dtype=torch.bool)
    last[torch.arange(len(n_before)), n_before.argmax(dim=1)] = True
    weight = torch.ones(int(answers.sum()), device=n_before.device)
    weight[(last & answers)[answers]] = asked_weight
    return weight


def _split_by_exemplars(divergence: torch.Tensor, counts: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the mean divergence of answers that had none, one, a few and many before them."""
    parts = {}
    for name, low, high in (("kl_0", 0, 0), ("kl_1", 1, 1), ("kl_2_4", 2, 4), ("kl_5", 5, 99)):
        chosen = (counts >= low) & (counts <= high)
        if chosen.any():
            parts[name] = divergence[chosen].mean().detach()
    return parts


@torch.no_grad()
def _ask_teacher(
    teacher: LlamaForCausalLM,
    tokens: torch.Tensor,
    answers: torch.Tensor,
    label_tokens: torch.Tensor,
) -> torch.Tensor:
    """Return the shares that a model gives the labels at the places of `answers`."""
    rows = answers.any(dim=1)
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
        hidden = teacher.model(tokens[rows]).last_hidden_state
    logits = teacher.lm_head(hidden[answers[rows]].float())
    return torch.softmax(logits[:, label_tokens], dim=-1)
