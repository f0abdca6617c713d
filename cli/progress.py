"""Progress of a long command: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Time between two progress lines in a log.
LINE_EVERY_S = 30.0


def bar_on(console: Console) -> Progress:
    """Return a bar whose tasks have the field `rate`; off a terminal it shows nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


class PacedBar:
    """A bar over many answers, with their rate and the time left."""

    def __init__(self, console: Console, *, things: str) -> None:
        """Show on `console` how many of the `things` are done."""
        self._console, self._things = console, things
        self._bar = bar_on(console)
        self._task = self._bar.add_task("starting", total=None, rate="")
        self._total, self._started = 0, 0.0
        self._told, self._n_told = 0.0, 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, total: int, line: str) -> None:
        self._total, self._started = total, time.monotonic()
        self._told = self._started
        self._console.print(line, highlight=False)
        self._bar.update(self._task, description="asking", total=total)

    def show(self, n: int, *, n_sent: int, sent: str, note: str = "") -> None:
        """Show that `n` are done, which took `n_sent` of what `sent` names, such as requests."""
        now = time.monotonic()
        rate = f"{n_sent / max(now - self._started, 1e-9):.0f} {sent}/s{note}"
        self._bar.update(self._task, completed=n, rate=rate)
        if not self._console.is_terminal and now - self._told >= LINE_EVERY_S:
            # From the rate since the last line: shared and cached answers come faster.
            left_s = (now - self._told) / max(n - self._n_told, 1) * (self._total - n)
            line = f"{n} of {self._total} {self._things}, {rate}, about {left_s / 60:.0f} min left"
            self._console.print(line, highlight=False)
            self._told, self._n_told = now, n
