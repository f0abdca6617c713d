"""A file has one decimal sign, and a number that may be two is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from survey_data.errors import PackInvalid
from survey_data.numbers import Cell, find_decimal_sign, read_number

FILE = Path("shares.csv")


def sign(*texts: str, separator: str = ",") -> str:
    cells = [Cell(row, "share", text) for row, text in enumerate(texts, start=2)]
    return find_decimal_sign(cells, file=FILE, separator=separator)


@pytest.mark.parametrize(
    ("texts", "separator", "expected"),
    [
        (("1", "20"), ",", "."),
        (("1", "20"), ";", "."),
        (("0.5", "1"), ";", "."),
        (("0,5", "1"), ",", ","),
        (("12,5", "17"), ";", ","),
        (("0,951", "1,234"), ",", ","),
        (("1,234", "2,345"), ";", ","),
        (("1.234", "2.345"), ",", "."),
        (("1.234", "0.5"), ";", "."),
        (("don't know", "-0,5"), "\t", ","),
        ((), ",", "."),
    ],
)
def test_the_sign_of_a_file(texts: tuple[str, ...], separator: str, expected: str) -> None:
    assert sign(*texts, separator=separator) == expected


@pytest.mark.parametrize(
    ("texts", "separator", "row", "message"),
    [
        (("0.5", "12,5"), ",", 3, "'12,5', but row 2 has '0.5'"),
        (("0,5", "1.5"), ";", 3, "one decimal sign"),
        (("0.5", "1,234"), ",", 3, "no marks between thousands"),
        (("1,234", "20"), ",", 2, "may be 1234 or 1.234"),
        (("1.234", "20"), ";", 2, "may be 1234 or 1.234"),
        (("1,234,567",), ",", 2, "marks between its thousands"),
        (("1.234,5",), ";", 2, "marks between its thousands"),
        (("1 234,5",), ";", 2, "marks between its thousands"),
    ],
)
def test_a_number_that_may_be_two_is_refused(
    texts: tuple[str, ...], separator: str, row: int, message: str
) -> None:
    with pytest.raises(PackInvalid, match=message) as caught:
        sign(*texts, separator=separator)
    error = caught.value
    assert (error.file, error.row, error.column) == (FILE, row, "share")


def test_numbers_are_read_with_the_sign_of_their_file() -> None:
    assert read_number("12,5", file=FILE, row=2, column="share", decimal=",") == 12.5
    for text, decimal in (("12,5", "."), ("12.5", ",")):
        with pytest.raises(PackInvalid, match="is no number"):
            read_number(text, file=FILE, row=2, column="share", decimal=decimal)  # type: ignore[arg-type]  # one of the two
