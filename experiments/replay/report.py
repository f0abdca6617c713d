"""A replay in tables, and for the terminal, which reads as well when piped."""

from __future__ import annotations

import rich.table
from rich.console import Console
from rich.text import Text

from experiments.replay import words
from experiments.replay.result import ArmReplay, Replay
from experiments.report.markup import legible
from experiments.report.numbers import count
from experiments.report.tables import Table


def arms(replay: Replay) -> Table:
    """Return what each arm does by itself, a column per arm."""
    found = replay.arms
    rows = [
        ("How it answers", *(arm.about for arm in found)),
        ("Answers", *(count(arm.n_answers) for arm in found)),
        ("  with exemplars", *(count(arm.n_shown) for arm in found)),
        ("  failed", *(count(arm.n_failed) for arm in found)),
    ]
    for metric in found[0].levels:
        rows.append((words.NAMES[metric], *(words.level(arm.levels[metric].span) for arm in found)))
    return Table("Arms", ("Mean [95 %]", *map(words.title_of, found)), tuple(rows))


def differences(replay: Replay, arm: ArmReplay) -> Table:
    """Return the differences of one arm to control, a row per metric."""
    rows = tuple(
        (
            words.NAMES[metric],
            words.difference(found.span),
            count(found.n),
            count(found.n_questions),
        )
        for metric, found in arm.differences.items()
    )
    columns = ("Metric", "Difference [95 %]", "Pairs", "Questions")
    return Table(f"{arm.name} less {replay.control}", columns, rows)


def cultures(replay: Replay) -> Table | None:
    """Return the alignment by culture, a column per arm; None where it is not known."""
    rows = tuple(
        (
            f"{each.name} ({count(max(found.n for found in each.levels.values()))})",
            *(words.level(each.levels[arm.name].span) for arm in replay.arms),
        )
        for each in replay.cultures
    )
    columns = ("Culture (answers)", *map(words.title_of, replay.arms))
    return Table("Alignment by culture, mean [95 %]", columns, rows) if rows else None


def treated(replay: Replay) -> tuple[ArmReplay, ...]:
    """Return the arms that are compared with control."""
    return tuple(arm for arm in replay.arms if not arm.is_control)


def print_replay(replay: Replay, console: Console) -> None:
    """Print the report. Names and texts are printed as they are: none is read as markup."""
    console.print(Text.assemble(f"{replay.experiment}: ", (words.headline(replay), "bold")))
    console.print()
    for label, value in words.facts(replay):
        console.print(Text.assemble((f"{label}: ", "bold"), _text(" ".join(value.split()))))
    _print_table(console, arms(replay))
    for arm in treated(replay):
        _print_table(console, differences(replay, arm))
    if (by_culture := cultures(replay)) is not None:
        _print_table(console, by_culture)
    _print_points(console, "Why answers failed", words.reasons(replay, replay.failures))
    _print_points(console, "Why answers fell back", words.reasons(replay, replay.fallbacks))
    _print_points(console, "How to read this", words.notes(replay))


def _print_points(console: Console, title: str, points: tuple[str, ...]) -> None:
    if not points:
        return
    console.print()
    console.print(Text(title, style="bold"))
    for point in points:
        console.print(_text(f"- {point}"))


def _print_table(console: Console, table: Table) -> None:
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
