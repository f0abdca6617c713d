"""A row is read back as it was, but for what a spreadsheet would compute."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.csv_rows import write_csv_row

TEXTS = st.text(st.characters(codec="utf-8"))


def read(line: str) -> list[str]:
    [row] = csv.reader(io.StringIO(line, newline=""), strict=True)
    return row


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, min_size=2))
def test_no_text_is_a_formula_and_none_is_lost(cells: list[str]) -> None:
    line = write_csv_row(cells)

    assert line.endswith("\r\n")
    for cell, text in zip(read(line), cells, strict=True):
        assert cell in (text, f"'{text}")
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-1", "@SUM(A1)", " =1", "\t=1"])
def test_what_a_spreadsheet_would_compute_stands_behind_an_apostrophe(text: str) -> None:
    assert read(write_csv_row([text, "x"])) == [f"'{text}", "x"]


def test_numbers_truths_and_nothing_are_written_plainly() -> None:
    assert write_csv_row([None, True, -0.25, 7, 'a "b", c']) == ',true,-0.25,7,"a ""b"", c"\r\n'
