"""A LoRA in PEFT's format, merged into weights: W + scale · B · A."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors

from embedded_model.errors import LoraRefused
from embedded_model.gguf import Floats
from files.hashes import hash_file
from files.json_text import load_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
# What PEFT can add to a LoRA, and the only values of it that are merged here.
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "use_dora": (False, None),
    "bias": ("none", None),
    "lora_bias": (False, None),
    "fan_in_fan_out": (False, None),
    "modules_to_save": (None, []),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
}


class Pair(NamedTuple):
    """The factors of one module: `down` float32[rank, n_in], `up` float32[n_out, rank]."""

    down: Floats
    up: Floats


@dataclass(frozen=True, slots=True)
class Lora:
    """What is added to a model's weights, and from which files.

    Attributes:
        folder: where it was read.
        scale: alpha over rank, or over its root where the LoRA is rank-stabilised.
        pairs: the factors for each weight, by the weight's name in transformers.
        sha256: of its two files, by name.
    """

    folder: Path
    scale: float
    pairs: Mapping[str, Pair] = field(repr=False)
    sha256: Mapping[str, str]

    def merge(self, name: str, weights: Floats) -> Floats:
        """Return `weights` with what the LoRA adds to the tensor `name`; often nothing.

        Raises:
            LoraRefused: the LoRA is for weights of another shape.
        """
        pair = self.pairs.get(name)
        if pair is None:
            return weights
        shape = (len(pair.up), pair.down.shape[-1])
        if shape != weights.shape:
            found, expected = f"{shape} for {name}", f"{weights.shape}"
            raise LoraRefused(self.folder, found=found, expected=expected)
        return weights + (pair.up @ pair.down) * np.float32(self.scale)

    def check_all_used(self, names: set[str]) -> None:
        """Check that the model has a tensor for each of the LoRA's pairs.

        Raises:
            LoraRefused: it has none for one of them.
        """
        if unknown := sorted(self.pairs.keys() - names):
            raise LoraRefused(self.folder, found=unknown[0], expected="a weight of the model")


def read_lora(folder: Path) -> Lora:
    """Return the LoRA in `folder`.

    Raises:
        LoraRefused: a file is missing or cannot be read, or it is more than a plain LoRA.
    """
    config, file = _read_config(folder / CONFIG), folder / WEIGHTS
    try:
        stored = dict(safetensors.deserialize(file.read_bytes()))
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    except (OSError, safetensors.SafetensorError) as exc:
        raise LoraRefused(file, found=str(exc), expected="a safetensors file") from exc
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as exc:
        raise LoraRefused(folder / CONFIG, found=repr(exc), expected="r and lora_alpha") from exc
    pairs = {}
    for key in stored:
        name = key.removeprefix(_PREFIX).removesuffix(_UP).removesuffix(_DOWN)
        down, up = (stored.get(f"{_PREFIX}{name}{end}") for end in (_DOWN, _UP))
        if down is None or up is None:
            raise LoraRefused(file, found=key, expected=f"pairs of {_PREFIX}…{_DOWN} and …{_UP}")
        pairs[f"{name}.weight"] = Pair(_read_matrix(file, down), _read_matrix(file, up))
        if len(pairs[f"{name}.weight"].down) != rank:
            found = f"rank {len(pairs[f'{name}.weight'].down)} in {key}"
            raise LoraRefused(file, found=found, expected=f"{rank}, as in {CONFIG}")
    return Lora(
        folder, scale, pairs, {each.name: hash_file(each) for each in (folder / CONFIG, file)}
    )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = load_json(file.read_bytes())
    except (OSError, ValueError) as exc:
        raise LoraRefused(file, found=str(exc), expected="PEFT's configuration") from exc
    if not isinstance(config, dict):
        raise LoraRefused(file, found="no JSON object", expected="PEFT's configuration")
    for name, plain in _PLAIN.items():
        if config.get(name, plain[0]) not in plain:
            raise LoraRefused(file, found=f"{name} = {config[name]!r}", expected=f"{plain[0]!r}")
    return config


def _read_matrix(file: Path, stored: Mapping[str, Any]) -> Floats:
    kinds = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    shape, kind = tuple(stored["shape"]), stored["dtype"]
    if len(shape) != 2 or kind not in kinds:
        raise LoraRefused(file, found=f"{kind} of shape {shape}", expected="a matrix of floats")
    numbers = np.frombuffer(stored["data"], kinds[kind])
    if kind == "BF16":  # the upper half of a float32, which numpy has no type for
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    return numbers.astype("<f4").reshape(shape)
