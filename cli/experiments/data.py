"""What `milieu experiments` does with recorded data: assign, export, forget."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from app.errors import OptionInvalid
from app.state.event_store import make_unit_hasher
from cli.console import notes, read_quiet_settings
from cli.experiments.output import UnitArm, print_arm, print_forgotten, say
from cli.experiments.store import run_in_store
from experiments.assignment import assign, find_first
from experiments.definition import State
from experiments.export import export_parquet
from experiments.registry import ExperimentRegistry
from experiments.stores.event_store import EventStore
from experiments.stores.scripts import Forgotten
from experiments.unit import Unit, UnitKind
from survey_data.cultures import read_catalogue

MOMENT_FORM = "days, such as 90d, or a date in the past, such as 2026-01-31"


def show_arm(
    name: str, *, user: str | None, session: str | None, culture: str | None, as_json: bool
) -> None:
    """Print which arm a user or session gets; nothing is written.

    Without a culture, it is one that the experiment applies to.
    """
    unit = _make_unit(user, session)
    code = read_catalogue().resolve(culture).code if culture else ""
    settings = read_quiet_settings()
    hashed = make_unit_hasher(settings).hash(unit)

    async def find(store: EventStore, _: ExperimentRegistry) -> UnitArm:
        experiment = await store.read_latest(name)
        of_request = code or next(iter(experiment.cultures), "")
        assignment = assign(experiment, unit, culture=of_request)
        standing, by_hash = assignment.standing, assignment.arm
        if by_hash is None:
            return UnitArm(experiment, standing, "", False, "")
        first = find_first(await store.running(), unit, culture=of_request)
        elsewhere = "" if first is None or first.name == name else first.name
        arm = await store.arm_of(name, hashed)
        return UnitArm(experiment, standing, arm or by_hash.name, bool(arm), elsewhere)

    print_arm(run_in_store(find, settings=settings), as_json=as_json)


def export_events(folder: Path, *, with_texts: bool) -> None:
    with notes.status("Writing …"):
        manifest = run_in_store(
            lambda store, _: export_parquet(store, folder, with_texts=with_texts)
        )
    say(f"Written to {folder}; {manifest.name} says what is in it.")


def forget_events(*, user: str | None, session: str | None, before: str | None, yes: bool) -> None:
    """Delete the data of a unit, or everybody's before a time, after asking."""
    settings = read_quiet_settings()
    if before is None:
        unit = _make_unit(user, session)
        _confirm(f"Delete all that is kept of this {unit.kind}, for good?", yes=yes)
        hashed = make_unit_hasher(settings).hash(unit)
        print_forgotten(run_in_store(lambda store, _: store.forget_unit(hashed), settings=settings))
        return
    if user is not None or session is not None:
        raise OptionInvalid("--before", "it with a user or session", "one of them")
    moment = read_moment(before, now=datetime.now(UTC))
    when = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    _confirm(f"Delete the events of everybody before {when}, for good?", yes=yes)

    async def forget(store: EventStore, _: ExperimentRegistry) -> tuple[Forgotten, list[str]]:
        forgotten = await store.forget_before(round(moment.timestamp() * 1000.0))
        undecided, latest = (State.RUNNING, State.STOPPED), await store.experiments()
        return forgotten, [each.name for each, _ in latest if each.state in undecided]

    forgotten, kept = run_in_store(forget)
    print_forgotten(forgotten)
    if kept:
        say(f"Kept, but for texts, until they are decided: the events of {', '.join(kept)}.")


def read_moment(text: str, *, now: datetime) -> datetime:
    """Return the past moment that `90d` or an ISO date names; without a zone, of UTC."""
    days = re.fullmatch(r"(\d{1,5})d", text)
    if days:
        return now - timedelta(days=int(days[1]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise OptionInvalid("--before", f"'{text}'", MOMENT_FORM) from exc
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > now:
        raise OptionInvalid("--before", f"'{text}', which is in the future", MOMENT_FORM)
    return moment


def _make_unit(user: str | None, session: str | None) -> Unit:
    named = {UnitKind.USER: user, UnitKind.SESSION: session}
    given = [(kind, name) for kind, name in named.items() if name is not None]
    if len(given) != 1:
        raise OptionInvalid("--user, --session", "both" if given else "neither", "one of them")
    return Unit(*given[0])


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)
