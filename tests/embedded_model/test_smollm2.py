"""The real model, where its package is installed; `make test` installs it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from embedded_model.errors import PackageMissing
from embedded_model.manifest import check_unpacked
from embedded_model.source import SMOLLM2, find_file
from embedded_model.unpack import ensure_unpacked

TEXTS = (
    "Hello world",
    "It costs 1,234.50 in 2019; 7 of 10 said so.",
    "naïve café, 北京大学 Привет мир مرحبا 🙂👍🏽",
    "don't we'll I'M they've",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>",
    "   \r\n\r\n \t ",
    "def f(x):\n    return x ** 2\n",
    "1. Very important\n2. Rather important\n10. Don't know",
    "",
)
# A run of spaces or lines before a digit, of which transformers splits off the last.
BEFORE_DIGITS = {
    "A:\n\n1. Yes": ["A", ":", "ĊĊ", "1", ".", "ĠYes"],
    "a   10%": ["a", "ĠĠĠ", "1", "0", "%"],
}


@pytest.fixture(scope="module")
def gguf() -> Path:
    try:
        return find_file(SMOLLM2)
    except PackageMissing as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def folder(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_unpacked(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def theirs(gguf: Path) -> Any:
    return AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)


def test_the_weights_are_the_same_everywhere(folder: Path) -> None:
    # Adapters are trained for weights of this hash.
    sha256 = check_unpacked(folder)["sha256"]["model.safetensors"]
    assert sha256 == "d8d8571b3af99053c8ad455ce009d8479eec5da515f80a417c075d0a7f317904"


@pytest.mark.deep
@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_tokenised_as_transformers_does(ours: Any, theirs: Any, text: str) -> None:
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]
    assert ours.decode(ours(text)["input_ids"]) == text


@pytest.mark.parametrize("text", BEFORE_DIGITS)
def test_what_stands_before_a_digit_is_one_token(ours: Any, theirs: Any, text: str) -> None:
    assert ours.tokenize(text) == BEFORE_DIGITS[text]
    assert len(theirs.tokenize(text)) == len(BEFORE_DIGITS[text]) + 1


def test_chats_are_written_as_transformers_writes_them(ours: Any, theirs: Any) -> None:
    chat = [{"role": "user", "content": "Is it 5 or 10?"}, {"role": "assistant", "content": "5"}]
    options: dict[str, Any] = {"add_generation_prompt": True}

    found, expected = (each.apply_chat_template(chat, **options) for each in (ours, theirs))

    assert found["input_ids"] == expected["input_ids"]
    assert ours.special_tokens_map == theirs.special_tokens_map


# Both files are known by their hashes, which each unpacking checks.
@pytest.mark.deep
def test_weights_are_what_transformers_makes_of_them(folder: Path, gguf: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        pytest.skip("needs the package gguf; `make test` installs it")
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype="float32",
        quantization_config=GgufConfig(dequantize=True),
    )  # fmt: skip
    expected = model.state_dict()
    found = load_file(folder / "model.safetensors")

    assert expected.keys() - found.keys() == {"lm_head.weight"}  # tied
    for name, values in found.items():
        assert (values == expected[name].numpy().astype("<f2")).all(), name
