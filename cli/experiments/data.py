"""`milieu experiments` on what is kept: who is in which arm, export, deletion."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import OptionInvalid
from cli.console import explained, notes, quiet_settings

if TYPE_CHECKING:
    from experiments.unit import Unit

User = Annotated[str | None, typer.Option(help="The end user, as requests name them.")]
Session = Annotated[str | None, typer.Option(help="The session, as requests name it.")]
MOMENT_FORM = "days, such as 90d, or a date in the past, such as 2026-01-31"


def assign(
    name: Annotated[str, typer.Argument(help="Of the experiment.")],
    user: User = None,
    session: Session = None,
    culture: Annotated[
        str | None, typer.Option("--culture", "-c", help="Of the request; default: one it takes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Say which arm of an experiment a user or session gets, or why none. Nothing is written.

    Example: milieu experiments assign my-test --user ada --culture DE
    """
    with explained():
        from cli.experiments.options import codes
        from cli.experiments.output import print_arm
        from cli.experiments.store import find_arm

        unit = _unit(user, session)
        code = codes([culture])[0] if culture else ""
        found = asyncio.run(find_arm(quiet_settings(), name, unit, culture=code))
        print_arm(found, as_json=as_json)


def export(
    folder: Annotated[Path, typer.Argument(help="Empty, or not there yet.")],
    with_texts: Annotated[
        bool, typer.Option("--with-texts", help="Questions, answers and comments too.")
    ] = False,
) -> None:
    """Write all events as Parquet files. Users are hashes.

    Example: milieu experiments export ./events
    """
    with explained():
        from cli.experiments.output import say
        from cli.experiments.store import export_events

        with notes.status("Writing …"):
            doing = export_events(quiet_settings(), folder, with_texts=with_texts)
            manifest = asyncio.run(doing)
        say(f"Written to {folder}; {manifest.name} says what is in it.")


def forget(
    user: User = None,
    session: Session = None,
    before: Annotated[
        str | None, typer.Option(help="All events before 90d ago, or before a date.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete for good what is kept of a user or session, or the events before a time.

    Events of experiments that are not decided stay, but for texts: results would change.

    Example: milieu experiments forget --before 90d
    """
    with explained():
        from cli.experiments.output import print_forgotten, say
        from cli.experiments.store import forget_before, forget_unit

        settings = quiet_settings()
        if before is None:
            unit = _unit(user, session)
            _confirm(f"Delete all that is kept of this {unit.kind}, for good?", yes=yes)
            print_forgotten(asyncio.run(forget_unit(settings, unit)))
            return
        if user is not None or session is not None:
            raise OptionInvalid("--before", "it with a user or session", "one of them")
        moment = moment_of(before, now=datetime.now(UTC))
        when = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        _confirm(f"Delete the events of everybody before {when}, for good?", yes=yes)
        forgotten, kept = asyncio.run(forget_before(settings, moment))
        print_forgotten(forgotten)
        if kept:
            say(f"Kept, but for texts, until they are decided: the events of {', '.join(kept)}.")


def moment_of(text: str, *, now: datetime) -> datetime:
    """Return the moment that `90d` or an ISO date names; without a zone, of UTC.

    Raises:
        OptionInvalid: it is neither, or not in the past.
    """
    days = re.fullmatch(r"(\d{1,5})d", text)
    if days:
        return now - timedelta(days=int(days[1]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise OptionInvalid("--before", f"'{text}'", MOMENT_FORM) from exc
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > now:
        raise OptionInvalid("--before", f"'{text}', which is to come", MOMENT_FORM)
    return moment


def _unit(user: str | None, session: str | None) -> Unit:
    from experiments.unit import Unit, UnitKind

    if (user is None) == (session is None):
        found = "neither" if user is None else "both"
        raise OptionInvalid("--user, --session", found, "one of them")
    if user is not None:
        return Unit(UnitKind.USER, user)
    return Unit(UnitKind.SESSION, session or "")


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)
