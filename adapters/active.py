"""Which adapter is active for which culture, and which ones were before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.errors import NothingToRollBack, RegistryInvalid
from adapters.manifest import is_version_name
from files.whole import write_text

ACTIVE = "active.json"
SCHEMA_VERSION = 1
MAX_HISTORY = 50


@dataclass(frozen=True, slots=True)
class Activations:
    """The states of every culture, oldest first; None stands for the base model.

    The last state is the present one. A culture that never had an adapter has no states, and
    before its first adapter it had the base model.
    """

    states: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    @property
    def active(self) -> dict[str, str]:
        """The version that is active for each culture, unless it is the base model."""
        present = {culture: states[-1] for culture, states in self.states.items() if states}
        return {culture: name for culture, name in sorted(present.items()) if name is not None}

    def activate(self, culture: str, version_name: str | None) -> Activations:
        """Return these with `version_name` active for `culture`, None for the base model."""
        states = self.states.get(culture, ())
        if (states[-1] if states else None) == version_name:
            return self
        return self._with(culture, (*states, version_name)[-MAX_HISTORY:])

    def roll_back(self, culture: str) -> Activations:
        """Return these with the state before the present one active for `culture`.

        Raises:
            NothingToRollBack: the culture has no states.
        """
        states = self.states.get(culture, ())
        if not states:
            raise NothingToRollBack(culture)
        return self._with(culture, states[:-1])

    def without(self, version_name: str) -> Activations:
        """Return these with `version_name` in no culture's history."""
        found = self
        for culture, states in self.states.items():
            kept: list[str | None] = []
            for state in states:
                # Two equal states that only the removed one separated are one state.
                if state != version_name and (kept[-1] if kept else None) != state:
                    kept.append(state)
            found = found._with(culture, tuple(kept))
        return found

    def _with(self, culture: str, states: tuple[str | None, ...]) -> Activations:
        others = {of: kept for of, kept in self.states.items() if of != culture}
        return Activations(others | ({culture: states} if states else {}))


def find_active(states: Sequence[str | None]) -> tuple[str, ...]:
    """Return the version that is active by these states, then each one before it, newest first.

    Nothing if the present state is the base model. A version is named once, and none from before
    the last time of the base model.
    """
    found: list[str] = []
    for state in reversed(states):
        if state is None:
            break
        if state not in found:
            found.append(state)
    return tuple(found)


class _ActiveFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1]
    states: dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], tuple[str | None, ...]]


def read_activations(folder: Path) -> Activations:
    """Return what the registry in `folder` has active; nothing if nothing ever was.

    Raises:
        RegistryInvalid: the file is not as it was written.
    """
    file = folder / ACTIVE
    try:
        entry = _ActiveFile.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Activations()
    except (OSError, ValidationError) as exc:
        raise _refuse(file, f"a file that cannot be read ({exc})") from exc
    for name in {state for states in entry.states.values() for state in states}:
        if name is not None and not is_version_name(name):
            raise _refuse(file, f"'{name[:80]}' as a version")
    return Activations(entry.states)


def write_activations(folder: Path, activations: Activations) -> None:
    """Write `activations` into `folder`, whole or not at all."""
    states = dict(sorted(activations.states.items()))
    entry = _ActiveFile(schema_version=SCHEMA_VERSION, states=states)
    write_text(folder / ACTIVE, entry.model_dump_json(indent=2) + "\n")


def _refuse(file: Path, found: str) -> RegistryInvalid:
    return RegistryInvalid(
        file,
        found=found,
        expected="what `activate` writes",
        remedy="Delete it, and activate the adapters again.",
    )
