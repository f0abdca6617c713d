"""An adapter's `adapter_config.json`, as peft writes it, read for what servers can do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from adapters.errors import AdapterFault, AdapterRefused

MAX_RANK = 2**16
MAX_TARGETS = 2000
# These change nothing about the finished weights.
_NO_MATTER = frozenset({"auto_mapping", "megatron_core", "qalora_group_size"})
# Starts from which the saved weights are still plain LoRA; others change the base model.
_PLAIN_STARTS = (True, False, "gaussian", "orthogonal")
_LIST_TARGETS = (
    "Write into target_modules the names of the modules that the weights are for, such as q_proj; "
    "the weights stay as they are."
)
_TASKS = (None, "CAUSAL_LM")


class PeftConfig(BaseModel):
    """The fields of `adapter_config.json` that an adapter's answers depend on.

    Others are allowed as long as they switch nothing on: peft has some forty, and new ones with
    every release.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    peft_type: str
    r: int = Field(gt=0, le=MAX_RANK)
    lora_alpha: FiniteFloat = Field(gt=0)
    target_modules: list[str] | str = Field(min_length=1)
    base_model_name_or_path: str | None = None
    bias: str = "none"
    init_lora_weights: bool | str = True
    use_rslora: bool = False
    task_type: str | None = None
    inference_mode: bool = True
    lora_dropout: FiniteFloat = 0.0
    peft_version: str | None = None
    revision: str | None = None


def read_peft_config(file: Path) -> PeftConfig:
    """Return the config in `file`, which asks for nothing but plain LoRA on named modules.

    Scaling by the root of the rank (`use_rslora`) is allowed: vLLM knows it.

    Raises:
        AdapterRefused: `CONFIG`, it is not a peft config; `NOT_LORA`, it is for another kind of
            adapter; `UNSUPPORTED`, it asks for what servers ignore or do differently.
    """
    try:
        config = PeftConfig.model_validate_json(file.read_bytes())
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise AdapterRefused(
            AdapterFault.CONFIG,
            found=f"{str(fault['input'])[:60]!r} in {where} of {file.name}",
            expected=fault["msg"],
            remedy="Save the adapter again with peft.",
        ) from exc
    if config.peft_type != "LORA":
        raise AdapterRefused(
            AdapterFault.NOT_LORA,
            found=f"peft_type '{config.peft_type[:40]}'",
            expected="'LORA'",
            remedy="Only LoRA adapters can be served.",
        )
    for name, value, expected in _list_unsupported(config):
        raise AdapterRefused(
            AdapterFault.UNSUPPORTED,
            found=f"{name[:60]} {str(value)[:60]!r} in {file.name}",
            expected=expected,
            remedy=_LIST_TARGETS
            if name == "target_modules"
            else "Train it as plain LoRA; the server would ignore this or do it differently.",
        )
    return config


def _list_unsupported(config: PeftConfig) -> list[tuple[str, Any, str]]:
    """Return name, value and expected value of every field that asks for more than LoRA."""
    start, targets = config.init_lora_weights, config.target_modules
    checks = (
        ("bias", config.bias == "none", "'none'"),
        ("init_lora_weights", start in _PLAIN_STARTS, "a start that keeps the base"),
        ("task_type", config.task_type in _TASKS, "'CAUSAL_LM'"),
        ("target_modules", isinstance(targets, list), "a list of names, not a pattern"),
    )
    found = [(name, getattr(config, name), want) for name, is_plain, want in checks if not is_plain]
    for name, value in sorted((config.model_extra or {}).items()):
        # False, null, 0 and empty collections switch nothing on.
        if value and name not in _NO_MATTER:
            found.append((name, value, "nothing"))
    if len(targets) > MAX_TARGETS:
        found.append(("target_modules", f"of {len(targets)} names", f"at most {MAX_TARGETS}"))
    return found
