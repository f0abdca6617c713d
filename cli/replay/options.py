"""The options of `milieu experiments replay`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from cli.options import Concurrency, CultureNames, HeldOut


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Which requests are replayed, and how.

    Attributes:
        n_questions: None for `N_QUESTIONS` of `cli.replay.requests`, or for all of the log.
        cultures: empty for those of the experiment, and if it names none, for `N_CULTURES` of the
            packs, or for all of the log.
    """

    logged: Annotated[
        bool, typer.Option("--logged", help="Replay the logged requests of users who consented.")
    ] = False
    packs: Annotated[
        tuple[str, ...],
        typer.Option("--pack", help="Pack to take questions from. Repeatable; default: all packs."),
    ] = ()
    n_questions: Annotated[
        int | None,
        typer.Option(
            min=2, help="Questions to draw at random; default: 50, or all logged requests."
        ),
    ] = None
    cultures: CultureNames = ()
    held_out_only: HeldOut = False
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw, and of sampled answers.")] = 0
    n_concurrent: Concurrency = 16
