"""The one reader of delimited text: encodings, line ends, separators and quotation marks."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from survey_data.delimited import is_encoding, read_delimited_rows, read_layout
from survey_data.errors import PackInvalid

ROOT = Path(__file__).parents[2]
TEXT = "town,n\nKöln,1\nZürich,2\n"
_READS_CSV = re.compile(r"\b(DictReader|Sniffer|scan_csv|read_csv\w*)\(|\bcsv\.reader\(")
ROWS = [(2, {"town": "Köln", "n": "1"}), (3, {"town": "Zürich", "n": "2"})]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def rows(file: Path, encoding: str | None = None) -> list[tuple[int, dict[str, str]]]:
    return list(read_delimited_rows(file, read_layout(file, encoding=encoding)))


def texts(file: Path) -> list[str]:
    """The values of the column `text`."""
    return [values["text"] for _, values in rows(file)]


def test_only_the_one_reader_and_what_ships_with_milieu_read_csv() -> None:
    """Others would have their own idea of line ends, encodings and marks."""
    # These read what ships with Milieu.
    own = {"survey_data/cultures.py", "prompting/phrases/fields.py", "app/web/world_map.py"}
    own.add("survey_data/culture_names.py")
    folders = ("adapters", "app", "cli", "evaluation", "experiments", "reports", "prompting")
    using = {
        str(path.relative_to(ROOT))
        for folder in (*folders, "survey_data", "retrieval", "estimation", "embedded_model")
        for path in ROOT.joinpath(folder).rglob("*.py")
        if _READS_CSV.search(path.read_text())
    }
    assert using == {"survey_data/delimited.py", *own}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_line_ends_and_encodings_are_recognised(file: Path, end: str, encoding: str) -> None:
    file.write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert rows(file) == ROWS


def test_another_encoding_has_to_be_named(file: Path) -> None:
    file.write_bytes(TEXT.encode("latin-1"))
    with pytest.raises(PackInvalid, match=r"not UTF-8.*--encoding latin-1") as caught:
        rows(file)
    assert caught.value.row == 2
    assert rows(file, "latin-1") == ROWS


def test_names_of_encodings() -> None:
    assert is_encoding("latin-1")
    assert is_encoding("UTF-16")
    assert not is_encoding("hex")
    assert not is_encoding("klingon")
    assert not is_encoding("a\0b")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_are_recognised(file: Path, separator: str) -> None:
    file.write_text(TEXT.replace(",", separator))
    assert rows(file) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        'a;"b, c, d, e";text\n1;2;x\n',
        "a;b, c, d, e;text\n1;2;x\n1;2;x\n",
        "a\tb; c, d, e\ttext\n1\t2\tx\n",
    ],
)
def test_separators_within_names_do_not_count(file: Path, text: str) -> None:
    file.write_text(text)
    assert texts(file)[0] == "x"


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;"])
def test_a_line_may_name_the_separator_and_is_no_row(file: Path, first: str) -> None:
    file.write_text(f"{first}\r\na,b;text\r\n1;x\r\n")
    assert rows(file) == [(2, {"a,b": "1", "text": "x"})]


def test_blank_columns_at_the_end_and_blank_rows_are_none(file: Path) -> None:
    file.write_text("a,text,,\n1,x,,\n,,,\n\n2,y\n")
    assert rows(file) == [(2, {"a": "1", "text": "x"}), (5, {"a": "2", "text": "y"})]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('5" pipe', '5" pipe'),
        ('5"', '5"'),
        ('5" x 3"', '5" x 3"'),
        ('"The Who" in town', '"The Who" in town'),
        ('a "b" c', 'a "b" c'),
        ('"a, b"', "a, b"),
        ('"a ""b"" c"', 'a "b" c'),
        ('"a\nb"', "a\nb"),
        ('"a\n5"" b"', 'a\n5" b'),
        ('""', ""),
    ],
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_marks_that_quote_nothing_are_text(file: Path, value: str, text: str, place: str) -> None:
    header, row, other = "text,n", f"{value},1", "z,2"
    if place == "last":
        header, row, other = "n,text", f"1,{value}", "2,z"
    file.write_text(f"{header}\n{row}\n{row}\n{other}\n")
    assert texts(file) == [text, text, "z"]


@pytest.mark.parametrize(
    ("later", "text"),
    [("x", "x"), ('5" pipe', '5" pipe'), ('x"', 'x"'), ('"x', '"x'), ('"x, y"', "x, y")],
)
def test_a_mark_that_begins_a_value_takes_in_no_other_row(
    file: Path, later: str, text: str
) -> None:
    file.write_text(f'n,m,text\n1,1,"t\n2,2,u\n3,3,v\n4,4,{later}\n5,5,w\n')
    assert texts(file) == ['"t', "u", "v", text, "w"]


def test_a_mark_that_nothing_follows_may_be_a_file_that_was_cut(file: Path) -> None:
    file.write_text('n,text\n1,x\n2,"y')
    with pytest.raises(PackInvalid, match=r"row 3: no CSV, .*opened and not closed"):
        rows(file)


def test_a_quoted_value_has_an_end_within_reason(file: Path) -> None:
    file.write_text('text,n\n"x\n' + "y\n" * 600_000)
    with pytest.raises(PackInvalid, match=r"row 2: .*not closed"):
        rows(file)


def test_a_spreadsheet_is_named_as_one(file: Path) -> None:
    file.write_bytes(b"PK\x03\x04\x14\x00\x06\x00,a\n")
    with pytest.raises(PackInvalid, match="spreadsheet"):
        rows(file)


@given(data=st.binary(max_size=300))
def test_no_bytes_end_in_another_error(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.csv"
    file.write_bytes(data)
    with contextlib.suppress(PackInvalid):
        rows(file)


@given(
    table=st.lists(
        st.lists(
            st.text('ab",;\té\u2028 ', max_size=8),
            min_size=3,
            max_size=3,
        ),
        max_size=6,
    )
)
def test_what_a_writer_quotes_is_read_back(
    table: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row) for row in table]
    file = tmp_path_factory.getbasetemp() / "quoted.csv"
    file.write_text("\n".join(["a,b,c", *quoted]) + "\n", encoding="utf-8", newline="")
    kept = [row for row in table if any(map(str.strip, row))]
    assert [list(values.values()) for _, values in rows(file)] == kept
