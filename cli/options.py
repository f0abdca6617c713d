"""The options that several commands have, each with one meaning and one help text."""

from __future__ import annotations

from typing import Annotated

import typer

_CULTURE = "Country code, name or language tag, such as DE, Germany or de-DE."

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text and tables.")]
Culture = Annotated[str, typer.Option("--culture", "-c", help=_CULTURE)]
OptionalCulture = Annotated[str | None, typer.Option("--culture", "-c", help=_CULTURE)]
Cultures = Annotated[
    list[str] | None, typer.Option("--culture", "-c", help=f"{_CULTURE} Repeatable.")
]
CultureNames = Annotated[
    tuple[str, ...], typer.Option("--culture", "-c", help=f"{_CULTURE} Repeatable.")
]
Url = Annotated[
    str | None,
    typer.Option(help="URL of the running service; default: from MILIEU_HOST and MILIEU_PORT."),
]
NShown = Annotated[int | None, typer.Option("--k", help="Number of exemplars to show.")]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, max=1024, help="Requests sent at the same time.")
]
HeldOut = Annotated[
    bool,
    typer.Option(
        "--held-out",
        help="Only questions and cultures that the embedded model was not trained on.",
    ),
]
ExperimentName = Annotated[str, typer.Argument(help="Experiment name.")]
