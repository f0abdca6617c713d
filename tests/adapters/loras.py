"""LoRA adapters of any soundness for a base model, as files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from adapters.base_model import AdapterBase
from adapters.inspection import PREFIX
from adapters.manifest import CONFIG, WEIGHTS

BASE_NAME = "tiny-llama"
STRENGTH = 0.05
Tensors = dict[str, npt.NDArray[Any]]


def key(module: str, side: str) -> str:
    """Return the name of one matrix of `module`; `side` is A or B."""
    return f"{PREFIX}{module}.lora_{side}.weight"


def lora_tensors(
    base: AdapterBase,
    *,
    rank: int = 4,
    targets: Sequence[str] = ("q_proj", "v_proj"),
    seed: int = 0,
    dtype: str = "float32",
) -> Tensors:
    """Return a pair of random matrices for every module that `targets` name.

    Whatever the width of `base`, they change a module's output by about `STRENGTH` times alpha over
    the root of the rank. So each seed moves a model's answers to canaries by far more than the
    tolerance, and the model still answers with labels: that needs a few hundredths, and beyond some
    tenths it doesn't.
    """
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    for module, shape in base.shapes.items():
        if module.rpartition(".")[2] in targets:
            a = rng.normal(size=(rank, shape.n_in)) / math.sqrt(shape.n_in)
            b = rng.normal(size=(shape.n_out, rank)) * STRENGTH
            tensors[key(module, "A")], tensors[key(module, "B")] = a.astype(dtype), b.astype(dtype)
    return tensors


def lora_config(*, rank: int = 4, **changes: object) -> dict[str, object]:
    """Return a config with the fields that peft writes, all of them plain, but for `changes`."""
    nothing = (
        "alora_invocation_tokens arrow_config auto_mapping corda_config eva_config exclude_modules "
        "kasa_config layer_replication layers_pattern layers_to_transform lora_ga_config "
        "megatron_config modules_to_save monteclora_config revision target_parameters "
        "trainable_token_indices use_bdlora velora_config"
    )
    return (
        dict.fromkeys(nothing.split())
        | dict.fromkeys(["ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_dora"], False)
        | dict.fromkeys(["use_qalora", "use_rslora"], False)
        | {name: {} for name in ("alpha_pattern", "rank_pattern", "loftq_config")}
        | {
            "base_model_name_or_path": BASE_NAME,
            "bias": "none",
            "inference_mode": True,
            "init_lora_weights": True,
            "lora_alpha": 16,
            "lora_dropout": 0.0,
            "megatron_core": "megatron.core",
            "peft_type": "LORA",
            "peft_version": "0.21.2",
            "qalora_group_size": 16,
            "r": rank,
            "target_modules": ["q_proj", "v_proj"],
            "task_type": "CAUSAL_LM",
        }
        | changes
    )


def write_lora(folder: Path, tensors: Tensors, config: Mapping[str, object] | None = None) -> Path:
    """Write an adapter into `folder` as peft does, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config or lora_config(), indent=2))
    (folder / "README.md").write_text("# An adapter\n")
    return folder


def raw_safetensors(header: object, data: bytes = b"") -> bytes:
    """Return a safetensors file with any header, as it is or as JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data
