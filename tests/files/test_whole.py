"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from files.whole import is_part, replacing, write_text


def test_a_file_is_made_with_its_folder_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.txt"
    write_text(file, "é\n")
    write_text(file, "2\n")

    assert file.read_bytes() == b"2\n"
    assert list(file.parent.iterdir()) == [file]


def test_what_fails_leaves_the_old_content_and_nothing_besides(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def fail() -> None:
        with replacing(file) as part:
            part.write_text("half")
            assert is_part(part)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_two_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with replacing(file) as one:
        one.write_text("one")
        with replacing(file) as other:
            other.write_text("other")
        assert file.read_text() == "other"

    assert file.read_text() == "one"
    assert not is_part(file)
