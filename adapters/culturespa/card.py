"""The card of an adapter: what it was trained on and how, for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.culturespa.steps import check_step_file, hash_step_file, read_step_form
from adapters.manifest import CARD, CONFIG, TRAINING, WEIGHTS
from files.whole import write_text

SCHEMA_VERSION = 1


class AdapterCard(BaseModel):
    """What an adapter is.

    Attributes:
        method: how it was made.
        mode: `joint` (one adapter for its cultures) or `specific` (of one culture).
        base_model: the name that the base model is served by.
        base_config_sha256: of the base model's `config.json`.
        cultures: alpha-3 codes of the cultures it speaks for.
        n_examples: answers trained on, by culture.
        left_out: answers that could not be trained on, by reason.
        data: sha256 of the examples and of the questions.
        sources: terms of each source of the data, by its name.
        licence: of the adapter, empty if its maker stated none.
        settings: hyper-parameters.
        n_steps: of the optimiser.
        losses: mean loss of each step's batch, in nats per target token.
        label_logprob: mean log-probability of the trained labels before and after, on a sample of
            the training data.
        versions: of the libraries that trained it.
        files: sha256 of config and weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    method: str = "CultureSPA"
    mode: str
    base_model: str
    base_config_sha256: str
    cultures: tuple[str, ...]
    n_examples: dict[str, int]
    left_out: dict[str, int]
    data: dict[str, str]
    sources: dict[str, str]
    licence: str
    settings: dict[str, Any]
    n_steps: int
    losses: tuple[float, ...]
    label_logprob: dict[str, float]
    versions: dict[str, str]
    files: dict[str, str] = {}

    @property
    def metrics(self) -> dict[str, float]:
        """The figures of the training, by name."""
        return {f"label_logprob_{when}": value for when, value in self.label_logprob.items()}


def write_card(folder: Path, card: AdapterCard) -> AdapterCard:
    """Write README and, last of all, `card.json` with the hashes of the adapter's files."""
    files = {name: hash_step_file(folder / name) for name in (CONFIG, WEIGHTS)}
    card = card.model_copy(update={"files": files})
    write_text(folder / CARD, _make_readme(card))
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_text(folder / TRAINING, text + "\n")
    return card


def read_card(folder: Path) -> AdapterCard:
    """Return the card of the adapter in `folder`.

    Raises:
        StepFileInvalid: it is missing or not a card, or a file is not as the card says.
    """
    card = read_step_form(folder / TRAINING, AdapterCard)
    for name in (CONFIG, WEIGHTS):
        check_step_file(folder / name, card.files.get(name))
    return card


def _make_readme(card: AdapterCard) -> str:
    of = ", ".join(card.cultures)
    rows = [f"| {culture} | {n} |" for culture, n in card.n_examples.items()]
    first, last = (card.losses[0], card.losses[-1]) if card.losses else (0.0, 0.0)
    before, after = card.label_logprob["before"], card.label_logprob["after"]
    lines = [
        "---",
        f"base_model: {card.base_model}",
        "library_name: peft",
        "---",
        "",
        f"# {card.method} adapter, {card.mode}: {of}",
        "",
        f"A LoRA for `{card.base_model}`. It was trained on the base model's own answers to survey",
        f"questions, given when the model was told to answer as people of {of}",
        "(arXiv 2410.12971), so it knows no more of them than the base model does.",
        "",
        "| culture | answers trained on |",
        "|---|---|",
        *rows,
        "",
        *_make_list("Left out", {reason: str(n) for reason, n in card.left_out.items()}),
        *_make_list("Sources of the data and their terms", card.sources),
        *_make_list("Sha256 of the data", card.data),
        *_make_list("Settings", {n.replace("_", " "): str(v) for n, v in card.settings.items()}),
        f"Steps: {card.n_steps}. Loss of the first batch {first:.4f}, of the last {last:.4f} nats",
        f"per target token. Mean log-probability of a trained label: {before:.4f} before,",
        f"{after:.4f} after.",
        "",
        f"Licence: {card.licence or 'not stated'}",
        "",
    ]
    return "\n".join(lines)


def _make_list(title: str, entries: Mapping[str, str]) -> list[str]:
    if not entries:
        return []
    return [f"{title}:", "", *(f"- {name}: {value}" for name, value in entries.items()), ""]
