"""From `--adapter` to the exact versions that answer for each culture of a run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from adapters.manifest import AdapterManifest, is_version_name
from adapters.states import AdapterState
from app.errors import OptionInvalid
from evaluation.asking import CultureAdapter
from evaluation.run_spec import (
    AdapterSetSpec,
    ConditionSpec,
    Variants,
    make_conditions,
    name_adapter_condition,
)
from prompting.recipe import ACTIVE_ADAPTER, ADAPTER_METHODS, Method

OPTION = "--adapter"
ACTIVE = "active"
_LABEL = re.compile(r"[\w@.+%][\w@.+% -]{0,39}")


def resolve_registry_sets(
    given: Sequence[str], states: Sequence[AdapterState], cultures: Sequence[str]
) -> tuple[AdapterSetSpec, ...]:
    """Return the sets that `--adapter` names, or what is active now if it names none.

    `states` are the registry's adapters, `cultures` those that are asked.

    Raises:
        OptionInvalid: a name is not that of exactly one adapter, a label is used twice, or a set
            has two adapters for a culture or none for any.
    """
    if not given:
        return (_make_active_set(states, cultures),)
    manifests = {state.manifest.version_name: state.manifest for state in states}
    return tuple(
        _make_registry_set(label, [_find(name, manifests) for name in names], cultures)
        for label, names in _parse(given).items()
    )


def resolve_service_sets(
    given: Sequence[str], cultures: Sequence[str]
) -> tuple[AdapterSetSpec, ...]:
    """Return the sets to ask a service for: exact versions, or what it has active itself.

    Raises:
        OptionInvalid: a set is not one exact version, or a label is used twice.
    """
    if not given:
        return (_make_set(ACTIVE, dict.fromkeys(cultures, ACTIVE_ADAPTER), cultures),)
    sets = []
    for label, names in _parse(given).items():
        for name in names:
            if not is_version_name(name):
                raise OptionInvalid(OPTION, name, "name@version, to ask a service for it")
        if len(names) > 1:
            expected = "one adapter per label, as a service does not say whom each is for"
            raise OptionInvalid(OPTION, ",".join(names), expected)
        sets.append(_make_set(label, dict.fromkeys(cultures, names[0]), cultures))
    return tuple(sets)


def make_adapter_conditions(
    methods: Collection[Method],
    sets: Sequence[AdapterSetSpec],
    *,
    are_labelled: bool,
    variants: Variants,
) -> tuple[ConditionSpec, ...]:
    """Return the conditions of adapters, by method and then by set."""
    conditions = []
    for method in (method for method in ADAPTER_METHODS if method in methods):
        for adapter_set in sets:
            label = adapter_set.label if are_labelled else ""
            conditions += [
                ConditionSpec(
                    name=name_adapter_condition(spec.name, method, label=label),
                    kind="method",
                    recipe=spec.recipe,
                    cultures=adapter_set.cultures,
                    adapter_set=adapter_set.label,
                )
                for spec in make_conditions([method.prompt], variants)
            ]
    return tuple(conditions)


def describe_left_out(sets: Sequence[AdapterSetSpec]) -> tuple[str, ...]:
    """Return what a reader has to know about the sets before comparing them."""
    return tuple(
        f"Adapters “{adapter_set.label}” serve no {', '.join(adapter_set.left_out)}: their "
        f"conditions are of the other {len(adapter_set.adapters)} cultures alone, and so are the "
        "gains over others."
        for adapter_set in sets
        if adapter_set.left_out
    )


def _parse(given: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of each set's adapters by the set's label."""
    sets: dict[str, list[str]] = {}
    for text in given:
        before, equals, after = text.partition("=")
        listed = after if equals else before
        names = [name.strip() for name in listed.split(",") if name.strip()]
        if not names:
            raise OptionInvalid(OPTION, text, "NAME, or LABEL=NAME[,NAME…]")
        if not equals and len(names) > 1:
            raise OptionInvalid(OPTION, text, f"LABEL={text}, as several need a label")
        label = before.strip() if equals else names[0]
        if not _LABEL.fullmatch(label):
            expected = "a label of up to 40 letters, digits, spaces and .+-%@"
            raise OptionInvalid(OPTION, text, expected)
        if label in sets:
            raise OptionInvalid(OPTION, f"the label '{label}' twice", "a label per set")
        sets[label] = names
    return sets


def _find(name: str, manifests: dict[str, AdapterManifest]) -> AdapterManifest:
    """Return the adapter that `name` means, by the registry's rules."""
    matching = [
        manifest for version, manifest in manifests.items() if name in (version, manifest.name)
    ]
    if len(matching) == 1:
        return matching[0]
    known = [manifest.version_name for manifest in matching] or list(manifests)
    shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    raise OptionInvalid(OPTION, name, f"one of {shown}" if known else "an adapter of the registry")


def _make_registry_set(
    label: str, manifests: Sequence[AdapterManifest], cultures: Sequence[str]
) -> AdapterSetSpec:
    serving = {
        culture: sorted({of.version_name for of in manifests if of.serves(culture)})
        for culture in cultures
    }
    for culture, versions in serving.items():
        if len(versions) > 1:
            found = f"{' and '.join(versions)} for {culture} in '{label}'"
            raise OptionInvalid(OPTION, found, "one adapter for each culture")
    if not any(serving.values()):
        served = sorted({code for manifest in manifests for code in manifest.cultures})
        found = f"'{label}', for {', '.join(served)}"
        raise OptionInvalid(OPTION, found, f"adapters for some of {', '.join(cultures)}")
    return _make_set(
        label, {c: versions[0] for c, versions in serving.items() if versions}, cultures
    )


def _make_active_set(states: Sequence[AdapterState], cultures: Sequence[str]) -> AdapterSetSpec:
    active = {
        culture: state.manifest.version_name for state in states for culture in state.cultures
    }
    if active.keys().isdisjoint(cultures):
        expected = f"--adapter, or one that is active for some of {', '.join(cultures)}"
        raise OptionInvalid("--method", "an adapter's, while none is active", expected)
    return _make_set(ACTIVE, active, cultures)


def _make_set(label: str, versions: Mapping[str, str], cultures: Sequence[str]) -> AdapterSetSpec:
    """Return the set of the version that answers for each of `cultures`, if one does."""
    pairs = tuple(CultureAdapter(code, versions[code]) for code in cultures if code in versions)
    left_out = tuple(code for code in cultures if code not in versions)
    return AdapterSetSpec(label=label, adapters=pairs, left_out=left_out)
