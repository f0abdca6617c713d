from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.errors import AdapterFault, AdapterRefused
from adapters.peft_config import read_peft_config
from tests.adapters.loras import lora_config


def written(tmp_path: Path, **changes: object) -> Path:
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(lora_config(**changes)))  # type: ignore[arg-type]  # rank is one
    return file


def refusal_of(file: Path) -> AdapterRefused:
    with pytest.raises(AdapterRefused) as caught:
        read_peft_config(file)
    return caught.value


def test_what_peft_writes_is_read(tmp_path: Path) -> None:
    config = read_peft_config(written(tmp_path))

    assert (config.r, config.lora_alpha, config.target_modules) == (4, 16, ["q_proj", "v_proj"])


@pytest.mark.parametrize(
    "changes",
    [
        {"use_rslora": True},
        {"lora_dropout": 0.05},
        {"init_lora_weights": "gaussian"},
        {"task_type": None},
        {"a_field_of_the_next_release": None},
        {"lora_alpha": 1.5},
    ],
)
def test_what_changes_nothing_is_allowed(tmp_path: Path, changes: dict[str, object]) -> None:
    read_peft_config(written(tmp_path, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"use_dora": True},
        {"modules_to_save": ["embed_tokens"]},
        {"bias": "lora_only"},
        {"lora_bias": True},
        {"init_lora_weights": "pissa"},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
        {"layers_to_transform": [0]},
        {"layer_replication": [[0, 2]]},
        {"exclude_modules": ["o_proj"]},
        {"trainable_token_indices": [1]},
        {"target_parameters": ["experts"]},
        {"alora_invocation_tokens": [1]},
        {"use_qalora": True},
        {"fan_in_fan_out": True},
        {"task_type": "SEQ_CLS"},
        {"target_modules": "(a+)+$"},
        {"target_modules": [f"m{i}" for i in range(2001)]},
        {"a_field_of_the_next_release": True},
    ],
)
def test_a_feature_that_servers_leave_out_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    refusal = refusal_of(written(tmp_path, **changes))

    assert refusal.reason is AdapterFault.UNSUPPORTED
    assert next(iter(changes)) in str(refusal)


def test_another_kind_of_adapter_is_refused(tmp_path: Path) -> None:
    assert refusal_of(written(tmp_path, peft_type="PREFIX_TUNING")).reason is AdapterFault.NOT_LORA


@pytest.mark.parametrize(
    "changes",
    [
        {"r": 0},
        {"r": True},
        {"r": "8"},
        {"r": 10**4000},
        {"lora_alpha": 10**400},
        {"lora_alpha": 0},
        {"target_modules": []},
        {"target_modules": [1]},
        {"target_modules": None},
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, changes: dict[str, object]) -> None:
    refusal = refusal_of(written(tmp_path, **changes))

    assert refusal.reason is AdapterFault.CONFIG
    assert next(iter(changes)) in str(refusal)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"peft_type": "LORA"}', "\x00", "[" * 100_000])
def test_what_is_no_config_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "adapter_config.json"
    file.write_text(text)

    assert refusal_of(file).reason is AdapterFault.CONFIG
