"""A thousand damaged files are opened or refused with a reason, within a time limit each."""

from __future__ import annotations

import pytest

from tests.mutated_files import KINDS, House, Kind

N_EACH = 200
FIRST_SEED = 1000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_none_of_many_damaged_files_does_anything_else(
    house: House, kind: Kind, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[str] = []
    n_refused = 0
    for seed in range(FIRST_SEED, FIRST_SEED + N_EACH):
        try:
            n_refused += house.open_damaged(kind, seed, capsys)
        except BaseException as exc:
            faults.append(
                f"{type(exc).__name__}: {str(exc)[:200]} ({getattr(exc, '__notes__', seed)})"
            )
    assert not faults, "\n".join(faults)
    assert n_refused > N_EACH / 2
