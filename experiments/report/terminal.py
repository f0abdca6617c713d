"""An analysis for the terminal, which reads as well when piped."""

from __future__ import annotations

import rich.table
from rich.console import Console
from rich.text import Text

from experiments.analysis.result import Analysis
from experiments.report import tables, words
from experiments.report.markup import legible
from experiments.statistics.decision import Verdict

_STYLES = {Verdict.SHIP: "bold green", Verdict.STOP: "bold red", Verdict.CONTINUE: "bold yellow"}


def print_report(analysis: Analysis, console: Console) -> None:
    """Print the report. Names and texts are printed as they are: none is read as markup."""
    said = (
        f"{analysis.experiment}: ",
        (words.headline(analysis), _STYLES[analysis.decision.verdict]),
    )
    console.print(Text.assemble(*said))
    console.print(_text(words.reason(analysis)))
    console.print()
    for label, value in words.facts(analysis):
        console.print(Text.assemble((f"{label}: ", "bold"), _text(" ".join(value.split()))))
    _print_table(console, tables.effects(analysis))
    _print_table(console, tables.guardrails(analysis))
    for comparison in analysis.comparisons:
        _print_table(console, tables.cultures(comparison))
        console.print(_text(words.cultures_line(comparison)))
    _print_table(console, tables.ratio(analysis))
    console.print(_text(words.ratio_line(analysis.sample_ratio)))
    _print_table(console, tables.arms(analysis))
    _print_table(console, tables.revisions(analysis))
    console.print()
    console.print(Text("How to read this, and what is left out", style="bold"))
    for note in words.notes(analysis):
        console.print(_text(f"- {note}"))


def _print_table(console: Console, table: tables.Table | None) -> None:
    if table is None:
        return
    console.print()
    console.print(_text(table.caption, style="bold"))
    shown = rich.table.Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in table.columns:
        shown.add_column(_text(column), overflow="fold")
    for row in table.rows:
        shown.add_row(*map(_text, row))
    console.print(shown)


def _text(text: str, *, style: str = "") -> Text:
    """Return text that steers no terminal."""
    return Text(legible(text), style=style)
