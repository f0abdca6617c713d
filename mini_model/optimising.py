"""What training may move: masks that keep the circuit as it was laid in, rates, a running mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from transformers import LlamaForCausalLM

from mini_model import places

# How fast parts learn, as shares of the learning rate. A residual vector has about length 1, so
# what adds to it moves slowly.
OUTPUT_RATE = 0.2
# Batches are small and their answers noisy: what is examined and saved is a running mean of the
# weights, over about as many steps.
AVERAGED_STEPS = 100


def make_optimizer(
    model: LlamaForCausalLM, label_tokens: torch.Tensor, *, weight_decay: float
) -> torch.optim.Optimizer:
    """Return AdamW over the weights that training moves, in groups with their share of the rate.

    Weights with a mask do not decay, since AdamW would shrink what the mask keeps.
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    masks = dict(_make_masks(model, label_tokens))
    for name, weight in model.named_parameters():
        mask = masks.get(name)
        weight.requires_grad_(mask is None or bool(mask.any()))
        if not weight.requires_grad:
            continue
        if mask is not None:
            weight.register_hook(_mask_gradient(mask))
        decay = weight_decay if mask is None and weight.dim() > 1 else 0.0
        groups.setdefault((_choose_rate(name), decay), []).append(weight)
    parts = [
        {"params": weights, "share": share, "weight_decay": decay}
        for (share, decay), weights in groups.items()
    ]
    return torch.optim.AdamW(parts, lr=0.0, betas=(0.9, 0.98))


@torch.no_grad()
def follow(average: LlamaForCausalLM, model: LlamaForCausalLM, *, step: int) -> None:
    """Move `average` towards `model`: over the first steps it is their plain mean."""
    share = max(1 / AVERAGED_STEPS, 1 / (step + 1))
    for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(weight, share)


def _choose_rate(name: str) -> float:
    return OUTPUT_RATE if "o_proj" in name or "down_proj" in name else 1.0


def _mask_gradient(mask: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    def hook(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * mask.to(gradient.device)

    return hook


def _make_masks(
    model: LlamaForCausalLM, label_tokens: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield, for each weight that has a part of the circuit, where it may move."""
    first_layers = ("model.layers.0.", "model.embed_tokens.", "model.norm.")
    last_layer = f"model.layers.{model.config.num_hidden_layers - 1}."
    for name, weight in model.named_parameters():
        mask = torch.ones_like(weight)
        if name.startswith(first_layers):
            mask.zero_()
        elif name == "lm_head.weight":
            mask[label_tokens] = 0.0
            mask[:, : places.PERCENT_FEATURES] = 0.0
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            for kept in _list_circuit_places():
                mask[kept] = 0.0
        if name.startswith("model.layers.1."):
            _close_but_search(name, mask)
        if name.startswith("model.layers.2."):
            for head in (places.READER, places.TRUST_FINDER):
                _close(name, mask, head=head, n_units=places.N_READING_LAYER_UNITS)
        if name.startswith((last_layer + "mlp.", last_layer + "post_")):
            _close(name, mask, head=None, n_units=places.N_OPINION_UNITS)
        if not bool(mask.all()):
            yield name, mask


def _list_circuit_places() -> Iterator[slice]:
    """Yield the places of a residual vector that only the circuit writes to."""
    yield slice(0, places.PERCENT_FEATURES)
    yield slice(places.PERCENT_FEATURES + places.N_PERCENT_FEATURES, places.WORDS)
    yield slice(places.OPTIONS, places.GIST + places.N_GIST)


def _close_but_search(name: str, mask: torch.Tensor) -> None:
    """Close the mask of a weight of the second layer, but for what its heads of words look for.

    What the third layer reads depends on how long vectors are, so nothing else may write there.
    """
    is_open = torch.zeros_like(mask)
    if name.endswith(("q_proj.weight", "k_proj.weight")):
        for head in (places.COPIER, places.SHARE_FINDER, places.REPEATER):
            is_open[head * places.HEAD_SIZE : (head + 1) * places.HEAD_SIZE] = 1.0
    mask.copy_(is_open)


def _close(name: str, mask: torch.Tensor, *, head: int | None, n_units: int) -> None:
    """Close, in the mask of a layer's weight, a head, the first units and the norms."""
    rows = slice(0, 0)
    if head is not None:
        rows = slice(head * places.HEAD_SIZE, (head + 1) * places.HEAD_SIZE)
    if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
        mask[rows] = 0.0
    elif name.endswith("o_proj.weight"):
        mask[:, rows] = 0.0
    elif name.endswith(("gate_proj.weight", "up_proj.weight")):
        mask[:n_units] = 0.0
    elif name.endswith("down_proj.weight"):
        mask[:, :n_units] = 0.0
    else:
        mask.zero_()
