"""The tokenizer in a GGUF file, as the files that transformers and vLLM read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

from embedded_model.errors import GgufInvalid
from embedded_model.gguf import GgufFile

KIND, SPLIT = "gpt2", "smollm"
CONTROL = 3  # the type of tokens that text never contains
_NAMES = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "pad_token": "padding_token_id",
    "unk_token": "unknown_token_id",
}


def build_tokenizer(gguf: GgufFile) -> Tokenizer:
    """Return the byte-level BPE of the file; every digit is a token of its own.

    Numbers are cut out before the rest is split, as in llama.cpp: a run of spaces or lines before
    a digit is one piece. transformers' own reading of GGUF (5.19) leaves that out, and splits off
    the last of them.

    Raises:
        GgufInvalid: the file's tokenizer is of another kind.
    """
    of = gguf.metadata
    kind = of.get("tokenizer.ggml.model"), of.get("tokenizer.ggml.pre")
    if kind != (KIND, SPLIT):
        expected = f"{KIND} with split '{SPLIT}'"
        raise GgufInvalid(gguf.path, found=f"tokenizer {kind[0]}, {kind[1]}", expected=expected)
    tokens = of["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in of["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = ByteLevelDecoder()
    types = zip(tokens, of["tokenizer.ggml.token_type"], strict=True)
    control = [token for token, kind_id in types if kind_id == CONTROL]
    tokenizer.add_special_tokens([AddedToken(each, normalized=False) for each in control])
    return tokenizer


def write_tokenizer(gguf: GgufFile, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja into `folder`.

    Raises:
        GgufInvalid: the file's tokenizer is of another kind, or it has no chat template.
    """
    of = gguf.metadata
    template = of.get("tokenizer.chat_template")
    if not template:
        raise GgufInvalid(gguf.path, found="no chat template", expected="one")
    build_tokenizer(gguf).save(str(folder / "tokenizer.json"), pretty=False)
    tokens = of["tokenizer.ggml.tokens"]
    config: dict[str, Any] = {
        "clean_up_tokenization_spaces": False,
        "model_max_length": of["llama.context_length"],
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{name: tokens[of[f"tokenizer.ggml.{field}"]] for name, field in _NAMES.items()},
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
