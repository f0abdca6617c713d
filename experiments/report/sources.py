"""What the answers of arms stand on, as a table and in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from estimation.source import Source
from experiments.analysis.result import ArmFigures, SourceCount
from experiments.replay.result import ArmReplay
from experiments.report.words import name_arm
from reports.document import Row, Table
from reports.numbers import count, join_names, percent, quantity


def tabulate_sources(arms: Sequence[ArmFigures | ArmReplay]) -> Table | None:
    """Return what answers stand on and what was known, a column per arm; None if not recorded."""
    if not any(arm.sources for arm in arms):
        return None
    blank = ("",) * len(arms)
    rows = (
        ("Answers stand on", *blank),
        *_count_by_source(arms, lambda each: each.n_answers),
        ("The best source was", *blank),
        *_count_by_source(arms, lambda each: each.n_best),
        ("The model was asked", *(_share(arm.n_model_asked, arm) for arm in arms)),
    )
    return Table.of_rows("", ("Sources", *map(name_arm, arms)), rows)


def describe_own_figures(arms: Sequence[ArmFigures | ArmReplay]) -> str:
    """Return which answers are the people's own figures, and why they have no alignment."""
    counts = {arm.name: _count(arm, Source.SURVEY, lambda each: each.n_answers) for arm in arms}
    found = [f"{quantity(n, 'answer')} of {name}" for name, n in counts.items() if n]
    if not found:
        return ""
    return (
        "Counted apart, without alignment, since the people's own figures would be compared with "
        f"themselves: {join_names(found)}."
    )


def _count_by_source(
    arms: Sequence[ArmFigures | ArmReplay], of: Callable[[SourceCount], int]
) -> tuple[Row, ...]:
    rows = []
    for source in Source:
        counts = [_count(arm, source, of) for arm in arms]
        if any(counts):
            shown = (_share(n, arm) for n, arm in zip(counts, arms, strict=True))
            rows.append((f"  {source}", *shown))
    return tuple(rows)


def _count(arm: ArmFigures | ArmReplay, source: Source, of: Callable[[SourceCount], int]) -> int:
    return sum(of(each) for each in arm.sources if each.source is source)


def _share(n: int, arm: ArmFigures | ArmReplay) -> str:
    n_recorded = sum(each.n_answers for each in arm.sources)
    return f"{count(n)} ({percent(n / n_recorded)})" if n_recorded else count(n)
