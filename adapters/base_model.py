"""The model that adapters are made for: its name, its weights' hash and its linear modules."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.errors import AdapterRefused, BaseModelInvalid
from adapters.weights_file import ITEM_BYTES, read_header
from files.hashes import hash_file
from files.json_text import load_json

# Looked up, or often shared with the embedding that is, not multiplied like the others: LoRA has
# other keys for them, which servers don't take.
NOT_LINEAR = frozenset({"embed_tokens", "lm_head", "wte", "wpe"})
# Families whose layers have Llama's names and shapes.
LLAMA_LIKE = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "granite"})
MAX_LAYERS = 1000
_WEIGHT = ".weight"


class LinearShape(NamedTuple):
    """How many numbers a linear module outputs and takes in."""

    n_out: int
    n_in: int


@dataclass(frozen=True, slots=True)
class AdapterBase:
    """A model that adapters can be made for.

    Attributes:
        name: its name, which adapters' files use too.
        sha256: of its weights file, or over the names and hashes of its shards; None if the
            weights are elsewhere.
        shapes: every linear module that can be adapted, by its full name.
        also_named: other names of the same weights, such as their folder.
    """

    name: str
    sha256: str | None
    shapes: Mapping[str, LinearShape] = field(repr=False)
    also_named: tuple[str, ...] = ()

    def is_named(self, name: str) -> bool:
        """Return whether `name` is one of the model's names, or another way to its folder."""
        names = {self.name, *self.also_named}
        # A null is in no path.
        return name in names or ("\0" not in name and str(Path(name).resolve()) in names)


class _ConfigFile(BaseModel):
    # A model's config has many more fields, and new ones with every release.
    model_config = ConfigDict(extra="ignore", frozen=True)

    model_type: str
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0, le=MAX_LAYERS)
    num_attention_heads: int = Field(gt=0)
    num_key_value_heads: int | None = Field(default=None, gt=0)
    head_dim: int | None = Field(default=None, gt=0)


def read_base_model(folder: Path, *, name: str) -> AdapterBase:
    """Return the base model whose config.json and safetensors files are in `folder`.

    The folder itself becomes one of its names. A quantised model's files hold other shapes than
    its modules have, so those come from the config.

    Raises:
        BaseModelInvalid: a file is missing or cannot be read, or no linear module is in them.
    """
    config = _read_json(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BaseModelInvalid(
            folder,
            found="no *.safetensors",
            expected="the weights of the base model",
            remedy="Download them, or declare the model by its config alone.",
        )
    if config.get("quantization_config"):
        shapes = _derive_shapes(config, file=folder / "config.json")
    else:
        shapes = _read_shapes(files)
    names = (str(folder), str(folder.resolve()))
    return AdapterBase(name, _hash_files(files), shapes, names)


def declare_base_model(config: Path, *, name: str) -> AdapterBase:
    """Return the base model that a config.json describes; its weights are elsewhere.

    Its hash is unknown, so an adapter's base can be told by name and shapes only.

    Raises:
        BaseModelInvalid: the file cannot be read, or its family's layers are unknown.
    """
    shapes = _derive_shapes(_read_json(config), file=config)
    return AdapterBase(name, None, shapes)


def _read_shapes(files: Sequence[Path]) -> dict[str, LinearShape]:
    shapes = {}
    for file in files:
        try:
            header = read_header(file, dtypes=frozenset(ITEM_BYTES))
        except AdapterRefused as exc:
            raise BaseModelInvalid(
                file,
                found=f"a file that cannot be read ({exc})",
                expected="safetensors",
                remedy="Download the base model again.",
            ) from exc
        for key, tensor in header.tensors.items():
            module = key.removesuffix(_WEIGHT)
            is_linear = key.endswith(_WEIGHT) and len(tensor.shape) == 2
            if is_linear and module.rpartition(".")[2] not in NOT_LINEAR:
                shapes[module] = LinearShape(*tensor.shape)
    if not shapes:
        raise BaseModelInvalid(
            files[-1],
            found="no linear module",
            expected="the weights of a language model",
            remedy="Name the folder of the base model.",
        )
    return shapes


def _derive_shapes(config: Mapping[str, Any], *, file: Path) -> dict[str, LinearShape]:
    try:
        model = _ConfigFile.model_validate(config)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False)[0]
        raise BaseModelInvalid(
            file,
            found=f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}",
            expected="the config of a language model",
            remedy="Take the config.json that the base model was published with.",
        ) from exc
    if model.model_type not in LLAMA_LIKE:
        raise BaseModelInvalid(
            file,
            found=f"model_type '{model.model_type}'",
            expected=f"one of {', '.join(sorted(LLAMA_LIKE))}",
            remedy="Name the folder with the weights, whose headers say what there is.",
        )
    hidden, inner = model.hidden_size, model.intermediate_size
    head = model.head_dim or hidden // model.num_attention_heads
    queries = model.num_attention_heads * head
    keys = (model.num_key_value_heads or model.num_attention_heads) * head
    layer = {
        "self_attn.q_proj": LinearShape(queries, hidden),
        "self_attn.k_proj": LinearShape(keys, hidden),
        "self_attn.v_proj": LinearShape(keys, hidden),
        "self_attn.o_proj": LinearShape(hidden, queries),
        "mlp.gate_proj": LinearShape(inner, hidden),
        "mlp.up_proj": LinearShape(inner, hidden),
        "mlp.down_proj": LinearShape(hidden, inner),
    }
    return {
        f"model.layers.{i}.{module}": shape
        for i in range(model.num_hidden_layers)
        for module, shape in layer.items()
    }


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = load_json(file.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as exc:
        raise BaseModelInvalid(
            file,
            found=f"no JSON object ({exc})",
            expected="the config of the base model",
            remedy="Name the folder that the base model was downloaded to.",
        ) from exc
    return found


def _hash_files(files: list[Path]) -> str:
    digests = [hash_file(path) for path in files]
    if len(files) == 1:
        return digests[0]
    lines = (f"{path.name} {digest}\n" for path, digest in zip(files, digests, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
