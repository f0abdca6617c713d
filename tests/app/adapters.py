"""A service on a fake vLLM that takes adapters, and a registry to take them from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.manifest import AdapterFacts
from adapters.registry import AdapterRegistry
from app.model_files import prepare_model_files
from app.settings import Settings
from app.state.adapters import load_adapter_base
from tests.adapters.loras import lora_config, lora_tensors, write_lora
from tests.app.service import settings_for
from tests.tiny_llama import tiny_llama


def adapter_settings(url: str, cache_folder: Path, folder: Path, **overrides: object) -> Settings:
    """Return settings for a vLLM at `url` that takes adapters, with the registry in `folder`."""
    base = folder / "base"
    if not base.exists():
        base.symlink_to(tiny_llama())
    vllm = {"lora": True, "model_path": base, "max_cpu_loras": 4}
    return settings_for(url, cache_folder, data_folder=folder, vllm=vllm, **overrides)


def add_adapter(settings: Settings, name: str, cultures: Sequence[str], *, seed: int = 0) -> str:
    """Add an adapter of random weights to the registry of `settings`; return its version name."""
    base = load_adapter_base(prepare_model_files(settings), settings.model)
    source = settings.data_folder / f"source-{name}-{seed}"
    config = lora_config(base_model_name_or_path=settings.model)
    write_lora(source, lora_tensors(base, seed=seed), config)
    manifest = AdapterRegistry(settings.adapters_folder).add(
        source,
        base=base,
        max_rank=settings.vllm.max_lora_rank,
        name=name,
        cultures=cultures,
        about=AdapterFacts(method="random", licence="CC0-1.0"),
    )
    return manifest.version_name
