"""What `milieu evaluate` shows: a live bar, the figures, what fell, and where the report is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cli.console import out
from cli.progress import PacedBar
from evaluation.figures import Ability, BootstrapInterval, Figures, Section
from evaluation.gate import Fall
from evaluation.report.ability_part import knows
from reports.document import Table
from reports.numbers import MINUS, count, decimal, interval, percent, quantity
from reports.terminal import print_line, print_table

# Fits into 80 columns; the report has the rest, with every interval.
COLUMNS = ("", "1 - JS distance", "over plain", "alignment")


class LiveProgress(PacedBar):
    """Shows how far a run is, how fast it goes and how long it will take."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, things="cells")

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if error[0] is not None and self._total:
            self._console.print("What was answered is kept; the same command goes on from there.")

    def on_planned(self, n_asks: int, *, n_kept: int) -> None:
        """Show that a run of `n_asks` asks begins; `n_kept` answers are there from before."""
        kept = f"; {n_kept} different answers kept from before" if n_kept else ""
        self.begin(n_asks, f"{n_asks} cells to fill, those of references among them{kept}")

    def on_asked(self, n: int, *, n_sent: int) -> None:
        """See `evaluation.runner.AskProgress`."""
        self.show(n, n_sent=n_sent, sent="requests")


def print_figures(figures: Figures, folder: Path) -> None:
    """Print a table per section, and where the report is."""
    for section in figures.sections:
        print_table(out, _compose_section(section))
        for of in section.conditions:
            if of.unreadable > 0.0:
                out.print(f"{of.name}: {percent(of.unreadable)} of the answers could not be read")
        _print_gains(section)
        _print_adapters(section)
        if section.note:
            out.print(section.note, style="dim")
    if figures.ability is not None:
        _print_ability(figures.ability)
    for note in figures.notes:
        out.print(note)
    print_line(out, f"Report: {folder / 'report.html'}")


def print_falls(falls: Sequence[Fall]) -> None:
    """Print what fell below a baseline, or that nothing did."""
    if not falls:
        out.print("Gate: no culture fell below its interval.", style="green")
        return
    columns = ("Method", "Culture", "Metric", "Now", "Baseline")
    rows = tuple(
        (
            fall.condition,
            fall.culture,
            fall.metric,
            "not measured" if fall.found is None else decimal(fall.found),
            _show_interval(fall.baseline),
        )
        for fall in falls
    )
    print_table(out, Table.of_rows("Gate: fallen", columns, rows, texts=(0, 1, 2)), style="red")


def _compose_section(section: Section) -> Table:
    lengths = f"{quantity(section.n_questions, 'question')}, "
    lengths += f"{quantity(len(section.cultures), 'culture')}, {count(section.n_cells)} cells"
    rows = tuple(
        (
            of.name,
            _show_interval(of.similarity),
            _show_interval(of.over_plain),
            decimal(None if of.alignment is None else of.alignment.value),
        )
        for of in section.conditions
    )
    return Table.of_rows(f"{section.title}: {lengths}", COLUMNS, rows)


def _print_gains(section: Section) -> None:
    # Beside those in similarity, which stand in the first table.
    rows = tuple(
        (of.name, _show_interval(of.alignment_over_plain), _show_interval(of.soft_over_plain))
        for of in section.conditions
        if of.over_plain and of.kind != "reference"
    )
    if rows:
        columns = ("over plain", "alignment", "soft accuracy")
        print_table(out, Table.of_rows("", columns, rows))


def _print_adapters(section: Section) -> None:
    tuned = [of for of in section.conditions if of.over_method]
    if not tuned:
        return
    rows = tuple(
        ("" if number else of.name, _show_interval(gain), name)
        for of in tuned
        for number, (name, gain) in enumerate(of.over_method.items())
    )
    title = "Adapters compared, in 1 - JS distance"
    print_table(out, Table.of_rows(title, ("", "gain", "over"), rows, texts=(0, 2)))
    for of in tuned:
        if of.before is not None and of.before.diversity is not None and of.diversity is not None:
            known = of.people_diversity is not None
            people = f" (people {decimal(of.people_diversity)})" if known else ""
            change = f"{decimal(of.before.diversity)} before, {decimal(of.diversity)} after{people}"
            out.print(f"{of.name}: diversity between cultures {change}")


def _print_ability(ability: Ability) -> None:
    asked = f"{ability.n_questions} questions, {decimal(ability.chance)} right by chance"
    rows = tuple(
        (
            of.name,
            _show_interval(of.accuracy),
            _show_interval(of.over_base),
            _show_interval(of.log_probability_over_base),
        )
        for of in ability.weights
    )
    columns = ("", "right", "over base", "log p over base")
    print_table(out, Table.of_rows(f"General ability: {asked}", columns, rows))
    if not knows(ability, ability.weights[0]):
        out.print("The model as it is does no better than guessing: it has little to lose.")


def _show_interval(found: BootstrapInterval | None) -> str:
    """Return a value with its interval, its signs as a keyboard has them, to be searched for."""
    return "" if found is None else interval(found).replace(MINUS, "-")
