"""Fixtures of the adapters' tests: a base model, and adapters for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base_model import AdapterBase, read_base_model
from tests.adapters.loras import BASE_NAME, lora_tensors, write_lora
from tests.tiny_llama import tiny_llama


@pytest.fixture(scope="session")
def base() -> AdapterBase:
    return read_base_model(tiny_llama(), name=BASE_NAME)


@pytest.fixture
def lora(tmp_path: Path, base: AdapterBase) -> Path:
    """A sound adapter of rank 4 on q_proj and v_proj."""
    return write_lora(tmp_path / "lora", lora_tensors(base))
