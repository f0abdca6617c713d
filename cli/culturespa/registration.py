"""Adds the adapters of a run to the registry, with a description of how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from adapters.base_model import read_base_model
from adapters.culturespa.recipe import TrainedAdapter, TrainingBase
from adapters.culturespa.settings import Mode
from adapters.manifest import AdapterFacts, AdapterManifest
from adapters.registry import AdapterRegistry
from app.settings import Settings
from cli.culturespa.options import RunOptions
from cli.culturespa.run_options import Variant
from prompting.recipe import Method


class RunAdapter(NamedTuple):
    """An adapter of a run, and its entry in the registry, where it was added."""

    variant: Variant
    adapter: TrainedAdapter
    entry: AdapterManifest | None


def add_to_registry(
    settings: Settings,
    options: RunOptions,
    base: TrainingBase,
    adapters: Sequence[tuple[Variant, TrainedAdapter]],
) -> tuple[RunAdapter, ...]:
    """Add the adapters of a run to the registry of the settings."""
    model = read_base_model(base.folder, name=base.served_name)
    registry = AdapterRegistry(settings.adapters_folder)
    return tuple(
        RunAdapter(
            variant,
            adapter,
            registry.add(
                adapter.folder,
                base=model,
                max_rank=settings.vllm.max_lora_rank,
                name=_name(options, variant, adapter),
                cultures=adapter.card.cultures,
                about=_describe(settings, options, variant, adapter),
            ),
        )
        for variant, adapter in adapters
    )


def _name(options: RunOptions, variant: Variant, adapter: TrainedAdapter) -> str:
    part = "joint" if variant.mode is Mode.JOINT else adapter.card.cultures[0].lower()
    return f"{options.name}-{part}{variant.suffix}"


def _describe(
    settings: Settings, options: RunOptions, variant: Variant, adapter: TrainedAdapter
) -> AdapterFacts:
    # The prompts that were asked with; the adapter is trained on `persona` either way.
    asked_by = "-cct" if options.answer.method is Method.CROSS_CULTURE else ""
    questions = f"questions generated from {options.pack}"
    if options.from_survey:
        questions = f"the questions of {options.pack} that are not held out"
    elif options.questions is not None:
        questions = f"questions of {options.questions.name}"
    which = "that differ from its unaware ones"
    if variant.is_control:
        which = "drawn at random, as a control for those that differ from its unaware ones"
    elif variant.ratio < 1.0:
        which += f" ({100.0 * variant.ratio:g} % of them)"
    n = sum(adapter.card.n_examples.values())
    return AdapterFacts(
        method=f"culturespa-{variant.mode}{asked_by}",
        data=f"{n} answers of {settings.model} to {questions}, {which}",
        licence=options.licence,
        metrics=adapter.card.metrics,
    )
