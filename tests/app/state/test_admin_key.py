"""The admin key is made once, for its owner alone, and never shown."""

from __future__ import annotations

import logging
import multiprocessing
import stat
from pathlib import Path

import pytest

from app.errors import SecretFileInvalid
from app.settings import Settings
from app.state.admin_key import FILE, add_admin_key, keep_admin_key, read_admin_key

# Not forked: a fork would share the locks that the parent holds.
SPAWN = multiprocessing.get_context("spawn")


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "milieu"

    key = keep_admin_key(folder)

    assert len(key) >= 43
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    # Nothing of its making is left.
    assert [file.name for file in folder.iterdir()] == [FILE]


def test_the_same_key_is_found_again(tmp_path: Path) -> None:
    assert read_admin_key(tmp_path) is None
    key = keep_admin_key(tmp_path)

    assert keep_admin_key(tmp_path) == read_admin_key(tmp_path) == key


def test_two_folders_have_two_keys(tmp_path: Path) -> None:
    assert keep_admin_key(tmp_path / "a") != keep_admin_key(tmp_path / "b")


def test_services_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    with SPAWN.Pool(4) as pool:
        keys = pool.map(keep_admin_key, [tmp_path] * 32, chunksize=1)

    assert set(keys) == {read_admin_key(tmp_path)}
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    keep_admin_key(tmp_path)
    (tmp_path / FILE).chmod(mode)

    with pytest.raises(SecretFileInvalid, match=f"found mode {mode:o}, expected a file that only"):
        keep_admin_key(tmp_path)


@pytest.mark.parametrize("data", [b"", b"short\n", b"\xff" * 40, b"a b" * 20, b"x\n" * 40])
def test_a_file_without_a_key_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / FILE
    file.write_bytes(data)
    file.chmod(0o600)

    with pytest.raises(SecretFileInvalid, match="Delete it, and a new key is made"):
        keep_admin_key(tmp_path)


def test_a_folder_or_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder" / FILE).mkdir(parents=True)
    (tmp_path / "link").mkdir()
    keep_admin_key(tmp_path)
    (tmp_path / "link" / FILE).symlink_to(tmp_path / FILE)

    with pytest.raises(SecretFileInvalid, match="no plain file"):
        keep_admin_key(tmp_path / "folder")
    with pytest.raises(OSError, match="symbolic links"):
        keep_admin_key(tmp_path / "link")


def test_the_settings_own_keys_go_first(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_folder": tmp_path, "admin_keys": "root"})

    assert add_admin_key(settings) is settings
    assert list(tmp_path.iterdir()) == []


def test_a_made_key_is_in_the_settings_and_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = add_admin_key(Settings(data_folder=tmp_path))

    [key] = settings.admin_keys
    assert key.get_secret_value() == read_admin_key(tmp_path)
    logged = " ".join(str(record.__dict__) for record in caplog.records)
    assert "admin_key_made" in logged
    assert key.get_secret_value() not in logged + str(settings)


def test_where_no_key_can_be_written_there_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")

    assert add_admin_key(Settings(data_folder=tmp_path / "file")).admin_keys == ()
    [record] = caplog.records
    assert record.getMessage() == "admin_key_not_made"
