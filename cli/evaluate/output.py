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
    """Shows the progress of a run, its rate and the time left."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, things="cells")

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if error[0] is not None and self._total:
            self._console.print("The answers so far are kept; run the same command to resume.")

    def on_planned(self, n_asks: int, *, n_kept: int) -> None:
        """Show that a run of `n_asks` asks begins, with `n_kept` answers from before."""
        kept = f"; {n_kept} different answers kept from before" if n_kept else ""
        self.begin(n_asks, f"{n_asks} cells to fill, including those of references{kept}")

    def on_asked(self, n: int, *, n_sent: int) -> None:
        """See `evaluation.runner.AskProgress`."""
        self.show(n, n_sent=n_sent, sent="requests")


def print_figures(figures: Figures, folder: Path) -> None:
    """Print a table per section, and where the report is."""
    for section in figures.sections:
        _print_results(section)
        for condition in section.conditions:
            if condition.unreadable > 0.0:
                unreadable = percent(condition.unreadable)
                out.print(f"{condition.name}: {unreadable} of the answers could not be read")
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
    rows = (
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


def _print_results(section: Section) -> None:
    lengths = f"{quantity(section.n_questions, 'question')}, "
    lengths += f"{quantity(len(section.cultures), 'culture')}, {count(section.n_cells)} cells"
    rows = (
        (
            c.name,
            _show_interval(c.similarity),
            _show_interval(c.over_plain),
            decimal(c.alignment and c.alignment.value),
        )
        for c in section.conditions
    )
    print_table(out, Table.of_rows(f"{section.title}: {lengths}", COLUMNS, rows))


def _print_gains(section: Section) -> None:
    # The gains in similarity are in the first table.
    rows = [
        (c.name, _show_interval(c.alignment_over_plain), _show_interval(c.soft_over_plain))
        for c in section.conditions
        if c.over_plain and c.kind != "reference"
    ]
    if rows:
        print_table(out, Table.of_rows("", ("over plain", "alignment", "soft accuracy"), rows))


def _print_adapters(section: Section) -> None:
    compared = [condition for condition in section.conditions if condition.over_method]
    rows = [
        ("" if number else condition.name, _show_interval(gain), name)
        for condition in compared
        for number, (name, gain) in enumerate(condition.over_method.items())
    ]
    if rows:
        title = "Adapters compared, in 1 - JS distance"
        print_table(out, Table.of_rows(title, ("", "gain", "over"), rows, texts=(0, 2)))
    for condition in compared:
        before, after = condition.before, condition.diversity
        if before is not None and before.diversity is not None and after is not None:
            of_people = condition.people_diversity
            people = "" if of_people is None else f" (people {decimal(of_people)})"
            change = f"{decimal(before.diversity)} before, {decimal(after)} after{people}"
            out.print(f"{condition.name}: diversity between cultures {change}")


def _print_ability(ability: Ability) -> None:
    chance = f"{ability.n_questions} questions, {decimal(ability.chance)} right by chance"
    rows = (
        (
            weights.name,
            _show_interval(weights.accuracy),
            _show_interval(weights.over_base),
            _show_interval(weights.log_probability_over_base),
        )
        for weights in ability.weights
    )
    columns = ("", "right", "over base", "log p over base")
    print_table(out, Table.of_rows(f"General ability: {chance}", columns, rows))
    if not knows(ability, ability.weights[0]):
        out.print("The model as it is does no better than guessing: it has little to lose.")


def _show_interval(estimate: BootstrapInterval | None) -> str:
    """Return a value with its interval; its minus signs are ASCII, so that they can be typed."""
    return "" if estimate is None else interval(estimate).replace(MINUS, "-")
