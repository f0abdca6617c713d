"""The adapter's card, for people, and its manifest, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from embedded_model.lora import CONFIG, WEIGHTS
from embedded_model.reader.settings import TrainSettings
from embedded_model.source import SMOLLM2
from files.hashes import hash_file
from files.whole import write_text
from survey_data.model import Pack
from survey_data.split import SPLIT_FILE

CARD, MANIFEST = "README.md", "manifest.json"
SCHEMA_VERSION = 1
_N_AVERAGED = 20
_LIBRARIES = ("torch", "transformers", "peft")


class LoggedStep(Protocol):
    """A step in the log of a training run."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""

    @property
    def reply(self) -> float:
        """Loss of replies."""

    @property
    def label(self) -> float:
        """Loss of labels."""

    @property
    def n_tokens(self) -> int:
        """Tokens read."""


def write_card(
    out: Path,
    *,
    settings: TrainSettings,
    log: Sequence[LoggedStep],
    base: Path,
    packs: Sequence[Pack],
    start: Path | None = None,
) -> None:
    """Write what the adapter in `out` was trained on and how, the manifest last.

    `start` is the folder of the adapter that it goes on from, with the manifest of its own run.
    """
    first = None if start is None else json.loads((start / MANIFEST).read_text(encoding="utf-8"))
    write_text(out / CARD, _write_readme(settings, log, packs, first))
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "base": {"name": SMOLLM2.name, "weights": hash_file(base / "model.safetensors")},
        "settings": asdict(settings),
        "n_steps": len(log),
        "starts_from": first,
        "trained_on": {pack.manifest.id: pack.manifest.shares_sha256 for pack in packs},
        "held_out": hash_file(SPLIT_FILE),
        "versions": {name: version(name) for name in _LIBRARIES},
        "sha256": {name: hash_file(out / name) for name in (CONFIG, WEIGHTS, CARD)},
    }
    write_text(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _write_readme(
    settings: TrainSettings,
    log: Sequence[LoggedStep],
    packs: Sequence[Pack],
    first: Mapping[str, Any] | None,
) -> str:
    kinds = ", ".join(f"{share:g} % {kind}" for kind, share in settings.kinds.items())
    sources = [f"- {pack.manifest.title}: {pack.manifest.licence}" for pack in packs]
    rows = [
        f"| {name} | {_average(log[:_N_AVERAGED], name)} | {_average(log[-_N_AVERAGED:], name)} |"
        for name in ("reply", "label")
    ]
    n_tokens = sum(step.n_tokens for step in log)
    took_s = log[-1].elapsed_s if log else 0.0
    lines = [
        "---", f"base_model: {SMOLLM2.name}", "library_name: peft", "---", "",
        "# Reader adapter", "",
        f"A LoRA for {SMOLLM2.name} as Milieu unpacks it. With it the model replies from what its",
        "prompt says of a people's answers. It is for such prompts only.", "",
        "Trained on conversations in Milieu's own prompts, from the questions and peoples of the",
        "packs below that are not held out, more than half of them with made-up figures.",
        f"Kinds of examples: {kinds}.", "",
        *sources, "",
        f"{len(log)} steps of {settings.batch_size} examples, {n_tokens:,} tokens,",
        f"{took_s / 60:.0f} minutes, seed {settings.seed}.",
        *([] if first is None else [
            f"It goes on from an adapter of {first['n_steps']} steps, whose run is in the manifest."
        ]), "",
        "Mean losses, in nats per token or label, of the first and the last steps:", "",
        f"| loss | first {_N_AVERAGED} | last {_N_AVERAGED} |", "|---|---|---|", *rows, "",
    ]  # fmt: skip
    return "\n".join(lines)


def _average(log: Sequence[LoggedStep], name: str) -> str:
    # A step without examples of a kind has no loss of it.
    values = [value for step in log if (value := getattr(step, name)) > 0.0]
    return f"{math.fsum(values) / len(values):.3f}" if values else "none"
