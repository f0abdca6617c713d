"""The options of `milieu calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Concurrency, CultureNames
from prompting.recipe import ExemplarStyle, Method

# Fewer say too little of a model, of each number of options least of all.
MIN_QUESTIONS = 50


@dataclass(frozen=True)
class CalibrateOptions:
    """What the command line asks for; empty means "as the settings say" or "all"."""

    methods: Annotated[
        tuple[Method, ...],
        typer.Option(
            "--method", help="How to ask. Repeatable; default: the method of the settings."
        ),
    ] = ()
    styles: Annotated[
        tuple[ExemplarStyle, ...],
        typer.Option(
            "--style", help="What exemplars show. Repeatable; default: the style of the settings."
        ),
    ] = ()
    cultures: CultureNames = ()
    n_questions: Annotated[
        int,
        typer.Option(
            "--questions",
            min=MIN_QUESTIONS,
            help="Survey questions to ask, each as up to two cultures.",
            metavar="N",
        ),
    ] = 200
    n_concurrent: Concurrency = 64
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write; default: MILIEU_CALIBRATION, or where the service looks for it."
        ),
    ] = None
