"""The plugin that keeps adapters off requests without one; on the real vLLM: test_real_adapters."""

from __future__ import annotations

import importlib.metadata

import pytest

from app.vllm.child_command import CPU_LORA_PLUGIN
from app.vllm.cpu_lora import install, skip_no_adapter

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["bgmv_shrink", "bgmv_expand", "bgmv_expand_slice"])
def test_rows_without_an_adapter_are_not_touched_and_others_are_as_before(name: str) -> None:
    lora_ops = pytest.importorskip("vllm.lora.ops.torch_ops.lora_ops")
    kernel = getattr(lora_ops, name)
    kernel = getattr(kernel, "__wrapped__", kernel)
    draw = torch.Generator().manual_seed(3)
    inputs = torch.randn(5, 4, generator=draw)
    weights = torch.randn(3, 1, 6, 4, generator=draw)
    slots = torch.tensor([0, -1, 2, -1, 1])
    output = torch.zeros(5, 6)
    rest = (0, 6) if name == "bgmv_expand_slice" else ()

    skip_no_adapter(kernel)(inputs, weights, output, slots, *rest)

    expected = [
        torch.zeros(6) if slot < 0 else weights[slot, 0] @ row
        for row, slot in zip(inputs, slots.tolist(), strict=True)
    ]
    torch.testing.assert_close(output, torch.stack(expected))


def test_vllm_finds_it_installed() -> None:
    (plugin,) = importlib.metadata.entry_points(group="vllm.general_plugins", name=CPU_LORA_PLUGIN)

    assert plugin.load() is install
