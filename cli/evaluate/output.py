"""What `milieu evaluate` shows: a live bar, the figures, what fell, and where the report is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from cli.console import out
from cli.progress import PacedBar
from evaluation.figures import Ability, ConditionFigures, Figures, Interval, Section
from evaluation.gate import Fall
from evaluation.report.ability_part import knows

# Fits into 80 columns; the report has the rest, with every interval.
COLUMNS = ("", "1 - JS distance", "over plain", "alignment")
# Any: keyword arguments of several types.
LOOK: dict[str, Any] = {"title_justify": "left", "box": None, "pad_edge": False}


class LiveProgress(PacedBar):
    """Shows how far a run is, how fast it goes and how long it will take."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, things="cells")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is not None and self._total:
            self._console.print("What was answered is kept; the same command goes on from there.")

    def on_planned(self, n_asks: int, *, n_kept: int) -> None:
        """See `cli.evaluate.run.RunProgress`."""
        kept = f"; {n_kept} different answers kept from before" if n_kept else ""
        self.begin(n_asks, f"{n_asks} cells to fill, those of references among them{kept}")

    def on_asked(self, n: int, *, n_sent: int) -> None:
        """See `evaluation.runner.Progress`."""
        self.show(n, n_sent=n_sent, sent="requests")


def print_figures(figures: Figures, folder: Path) -> None:
    """Print a table per section, and where the report is."""
    for section in figures.sections:
        out.print(_table(section))
        for of in section.conditions:
            if of.unreadable > 0.0:
                out.print(f"{of.name}: {of.unreadable:.2%} of the answers could not be read")
        _print_gains(section)
        _print_adapters(section)
        if section.note:
            out.print(section.note, style="dim")
    if figures.ability is not None:
        _print_ability(figures.ability)
    for note in figures.notes:
        out.print(note)
    out.print(f"Report: {folder / 'report.html'}")


def print_falls(falls: Sequence[Fall]) -> None:
    """Print what fell below a baseline, or that nothing did."""
    if not falls:
        out.print("Gate: no culture fell below its interval.", style="green")
        return
    table = Table("Method", "Culture", "Metric", "Now", "Baseline", title="Gate: fallen")
    for fall in falls:
        found = "not measured" if fall.found is None else f"{fall.found:.3f}"
        row = (fall.condition, fall.culture, fall.metric, found, _interval(fall.baseline))
        table.add_row(*row)
    out.print(table, style="red")


def _table(section: Section) -> Table:
    counts = (section.n_questions, "question"), (len(section.cultures), "culture")
    listed = ", ".join(f"{n} {noun}{'s' * (n != 1)}" for n, noun in counts)
    title = f"{section.title}: {listed}, {section.n_cells} cells"
    table = Table(*_columns(*COLUMNS), title=title, **LOOK)
    for of in section.conditions:
        table.add_row(*_row(of))
    return table


def _print_gains(section: Section) -> None:
    # Beside those in similarity, which stand in the first table.
    gained = [of for of in section.conditions if of.over_plain and of.kind != "reference"]
    if not gained:
        return
    columns = _columns("over plain", "alignment", "soft accuracy")
    table = Table(*columns, **LOOK)
    for of in gained:
        row = (_interval(gain) for gain in (of.alignment_over_plain, of.soft_over_plain))
        table.add_row(of.name, *row)
    out.print(table)


def _print_adapters(section: Section) -> None:
    tuned = [of for of in section.conditions if of.over_method]
    if not tuned:
        return
    title = "Adapters compared, in 1 - JS distance"
    table = Table(*_columns("", "gain", "over"), title=title, **LOOK)
    for of in tuned:
        for number, (name, gain) in enumerate(of.over_method.items()):
            table.add_row("" if number else of.name, _interval(gain), name)
    out.print(table)
    for of in tuned:
        if of.before is not None and of.before.diversity is not None and of.diversity is not None:
            people = "" if of.people_diversity is None else f" (people {of.people_diversity:.3f})"
            change = f"{of.before.diversity:.3f} before, {of.diversity:.3f} after{people}"
            out.print(f"{of.name}: diversity between cultures {change}")


def _print_ability(ability: Ability) -> None:
    counted = f"{ability.n_questions} questions, {ability.chance:.3f} right by chance"
    title = f"General ability: {counted}"
    table = Table(*_columns("", "right", "over base", "log p over base"), title=title, **LOOK)
    for of in ability.weights:
        gains = (_interval(of.over_base), _interval(of.log_probability_over_base))
        table.add_row(of.name, _interval(of.accuracy), *gains)
    out.print(table)
    if not knows(ability, ability.weights[0]):
        out.print("The model as it is does no better than guessing: it has little to lose.")


def _columns(*names: str) -> Iterator[Column]:
    return (Column(name, no_wrap=bool(name)) for name in names)


def _row(of: ConditionFigures) -> tuple[str, ...]:
    alignment = "" if of.alignment is None else f"{of.alignment.value:.3f}"
    return (of.name, _interval(of.similarity), _interval(of.over_plain), alignment)


def _interval(of: Interval | None) -> str:
    return "" if of is None else f"{of.value:.3f} [{of.low:.3f}, {of.high:.3f}]"
