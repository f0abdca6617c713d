"""A pack is placed whole or not at all, and over nothing that it should not replace."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from survey_data.errors import FolderTaken, PackInvalid
from survey_data.importers.pack_folder import place_pack
from survey_data.model import Pack
from survey_data.packs import read_pack


@pytest.fixture
def pack(make_pack: Callable[..., Pack]) -> Pack:
    return make_pack({"DEU": [0]})


def unsound(pack: Pack) -> Pack:
    return dataclasses.replace(pack, questions=pack.questions * 2)


@pytest.mark.parametrize("exists", [False, True])
def test_a_pack_is_placed_in_an_empty_folder(tmp_path: Path, pack: Pack, exists: bool) -> None:
    folder = tmp_path / "packs" / "mine"
    if exists:
        folder.mkdir(parents=True)
    place_pack(folder, pack)
    assert read_pack(folder).manifest.id == "tiny"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_pack_is_not_replaced_unless_forced(
    tmp_path: Path, pack: Pack, make_pack: Callable[..., Pack]
) -> None:
    place_pack(tmp_path / "mine", pack)
    with pytest.raises(FolderTaken, match="--force"):
        place_pack(tmp_path / "mine", pack)
    place_pack(tmp_path / "mine", make_pack({"KEN": [0]}), force=True)
    assert read_pack(tmp_path / "mine").cultures == ("KEN",)


def test_what_is_no_pack_is_never_replaced(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderTaken, match="no pack"):
        place_pack(tmp_path, pack, force=True)
    with pytest.raises(FolderTaken, match="is a file"):
        place_pack(tmp_path / "notes.txt", pack, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failure_leaves_what_was_there(tmp_path: Path, pack: Pack) -> None:
    place_pack(tmp_path / "mine", pack)
    with pytest.raises(PackInvalid):
        place_pack(tmp_path / "mine", unsound(pack), force=True)
    with pytest.raises(PackInvalid):
        place_pack(tmp_path / "other", unsound(pack))
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert read_pack(tmp_path / "mine").cultures == ("DEU",)


def test_a_failure_names_no_folder_that_is_gone(tmp_path: Path, pack: Pack) -> None:
    with pytest.raises(PackInvalid, match="nothing was written") as caught:
        place_pack(tmp_path / "mine", unsound(pack))
    assert caught.value.file.parent == tmp_path / "mine"
    assert "made" not in str(caught.value)
