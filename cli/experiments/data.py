"""What `milieu experiments` does with recorded data: assign, export, forget."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from app.errors import OptionInvalid
from cli.console import notes
from cli.experiments.output import print_arm, print_forgotten, say
from cli.experiments.store import export_events, find_arm, forget_before, forget_unit
from cli.settings import read_quiet_settings
from experiments.unit import Unit, UnitKind
from survey_data.cultures import read_catalogue

MOMENT_FORM = "days, such as 90d, or a date in the past, such as 2026-01-31"


def show_arm(
    name: str, *, user: str | None, session: str | None, culture: str | None, as_json: bool
) -> None:
    """Print which arm a user or session gets.

    Raises:
        OptionInvalid: both are given, or neither.
    """
    unit = _unit(user, session)
    code = read_catalogue().resolve(culture).code if culture else ""
    found = asyncio.run(find_arm(read_quiet_settings(), name, unit, culture=code))
    print_arm(found, as_json=as_json)


def export(folder: Path, *, with_texts: bool) -> None:
    """Write all events to Parquet files."""
    with notes.status("Writing …"):
        exporting = export_events(read_quiet_settings(), folder, with_texts=with_texts)
        manifest = asyncio.run(exporting)
    say(f"Written to {folder}; {manifest.name} says what is in it.")


def forget(*, user: str | None, session: str | None, before: str | None, yes: bool) -> None:
    """Delete the data of a unit, or everybody's before a time, after asking.

    Raises:
        OptionInvalid: what is named is not one user, one session or one time.
    """
    settings = read_quiet_settings()
    if before is None:
        unit = _unit(user, session)
        _confirm(f"Delete all that is kept of this {unit.kind}, for good?", yes=yes)
        print_forgotten(asyncio.run(forget_unit(settings, unit)))
        return
    if user is not None or session is not None:
        raise OptionInvalid("--before", "it with a user or session", "one of them")
    moment = read_moment(before, now=datetime.now(UTC))
    when = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    _confirm(f"Delete the events of everybody before {when}, for good?", yes=yes)
    forgotten, kept = asyncio.run(forget_before(settings, moment))
    print_forgotten(forgotten)
    if kept:
        say(f"Kept, but for texts, until they are decided: the events of {', '.join(kept)}.")


def read_moment(text: str, *, now: datetime) -> datetime:
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
    if (user is None) == (session is None):
        found = "neither" if user is None else "both"
        raise OptionInvalid("--user, --session", found, "one of them")
    if user is not None:
        return Unit(UnitKind.USER, user)
    return Unit(UnitKind.SESSION, session or "")


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)
