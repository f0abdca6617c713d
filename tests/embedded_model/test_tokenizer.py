from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from embedded_model.errors import GgufInvalid
from embedded_model.gguf import GgufFile, open_gguf
from embedded_model.tokenizer import build_tokenizer, write_tokenizer
from tests.embedded_model.tiny_gguf import metadata, write_gguf


def gguf(folder: Path, **changed: Any) -> GgufFile:
    return open_gguf(write_gguf(folder / "m.gguf", metadata(**changed), {}))


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    tokens: list[str] = tokenizer.encode(text).tokens
    return tokens


def test_merges_apply_and_digits_stay_apart(tmp_path: Path) -> None:
    assert pieces(build_tokenizer(gguf(tmp_path)), "hello 10") == ["hello", "Ġ", "1", "0"]


def test_lines_and_spaces_before_a_digit_are_one_piece(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(gguf(tmp_path))

    assert pieces(tokenizer, "a\n\n1.") == ["a", "ĊĊ", "1", "."]
    assert pieces(tokenizer, "a  1%") == ["a", "ĠĠ", "1", "%"]


def test_a_control_token_is_one_token_and_no_text(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(gguf(tmp_path))

    encoded = tokenizer.encode("<|im_start|>hello<|im_end|>")
    assert encoded.tokens == ["<|im_start|>", "hello", "<|im_end|>"]
    assert encoded.ids[0] == 1
    assert tokenizer.decode(encoded.ids) == "hello"


def test_transformers_loads_it_with_its_template(tmp_path: Path) -> None:
    write_tokenizer(gguf(tmp_path), tmp_path)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    chat = [{"role": "user", "content": "hello"}]
    text = "<|im_start|>user\nhello<|im_end|>\n"
    assert tokenizer.apply_chat_template(chat, tokenize=False) == text
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]).count("hello") == 1


@pytest.mark.parametrize("changed", [{"model": "llama"}, {"pre": "qwen2"}])
def test_another_kind_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    with pytest.raises(GgufInvalid, match="expected gpt2 with split 'smollm'"):
        build_tokenizer(gguf(tmp_path, **changed))


def test_a_missing_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GgufInvalid, match="no chat template"):
        write_tokenizer(gguf(tmp_path, chat_template=None), tmp_path)
