"""Damaged files are opened or refused with a reason; nothing else comes of them."""

from __future__ import annotations

import pytest

from tests.mutated_files import KINDS, House, Kind

N_EACH = 12


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_damaged_file_is_opened_or_refused(
    house: House, kind: Kind, capsys: pytest.CaptureFixture[str]
) -> None:
    house.open_sound(kind)

    refused = [house.open_damaged(kind, seed, capsys) for seed in range(N_EACH)]

    assert any(refused)
