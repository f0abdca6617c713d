"""Lines that are kept as they come."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from files.journal import Journal, JournalBusy, LinesInvalid, read_lines, write_lines


class Line(BaseModel):
    n: int
    text: str = ""


def test_lines_are_there_when_it_is_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "lines.jsonl"
    with Journal(file, Line) as journal:
        assert not list(journal.read())
        journal.add(Line(n=1))
        journal.add(Line(n=2, text="é"))
    with Journal(file, Line) as journal:
        assert list(journal.read()) == [Line(n=1), Line(n=2, text="é")]

    assert file.read_text("utf-8") == '{"n":1}\n{"n":2,"text":"é"}\n'


@pytest.mark.parametrize("torn", ['{"n":2', "x", '{"n":2}'])
def test_a_line_that_a_kill_left_unfinished_is_cut_off(tmp_path: Path, torn: str) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"n":1}\n' + torn)

    with Journal(file, Line) as journal:
        journal.add(Line(n=3))

    assert list(read_lines(file, Line)) == [Line(n=1), Line(n=3)]


def test_only_one_at_a_time_has_it_open(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    with Journal(file, Line), pytest.raises(JournalBusy):
        Journal(file, Line)

    with Journal(file, Line):
        pass


def test_a_line_of_another_form_is_named_by_its_row(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"n":1}\n{"n":"x"}\n')

    with pytest.raises(LinesInvalid, match="row 2: Input should be a valid integer") as caught:
        list(read_lines(file, Line))

    assert (caught.value.file, caught.value.row) == (file, 2)
    with pytest.raises(LinesInvalid, match="no file"):
        list(read_lines(tmp_path / "none.jsonl", Line))


def test_lines_are_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    write_lines(file, [Line(n=1), Line(n=2)])

    assert list(read_lines(file, Line)) == [Line(n=1), Line(n=2)]
    assert list(tmp_path.iterdir()) == [file]
