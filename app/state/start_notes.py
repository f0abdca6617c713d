"""What to know of an experiment that starts: what arms have not, users that go elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.errors import AdapterError
from adapters.registry import AdapterRegistry
from app.settings import Settings
from app.state.adapters import open_registry
from estimation.source import AnswerFrom
from experiments.definition import Experiment
from prompting.recipe import ACTIVE_ADAPTER, NO_ADAPTER

N_NAMED = 5


def start_notes(
    experiment: Experiment,
    running: Iterable[Experiment],
    settings: Settings,
    covered: Sequence[str],
) -> tuple[str, ...]:
    """Return what to know of an experiment that has just started. Reads the registry's files.

    `covered` are the alpha-3 codes that stand for an experiment which names none.
    """
    registry = open_registry(settings) if settings.vllm.takes_adapters else None
    rivals = _rivals_note(experiment, running)
    adapters = _arms_notes(experiment, registry, covered)
    return (*adapters, *_alignment_notes(experiment), *([rivals] if rivals else []))


def _arms_notes(
    experiment: Experiment, registry: AdapterRegistry | None, covered: Sequence[str]
) -> tuple[str, ...]:
    """Return a note per arm whose adapter is not there, now, for cultures that it would answer."""
    codes = experiment.cultures or tuple(covered)
    notes = []
    for each in experiment.arms:
        wanted = each.recipe.adapter
        if wanted == NO_ADAPTER:
            continue
        missing = _missing(wanted, registry, codes)
        if missing:
            left = "exemplars" if each.recipe.method.needs_adapter else "the model as it is"
            notes.append(f"arm '{each.name}': {missing}; its users are answered by {left} instead")
    return tuple(notes)


def _alignment_notes(experiment: Experiment) -> tuple[str, ...]:
    """Return a note per arm that is to be compared by an alignment that its answers rarely have."""
    if all(metric.name != "alignment" for metric in experiment.metrics):
        return ()
    return tuple(
        f"arm '{arm.name}' gives the people's own figures, which have no 'alignment': "
        "they would be compared with themselves"
        for arm in experiment.arms
        if arm.answer_from in (AnswerFrom.AUTO, AnswerFrom.SURVEY)
    )


def _rivals_note(experiment: Experiment, running: Iterable[Experiment]) -> str:
    """Return which running experiments take users before this one, empty for none."""
    rivals = []
    for other in running:
        if other.name == experiment.name:
            break
        same_layer = bool(other.layer.name) and other.layer.name == experiment.layer.name
        shared = set(other.cultures) & set(experiment.cultures)
        alike = not other.cultures or not experiment.cultures or bool(shared)
        if alike and not same_layer:
            rivals.append(f"'{other.name}'")
    if not rivals:
        return ""
    return (
        f"{' and '.join(rivals)} started earlier: users that are in both stay there, and this one "
        "gets the others. Name one 'layer' with ranges apart to say who is in which"
    )


def _missing(wanted: str, registry: AdapterRegistry | None, codes: Sequence[str]) -> str:
    """Return why an adapter is not to be had; without a registry the servers take none."""
    if registry is None:
        return "the servers take no adapters"
    if wanted != ACTIVE_ADAPTER:
        try:
            registry.resolve(wanted)
        except AdapterError as exc:
            return str(exc).rstrip(".")
        return ""
    active = registry.active()
    without = [code for code in codes if code not in active]
    if not without:
        return ""
    shown = ", ".join(without[:N_NAMED]) + (", …" if len(without) > N_NAMED else "")
    return f"no adapter is active for {shown}"
