"""`milieu experiments` on recorded data: who is in which arm, export, deletion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.lazy import LazyModule
from cli.options import AsJson, ExperimentName, OptionalCulture

if TYPE_CHECKING:
    from cli.experiments import data
else:
    data = LazyModule("cli.experiments.data")

User = Annotated[str | None, typer.Option(help="Id of the end user, as in requests.")]
Session = Annotated[str | None, typer.Option(help="Id of the session, as in requests.")]


def assign(
    name: ExperimentName,
    user: User = None,
    session: Session = None,
    culture: OptionalCulture = None,
    as_json: AsJson = False,
) -> None:
    """Show which arm of an experiment a user or session gets, or why none. Nothing is written.

    Without --culture, assumes a culture that the experiment applies to.

    Example: milieu experiments assign my-test --user ada --culture DE
    """
    data.show_arm(name, user=user, session=session, culture=culture, as_json=as_json)


def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; new or empty.")],
    with_texts: Annotated[
        bool, typer.Option("--with-texts", help="Questions, answers and comments too.")
    ] = False,
) -> None:
    """Write all events to Parquet files. Users appear as hashes.

    Example: milieu experiments export ./events
    """
    data.export_events(folder, with_texts=with_texts)


def forget(
    user: User = None,
    session: Session = None,
    before: Annotated[
        str | None, typer.Option(help="Everybody's events before this date, or 90d ago.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete for good the data of a user or session, or all events before a time.

    Events of undecided experiments stay, except for texts: deleting them would change results.

    Example: milieu experiments forget --before 90d
    """
    data.forget_events(user=user, session=session, before=before, yes=yes)
