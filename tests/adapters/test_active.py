from __future__ import annotations

from pathlib import Path

import pytest

from adapters.active import ACTIVE, MAX_HISTORY, Activations, read_activations, write_activations
from adapters.errors import NothingToRollBack, RegistryInvalid

A, B, C = "a@00000000", "b@00000000", "c@00000000"


def test_the_last_activated_is_active() -> None:
    activations = Activations().activate("DEU", A).activate("JPN", B).activate("DEU", C)

    assert activations.active == {"DEU": C, "JPN": B}


def test_activating_the_same_again_is_no_new_state() -> None:
    activations = Activations().activate("DEU", A).activate("DEU", A)

    assert activations.states == {"DEU": (A,)}


def test_rolling_back_returns_step_by_step_to_the_base_model() -> None:
    activations = Activations().activate("DEU", A).activate("DEU", B)

    assert activations.roll_back("DEU").active == {"DEU": A}
    assert activations.roll_back("DEU").roll_back("DEU").active == {}
    with pytest.raises(NothingToRollBack):
        activations.roll_back("DEU").roll_back("DEU").roll_back("DEU")


def test_the_base_model_is_a_state_to_roll_back_from() -> None:
    activations = Activations().activate("DEU", A).activate("DEU", None)

    assert activations.active == {}
    assert activations.roll_back("DEU").active == {"DEU": A}


def test_a_culture_that_never_had_an_adapter_keeps_the_base_model() -> None:
    assert Activations().activate("DEU", None).states == {}


def test_a_removed_version_leaves_no_states() -> None:
    activations = Activations().activate("DEU", A).activate("DEU", B).activate("DEU", A)

    assert activations.without(B).states == {"DEU": (A,)}
    assert activations.without(A).states == {"DEU": (B,)}


def test_the_history_is_bounded() -> None:
    activations = Activations()
    for i in range(MAX_HISTORY + 5):
        activations = activations.activate("DEU", (A, B)[i % 2])

    assert len(activations.states["DEU"]) == MAX_HISTORY


def test_activations_are_read_as_they_were_written(tmp_path: Path) -> None:
    activations = Activations().activate("DEU", A).activate("DEU", None).activate("JPN", B)
    write_activations(tmp_path, activations)

    assert read_activations(tmp_path) == activations


def test_without_a_file_nothing_is_active(tmp_path: Path) -> None:
    assert read_activations(tmp_path) == Activations()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"schema_version": 2, "states": {}}',
        '{"schema_version": 1, "states": {"de": []}}',
        '{"schema_version": 1, "states": {"DEU": ["../../etc"]}}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / ACTIVE).write_text(text)

    with pytest.raises(RegistryInvalid, match=r"active\.json"):
        read_activations(tmp_path)
