"""The kernels that keep adapters apart on a CPU; on the real vLLM: test_real_adapters."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.vllm.child_command import CPU_LORA_PLUGIN
from app.vllm.cpu_lora import add_lora_linear, bgmv_expand, bgmv_shrink, group_after, install

torch = pytest.importorskip("torch")

MIXED, ALONE, NONE = (0, -1, 2, -1, 1), (2,) * 5, (-1,) * 5
SLOTS = pytest.mark.parametrize("slots", [MIXED, ALONE, NONE], ids=["mixed", "alone", "none"])
RANK, N_IN = 3, 4

Draw = Callable[..., Any]


@pytest.fixture
def draw() -> Draw:
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(*shape, generator=generator)


def make_wrapper(*batches: tuple[int, ...]) -> SimpleNamespace:
    """Return what stands in for vLLM's wrapper after these batches, the slot of each row."""

    def update(wrapper: SimpleNamespace, slots: tuple[int, ...]) -> None:
        wrapper.token_lora_indices = torch.tensor(slots)

    wrapper = SimpleNamespace()
    for slots in batches:
        group_after(update)(wrapper, slots)
    return wrapper


@SLOTS
def test_rows_are_multiplied_by_their_own_adapter_and_others_are_not_touched(
    draw: Draw, slots: tuple[int, ...]
) -> None:
    x, widths = draw(5, N_IN), (6, 2)
    a = tuple(draw(3, 1, RANK, N_IN) for _ in widths)
    b = tuple(draw(3, 1, width, RANK) for width in widths)
    y = draw(5, sum(widths))
    expected = y.clone()
    for row, slot in enumerate(slots):
        if slot >= 0:
            added = [2.0 * (v[slot, 0] @ (u[slot, 0] @ x[row])) for u, v in zip(a, b, strict=True)]
            expected[row] += torch.cat(added)

    wrapper = make_wrapper(slots)
    add_lora_linear(wrapper, y, x, a, b, 2.0, widths)

    torch.testing.assert_close(y, expected)


def test_each_batch_has_its_own_rows() -> None:
    x, y = torch.ones(2, N_IN), torch.zeros(2, 1)
    a, b = torch.ones(2, 1, RANK, N_IN), torch.ones(2, 1, 1, RANK)

    for batches in ((), ((0, 0), (-1, -1))):
        add_lora_linear(make_wrapper(*batches), y, x, (a,), (b,), 1.0, (1,))
        assert y.tolist() == [[0.0], [0.0]]

    add_lora_linear(make_wrapper((0, 0), (-1, 1)), y, x, (a,), (b,), 1.0, (1,))
    assert y.tolist() == [[0.0], [RANK * N_IN]]


@SLOTS
def test_shrinking_writes_over_what_was_there(draw: Draw, slots: tuple[int, ...]) -> None:
    x, a, y = draw(5, N_IN), draw(3, 1, RANK, N_IN), draw(5, RANK)

    bgmv_shrink(x, a, y, torch.tensor(slots), 0.5)

    for row, slot in enumerate(slots):
        wanted = 0.5 * a[slot, 0] @ x[row] if slot >= 0 else torch.zeros(RANK)
        torch.testing.assert_close(y[row], wanted)


@SLOTS
@pytest.mark.parametrize("add_inputs", [True, False])
def test_expanding_adds_or_writes_as_wide_as_the_output(
    draw: Draw, slots: tuple[int, ...], *, add_inputs: bool
) -> None:
    x, b, y = draw(5, RANK), draw(3, 1, 6, RANK), draw(5, 5)
    before = y.clone() if add_inputs else torch.zeros(5, 5)

    bgmv_expand(x, b, y, torch.tensor(slots), add_inputs)

    for row, slot in enumerate(slots):
        wanted = before[row] + (b[slot, 0] @ x[row])[:5] if slot >= 0 else before[row]
        torch.testing.assert_close(y[row], wanted)


def test_adapters_of_another_precision_than_the_model_are_taken() -> None:
    x, y = torch.ones(1, N_IN), torch.zeros(1, 2)
    a, b = torch.ones(1, 1, RANK, N_IN).bfloat16(), torch.ones(1, 1, 2, RANK).bfloat16()

    wrapper = make_wrapper((0,))
    add_lora_linear(wrapper, y, x, (a,), (b,), 1.0, (2,))

    assert y.tolist() == [[12.0, 12.0]]


def test_vllm_finds_it_installed() -> None:
    (plugin,) = importlib.metadata.entry_points(group="vllm.general_plugins", name=CPU_LORA_PLUGIN)

    assert plugin.load() is install
