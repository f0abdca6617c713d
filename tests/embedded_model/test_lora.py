from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from embedded_model.errors import LoraRefused
from embedded_model.lora import read_lora

MODULES = ["q_proj", "k_proj", "down_proj"]
UP = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"


def tiny_model() -> LlamaForCausalLM:
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def save_lora(folder: Path, **options: Any) -> dict[str, np.ndarray]:
    """Save a random LoRA; return the weights of the model that PEFT merged it into."""
    config = LoraConfig(r=4, lora_alpha=12, target_modules=MODULES, **options)
    model = get_peft_model(tiny_model(), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    merged = model.merge_and_unload()
    return {name: each.detach().numpy() for name, each in merged.state_dict().items()}


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    save_lora(tmp_path)
    return tmp_path


@pytest.mark.parametrize("is_stabilised", [False, True])
def test_it_merges_as_peft_does(tmp_path: Path, is_stabilised: bool) -> None:
    expected = save_lora(tmp_path, use_rslora=is_stabilised)
    plain = {name: each.detach().numpy() for name, each in tiny_model().state_dict().items()}

    lora = read_lora(tmp_path)
    found = {name: lora.merge(name, each) for name, each in plain.items()}

    changed = {name for name, each in plain.items() if not np.array_equal(found[name], each)}
    assert len(changed) == 2 * len(MODULES)
    for name, each in found.items():
        np.testing.assert_allclose(each, expected[name], atol=1e-6, err_msg=name)
    lora.check_all_used(set(plain))


def test_factors_in_bfloat16_are_read(lora: Path) -> None:
    exact = load_file(lora / "adapter_model.safetensors")[UP]
    model = AutoModelForCausalLM.from_config(tiny_model().config)
    plain = get_peft_model(model, LoraConfig(r=4, lora_alpha=12, target_modules=MODULES))
    plain.to(torch.bfloat16)
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if name == UP.replace(".weight", ".default.weight"):
                parameter.copy_(torch.from_numpy(exact))
    plain.save_pretrained(lora)

    pair = read_lora(lora).pairs["model.layers.0.self_attn.q_proj.weight"]

    np.testing.assert_allclose(pair.up, exact, rtol=2**-8)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("rank_pattern", {"q_proj": 2}),
        ("peft_type", "IA3"),
    ],
)
def test_more_than_a_plain_lora_is_refused(lora: Path, field: str, value: object) -> None:
    change(lora, **{field: value})

    with pytest.raises(LoraRefused, match=f"found {field} = "):
        read_lora(lora)


def change(lora: Path, **fields: object) -> None:
    file = lora / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_a_rank_that_is_not_the_factors_own_is_refused(lora: Path) -> None:
    change(lora, r=8)

    with pytest.raises(LoraRefused, match=r"rank 4 .* expected 8"):
        read_lora(lora)


def test_half_a_pair_is_refused(lora: Path) -> None:
    file = lora / "adapter_model.safetensors"
    save_file({name: each for name, each in load_file(file).items() if name != UP}, file)

    with pytest.raises(LoraRefused, match="expected pairs of"):
        read_lora(lora)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(lora: Path, name: str) -> None:
    (lora / name).unlink()

    with pytest.raises(LoraRefused, match=name):
        read_lora(lora)


def test_a_cut_file_is_refused(lora: Path) -> None:
    file = lora / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])

    with pytest.raises(LoraRefused, match="expected a safetensors file"):
        read_lora(lora)


def test_another_models_shape_is_refused(lora: Path) -> None:
    with pytest.raises(LoraRefused, match=r"\(16, 16\) for .*q_proj\.weight, expected \(8, 16\)"):
        read_lora(lora).merge("model.layers.0.self_attn.q_proj.weight", np.zeros((8, 16), "<f4"))


def test_a_module_that_the_model_lacks_is_named(lora: Path) -> None:
    with pytest.raises(LoraRefused, match=r"found model\.layers\.0\.mlp\.down_proj\.weight"):
        read_lora(lora).check_all_used({"model.norm.weight"})
