"""The notebooks of docs/examples/ run as a reader runs them; what they show is current."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.notebooks import (
    NOTEBOOKS,
    list_pictures,
    list_texts,
    read_cells,
    run_notebook,
    split_numbers,
)

# What a model says differs from one kind of processor to another.
TOLERANCE = 0.015
MAX_PICTURE_BYTES = 40_000
RENEW = "to renew it: `make serve`, and beside it `python -m tests.notebooks`"


def by_name(path: Path) -> str:
    return path.stem


def test_there_are_three() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_was_stored_after_a_run_from_top_to_bottom(path: Path) -> None:
    code = [cell for cell in read_cells(path) if cell["cell_type"] == "code"]

    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {shown["output_type"] for cell in code for shown in cell["outputs"]}
    assert kinds <= {"stream", "display_data"}
    assert {shown["name"] for c in code for shown in c["outputs"] if "name" in shown} == {"stdout"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_its_pictures_are_small(path: Path) -> None:
    sizes = [len(base64.b64decode(picture)) for picture in list_pictures(read_cells(path))]

    assert sizes
    assert max(sizes) <= MAX_PICTURE_BYTES


@pytest.mark.vllm
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_runs_and_shows_what_is_stored(path: Path, made_service: str) -> None:
    stored, shown = read_cells(path), run_notebook(path, made_service)

    assert len(list_pictures(shown)) == len(list_pictures(stored))
    for before, after in zip(list_texts(stored), list_texts(shown), strict=True):
        (words, numbers), (new_words, new_numbers) = split_numbers(before), split_numbers(after)
        assert new_words == words, RENEW
        assert new_numbers == pytest.approx(numbers, abs=TOLERANCE), RENEW
