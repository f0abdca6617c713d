"""One document with every kind of block, in each way that it is written."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from rich.console import Console

from reports.document import (
    Block,
    Callout,
    Document,
    Facts,
    Folded,
    Gallery,
    Part,
    Plot,
    Points,
    RowGroup,
    StateCell,
    Table,
    Text,
)
from reports.html import to_html
from reports.markdown import to_markdown
from reports.style import INK
from reports.svg import AxisScale, difference_axis, svg, ticks
from reports.terminal import print_json, print_line, print_table

EVIL = "<script>alert('\x1b[31m')</script> [a](x) | *b*"
FILE = f'<?xml version="1.0"?>\n<svg viewBox="0 0 9 9"><path style="fill: {INK}"/></svg>\n'


def a_table(text: str) -> Table:
    rows = ((text, "0.5 [0.4, 0.6]", StateCell("safe")), (f"  {text}", text, ""))
    return Table(text, (text, "Value", "State"), (RowGroup(text, rows),), note=text)


def a_document(text: str) -> Document:
    drawn = svg(
        difference_axis(AxisScale(-1.0, 1.0, 0.0, 90.0), 0, 9), width=90, height=9, title=text
    )
    blocks: tuple[Block, ...] = (
        Text(text, lead=text),
        Points((text,)),
        Facts(((text, text),)),
        a_table(text),
        Plot("one", text, FILE, alt=text, caption=text, width=800),
        Gallery((Plot("two", text, drawn, remark=text),)),
        Folded(text, (Text(text, is_note=True),)),
    )
    callout = Callout(text, (Text(text),), label=text, kind="ship")
    parts = (Part(text, blocks), Part("End", ()))
    return Document(text, ((text, text),), parts, callout=callout, has_contents=True)


def test_no_text_becomes_markup_of_a_page() -> None:
    page = ElementTree.fromstring(to_html(a_document(EVIL)))

    assert not list(page.iter("script"))
    assert "\x1b" not in to_html(a_document(EVIL))
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_every_picture_of_a_page_is_described() -> None:
    page = ElementTree.fromstring(to_html(a_document("what it shows")))
    pictures = list(page.iter("svg"))

    assert len(pictures) == 2
    assert all(each.get("role") == "img" for each in pictures)
    assert {each.get("aria-label") for each in pictures} == {"what it shows"}


def test_a_file_takes_its_colours_from_the_page_it_stands_in() -> None:
    page = to_html(a_document("plain"))

    assert "fill: var(--ink)" in page
    assert f"fill: {INK}" not in page


def test_no_text_becomes_markup_of_markdown() -> None:
    text = to_markdown(a_document(EVIL))

    assert "<script" not in text.replace("\\<script", "")
    assert "](x)" not in text.replace("\\](x)", "")
    assert "(plots/one.svg)" in text
    assert "| 0.5 [0.4, 0.6] |" in text


@pytest.mark.parametrize("width", [30, 60, 120])
def test_a_table_of_the_terminal_keeps_to_its_width(width: int) -> None:
    file = io.StringIO()
    print_table(Console(file=file, width=width), a_table(EVIL))

    assert "\x1b" not in file.getvalue()
    assert "[0.4, 0.6]" in file.getvalue()
    assert all(len(line) <= width for line in file.getvalue().splitlines())


def test_a_line_is_neither_wrapped_nor_read_as_markup() -> None:
    file = io.StringIO()
    console = Console(file=file, width=20)
    print_line(console, "[bold]a command that is longer\x1b[31m than the terminal[/bold]", indent=1)
    print_json(console, {"ü": [1, None]})

    first, *rest = file.getvalue().splitlines()
    assert first == "  [bold]a command that is longer[31m than the terminal[/bold]"
    assert "".join(rest).replace(" ", "") == '{"ü":[1,null]}'


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-3.0, 3.0, [-2.0, 0.0, 2.0]), (1.0, 1.0, [1.0])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)
