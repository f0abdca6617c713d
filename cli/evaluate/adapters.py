"""From `--adapter` to the exact versions that answer for each culture of a run."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from adapters.manifest import AdapterManifest, is_version_name
from adapters.serving import AdapterState
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


class _Choice(NamedTuple):
    """An option as it was given: the label of a set, and the names of its adapters."""

    label: str
    names: tuple[str, ...]


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
        _make_set(choice, [_find(name, manifests) for name in choice.names], cultures)
        for choice in _parse(given)
    )


def resolve_service_sets(
    given: Sequence[str], cultures: Sequence[str]
) -> tuple[AdapterSetSpec, ...]:
    """Return the sets to ask a service for: exact versions, or what it has active itself.

    Raises:
        OptionInvalid: a set is not one exact version, or a label is used twice.
    """
    sets = []
    for choice in _parse(given) if given else [_Choice(ACTIVE, (ACTIVE_ADAPTER,))]:
        for name in choice.names:
            if given and not is_version_name(name):
                raise OptionInvalid(OPTION, name, "name@version, to ask a service for it")
        if len(choice.names) > 1:
            expected = "one adapter per label, as a service does not say whom each is for"
            raise OptionInvalid(OPTION, ",".join(choice.names), expected)
        pairs = (CultureAdapter(culture, choice.names[0]) for culture in cultures)
        sets.append(AdapterSetSpec(label=choice.label, adapters=tuple(pairs)))
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


def _parse(given: Sequence[str]) -> list[_Choice]:
    choices: dict[str, _Choice] = {}
    for text in given:
        before, equals, after = text.partition("=")
        listed = after if equals else before
        names = tuple(name.strip() for name in listed.split(",") if name.strip())
        if not names:
            raise OptionInvalid(OPTION, text, "NAME, or LABEL=NAME[,NAME…]")
        if not equals and len(names) > 1:
            raise OptionInvalid(OPTION, text, f"LABEL={text}, as several need a label")
        label = before.strip() if equals else names[0]
        if not _LABEL.fullmatch(label):
            expected = "a label of up to 40 letters, digits, spaces and .+-%@"
            raise OptionInvalid(OPTION, text, expected)
        if label in choices:
            raise OptionInvalid(OPTION, f"the label '{label}' twice", "a label per set")
        choices[label] = _Choice(label, names)
    return list(choices.values())


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


def _make_set(
    choice: _Choice, manifests: Sequence[AdapterManifest], cultures: Sequence[str]
) -> AdapterSetSpec:
    pairs, left_out = [], []
    for culture in cultures:
        serving = sorted(
            {manifest.version_name for manifest in manifests if manifest.serves(culture)}
        )
        if len(serving) > 1:
            found = f"{' and '.join(serving)} for {culture} in '{choice.label}'"
            raise OptionInvalid(OPTION, found, "one adapter for each culture")
        if serving:
            pairs.append(CultureAdapter(culture, serving[0]))
        else:
            left_out.append(culture)
    if not pairs:
        served = sorted({code for manifest in manifests for code in manifest.cultures})
        found = f"'{choice.label}', for {', '.join(served)}"
        raise OptionInvalid(OPTION, found, f"adapters for some of {', '.join(cultures)}")
    return AdapterSetSpec(label=choice.label, adapters=tuple(pairs), left_out=tuple(left_out))


def _make_active_set(states: Sequence[AdapterState], cultures: Sequence[str]) -> AdapterSetSpec:
    active = {
        culture: state.manifest.version_name for state in states for culture in state.cultures
    }
    pairs = tuple(CultureAdapter(c, active[c]) for c in cultures if c in active)
    if not pairs:
        expected = f"--adapter, or one that is active for some of {', '.join(cultures)}"
        raise OptionInvalid("--method", "an adapter's, while none is active", expected)
    left_out = tuple(culture for culture in cultures if culture not in active)
    return AdapterSetSpec(label=ACTIVE, adapters=pairs, left_out=left_out)
