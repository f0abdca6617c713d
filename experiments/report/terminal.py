"""An analysis for the terminal, which reads as well when piped."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace

import rich.table
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from experiments.analysis.result import Analysis
from experiments.report import tables, words
from experiments.report.markup import legible
from experiments.statistics.decision import GuardrailState, Verdict

_STYLES = {Verdict.SHIP: "bold green", Verdict.STOP: "bold red", Verdict.CONTINUE: "bold yellow"}
_STATE_STYLES = {
    words.STATE_NAMES[GuardrailState.SAFE]: "green",
    words.STATE_NAMES[GuardrailState.VIOLATED]: "bold red",
    words.STATE_NAMES[GuardrailState.UNDECIDED]: "yellow",
}
_MOST_CULTURES = 12
_GAP = 2
# A name's column may be folded to this and no further.
_LEAST_NAME = 16


def print_report(analysis: Analysis, console: Console) -> None:
    """Print the report. Names and texts are printed as they are: none is read as markup."""
    name, verdict = legible(f"{analysis.experiment}: "), legible(words.headline(analysis))
    style = _STYLES[analysis.decision.verdict]
    console.print(Text.assemble((name, "bold"), (verdict, style)))
    if why := words.reason(analysis):
        _print_text(console, why)
    for sentence in words.by_arm(analysis):
        _print_text(console, sentence, lead="- ")
    console.print()
    facts = words.facts(analysis)
    broad = max(len(label) for label, _ in facts) + _GAP
    for label, value in facts:
        _print_text(console, value, lead=label.ljust(broad))
    parts = [_print_effects, _print_cultures, _print_ratio, _print_arms]
    if analysis.sample_ratio.alarm:
        parts = [_print_ratio, _print_effects, _print_cultures, _print_arms]
    for print_part in parts:
        print_part(console, analysis)
    _print_table(console, tables.revisions(analysis))
    if words.is_compared(analysis):
        console.print()
        _print_text(console, words.in_short(analysis))
    for note in words.left_out(analysis):
        _print_text(console, note, lead="- ")


def _print_effects(console: Console, analysis: Analysis) -> None:
    _print_table(console, tables.effects(analysis))
    _print_table(console, tables.guardrails(analysis))


def _print_cultures(console: Console, analysis: Analysis) -> None:
    table = tables.cultures_in_short(analysis, most=_MOST_CULTURES)
    if table is None or not words.is_compared(analysis):
        return
    _print_table(console, table)
    _print_text(console, f"{words.pooling_line(analysis)}{words.cultures_line(analysis)}")


def _print_ratio(console: Console, analysis: Analysis) -> None:
    found = analysis.sample_ratio
    if not found.strata:
        return
    console.print()
    style = "bold red" if found.alarm else "bold"
    _print_text(console, words.ratio_line(found), lead="Sample ratio  ", hang=0, style=style)
    if found.alarm or len(found.strata) > 1:
        _print_table(console, tables.ratio(analysis))


def _print_arms(console: Console, analysis: Analysis) -> None:
    _print_table(console, tables.arms(analysis))
    if offline := words.offline_line(analysis):
        _print_text(console, offline)
    console.print()
    for name, way in words.ways(analysis):
        _print_text(console, way, lead=f"{legible(name)}: ", hang=4)


def _print_text(
    console: Console, text: str, *, lead: str = "", hang: int | None = None, style: str = "bold"
) -> None:
    """Print a paragraph after its lead; further lines stand below the text, or at `hang`."""
    # A number keeps its sign for percent; what rich breaks by itself breaks at narrow spaces too.
    glued = legible(" ".join(text.split("\n"))).replace(" %", "\N{NO-BREAK SPACE}%")
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


def _print_table(console: Console, table: tables.Table | None) -> None:
    """Print a table; where it is too wide, its columns in several tables one after another."""
    if table is None:
        return
    console.print()
    if table.caption:
        _print_text(console, "", lead=table.caption)
    for piece in _pieces(table, console.width):
        shown = rich.table.Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
        for at, column in enumerate(piece.columns):
            is_text = at in piece.texts
            shown.add_column(
                Text(legible(column), style="bold"),
                overflow="fold",
                justify="left" if is_text else "right",
                no_wrap=at > 0 and _width(piece, at) <= console.width - _LEAST_NAME - _GAP,
            )
        for row in piece.rows:
            shown.add_row(_name(row[0]), *(_cell(cell) for cell in row[1:]))
        console.print(shown)


def _pieces(table: tables.Table, width: int) -> Iterator[tables.Table]:
    """Yield the table in pieces as wide as fits, each with the first column."""
    name_width = min(_width(table, 0), max(_LEAST_NAME, width // 3))
    piece, used = [0], name_width
    for at in range(1, len(table.columns)):
        needed = _width(table, at) + _GAP
        if used + needed > width and len(piece) > 1:
            yield _piece(table, piece)
            piece, used = [0], name_width
        piece.append(at)
        used += needed
    yield _piece(table, piece)


def _piece(table: tables.Table, columns: list[int]) -> tables.Table:
    return replace(
        table,
        columns=tuple(table.columns[at] for at in columns),
        rows=tuple(tuple(row[at] for at in columns) for row in table.rows),
        texts=tuple(place for place, at in enumerate(columns) if at in table.texts),
    )


def _width(table: tables.Table, column: int) -> int:
    cells = (table.columns[column], *(row[column] for row in table.rows))
    return max(cell_len(legible(cell)) for cell in cells)


def _name(text: str) -> Padding | Text:
    """Return the name of a row; an indented one stays so when it is folded."""
    found = legible(text)
    bare = found.lstrip(" ")
    return Padding(Text(bare), (0, 0, 0, len(found) - len(bare))) if bare != found else Text(found)


def _cell(text: str) -> Text:
    return Text(legible(text), style=_STATE_STYLES.get(text, ""))
