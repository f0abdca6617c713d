"""Reports in the terminal, as readable when piped. No text from data is read as markup."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace

import rich.table
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from reports.document import RowGroup, StateCell, Table
from reports.markup import strip_controls

_STATE_STYLES = {"safe": "green", "violated": "bold red", "undecided": "yellow"}
_GAP = 2
# A name's column may be folded to this and no further.
_LEAST_NAME = 16


def print_headline(console: Console, lead: str, text: str, *, style: str = "bold") -> None:
    """Print what a report is about, and its main finding."""
    console.print(Text.assemble((strip_controls(lead), "bold"), (strip_controls(text), style)))


def print_line(console: Console, text: str, *, indent: int = 0) -> None:
    """Print a line unwrapped, however narrow the terminal, so that it can be copied."""
    shown = strip_controls(f"{'  ' * indent}{text}")
    console.print(shown, highlight=False, markup=False, soft_wrap=True)


def print_json(console: Console, value: object) -> None:
    """Print a value of plain types as JSON."""
    console.print_json(json.dumps(value, ensure_ascii=False))


def print_text(
    console: Console, text: str, *, lead: str = "", hang: int | None = None, style: str = "bold"
) -> None:
    """Print a paragraph after its lead; further lines stand below the text, or at `hang`."""
    # A number keeps its sign for percent; what rich breaks by itself breaks at narrow spaces too.
    lead = strip_controls(lead)
    glued = strip_controls(" ".join(text.split("\n"))).replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(
        glued,
        console.width,
        initial_indent=lead,
        subsequent_indent=" " * (len(lead) if hang is None else hang),
        break_on_hyphens=False,
    )
    for at, line in enumerate(lines or [lead.rstrip()]):
        shown = Text(line.replace("\N{NO-BREAK SPACE}%", " %"), overflow="fold")
        if at == 0:
            shown.stylize(style, 0, len(lead))
        is_narrow = cell_len(line) <= console.width
        console.print(shown, no_wrap=is_narrow, crop=not is_narrow)


def print_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Print labels, each with its value beside it."""
    listed = list(facts)
    broad = max((len(label) for label, _ in listed), default=0) + _GAP
    console.print()
    for label, value in listed:
        print_text(console, value, lead=label.ljust(broad))


def print_points(console: Console, points: Iterable[str], *, title: str = "") -> None:
    """Print a bulleted list under a title; nothing if it is empty."""
    listed = list(points)
    if listed and title:
        console.print()
        print_text(console, "", lead=title)
    for point in listed:
        print_text(console, point, lead="- ")


def print_table(console: Console, table: Table | None, *, style: str = "") -> None:
    """Print a table; if it is too wide, split its columns over several tables."""
    if table is None:
        return
    console.print()
    if table.caption:
        print_text(console, "", lead=table.caption)
    for piece in _split(table, console.width):
        shown = rich.table.Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
        for at, column in enumerate(piece.columns):
            shown.add_column(
                Text(strip_controls(column), style="bold"),
                overflow="fold",
                justify="left" if at in piece.texts else "right",
                no_wrap=at > 0 and _measure(piece, at) <= console.width - _LEAST_NAME - _GAP,
            )
        for row in piece.rows:
            shown.add_row(_show_name(row[0]), *map(_show_cell, row[1:]))
        console.print(shown, style=style)


def _split(table: Table, width: int) -> Iterator[Table]:
    """Yield the table in pieces as wide as fits, each with the first column."""
    name_width = min(_measure(table, 0), max(_LEAST_NAME, width // 3))
    piece, used = [0], name_width
    for at in range(1, len(table.columns)):
        needed = _measure(table, at) + _GAP
        if used + needed > width and len(piece) > 1:
            yield _take(table, piece)
            piece, used = [0], name_width
        piece.append(at)
        used += needed
    yield _take(table, piece)


def _take(table: Table, columns: list[int]) -> Table:
    rows = tuple(tuple(row[at] for at in columns) for row in table.rows)
    return replace(
        table,
        columns=tuple(table.columns[at] for at in columns),
        groups=(RowGroup("", rows),),
        texts=tuple(place for place, at in enumerate(columns) if at in table.texts),
    )


def _measure(table: Table, column: int) -> int:
    cells = (table.columns[column], *(row[column] for row in table.rows))
    return max(cell_len(strip_controls(cell)) for cell in cells)


def _show_name(text: str) -> Padding | Text:
    """Return the name of a row; an indented one stays so when it is folded."""
    clean = strip_controls(text)
    bare = clean.lstrip(" ")
    return Padding(Text(bare), (0, 0, 0, len(clean) - len(bare))) if bare != clean else Text(clean)


def _show_cell(text: str) -> Text:
    style = _STATE_STYLES.get(text, "") if isinstance(text, StateCell) else ""
    return Text(strip_controls(text), style=style)
