"""`milieu batch`: many questions of many cultures, asked of a running service, into a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.lazy import LazyModule
from cli.options import CultureNames, NShown, Url
from cli.signatures import take_options

if TYPE_CHECKING:
    from cli.batch import job
else:
    job = LazyModule("cli.batch.job")


@dataclass(frozen=True)
class BatchOptions:
    """Whom to ask, and how; None is left to the service, or to a column of the table."""

    cultures: CultureNames = ()
    methods: Annotated[
        tuple[str, ...],
        typer.Option("--method", help="How to answer: plain, icl, adapter+icl, … Repeatable."),
    ] = ()
    answer_from: Annotated[
        str | None,
        typer.Option(help="What answers may stand on: survey, tables, model, or auto."),
    ] = None
    withhold: Annotated[
        bool,
        typer.Option(
            "--withhold", help="Take what a culture itself answered to a question for unknown."
        ),
    ] = False
    steer: Annotated[
        str | None, typer.Option(help="When to answer for a culture: auto, always or never.")
    ] = None
    adapter: Annotated[str | None, typer.Option(help="auto, none, or the name of an adapter.")] = (
        None
    )
    k: NShown = None
    prompt_language: Annotated[
        str | None, typer.Option(help="Language to speak to the model in: en, de, …, or auto.")
    ] = None


@take_options()
def batch(
    questions: Annotated[
        Path,
        typer.Argument(
            help="CSV with a column 'question' and perhaps 'options', 'culture' and other fields "
            "of /answer; or JSON, a body of /v1/batch."
        ),
    ],
    *,
    options: BatchOptions,
    out_file: Annotated[
        Path, typer.Option("--out", help="The table to write: a name ending in .csv or .parquet.")
    ],
    journal: Annotated[
        Path | None,
        typer.Option(help="Where replies are kept; default: the table's name and .journal."),
    ] = None,
    url: Url = None,
    on_ray: Annotated[
        bool,
        typer.Option("--ray", help="Answer on a Ray cluster, or on one of this machine's cores."),
    ] = False,
) -> None:
    """Ask many questions of many cultures, into a table.

    Every question is asked of every culture, of a running service. Replies are kept whole in a
    journal as they come: after Ctrl-C or a kill the same command asks for what is missing, and
    once nothing is, writes the table from them without a service or a model. What the service
    refused stands in the table with the reason, and makes the exit status 1.

    With --ray no service is asked: workers of Ray Data answer, each with the settings of the
    environment that it runs in. The table is the same.

    Examples:
      milieu batch questions.csv -c DE -c NG --out shares.csv

      milieu batch questions.csv -c DE --answer-from tables --out shares.parquet
    """
    sys.exit(
        job.ask_batch(
            questions, options, out_file=out_file, journal=journal, url=url, on_ray=on_ray
        )
    )
