"""A replay in tables, and for the terminal."""

from __future__ import annotations

from rich.console import Console

from experiments.replay import words
from experiments.replay.result import ArmReplay, Replay
from experiments.report.terminal import print_sources, print_ways
from experiments.report.words import name_arm
from reports.document import Table
from reports.numbers import count
from reports.terminal import print_headline, print_points, print_table, print_text


def tabulate_levels(replay: Replay) -> Table:
    """Return what each arm does by itself, a column per arm."""
    found = replay.arms
    rows = [
        ("Answers", *(count(arm.n_answers) for arm in found)),
        ("  with exemplars", *(count(arm.n_shown) for arm in found)),
        ("  failed", *(count(arm.n_failed) for arm in found)),
    ]
    rows += [
        (words.NAMES[metric], *(words.show_mean(arm.levels[metric].span) for arm in found))
        for metric in found[0].levels
    ]
    return Table.of_rows("Arms", ("Mean [95 %]", *map(name_arm, found)), tuple(rows))


def tabulate_differences(replay: Replay, arm: ArmReplay) -> Table:
    """Return the differences of one arm to control, a row per metric."""
    rows = tuple(
        (
            words.NAMES[metric],
            words.show_difference(each.span),
            count(each.n),
            count(each.n_questions),
        )
        for metric, each in arm.differences.items()
    )
    columns = ("Metric", "Difference [95 %]", "Pairs", "Questions")
    return Table.of_rows(f"{arm.name} less {replay.control}", columns, rows)


def tabulate_alignment(replay: Replay) -> Table | None:
    """Return the alignment by culture, a column per arm; None if it is not known."""
    rows = tuple(
        (
            f"{each.name} ({count(max(found.n for found in each.levels.values()))})",
            *(words.show_mean(each.levels[arm.name].span) for arm in replay.arms),
        )
        for each in replay.cultures
    )
    columns = ("Culture (answers)", *map(name_arm, replay.arms))
    return Table.of_rows("Alignment by culture, mean [95 %]", columns, rows) if rows else None


def print_replay(replay: Replay, console: Console) -> None:
    """Print the report. Names and texts are printed as they are: none is read as markup."""
    print_headline(console, f"{replay.experiment}: ", words.write_headline(replay))
    console.print()
    for label, value in words.list_facts(replay):
        print_text(console, value, lead=f"{label}: ")
    print_table(console, tabulate_levels(replay))
    print_sources(console, replay.arms)
    print_ways(console, replay.arms)
    for arm in replay.compared_arms:
        print_table(console, tabulate_differences(replay, arm))
    print_table(console, tabulate_alignment(replay))
    print_points(console, words.list_causes(replay, replay.failures), title="Why answers failed")
    print_points(
        console, words.list_causes(replay, replay.fallbacks), title="Why answers fell back"
    )
    print_points(console, words.list_notes(replay), title="How to read this")
