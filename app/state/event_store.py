"""The event store of the settings, and the secret that its units are hashed with."""

from __future__ import annotations

import asyncio

from app.errors import SecretNotKept
from app.settings import Settings
from app.state.secret_files import keep_secret
from experiments.errors import ExperimentsOff
from experiments.stores.event_store import EventStore, open_postgres, open_sqlite
from experiments.stores.group_commit import StoreLimits
from experiments.unit import UnitHasher

_REMEDY = (
    "Bring the file back from a copy: with another secret every user becomes somebody else. Only "
    "where no experiment runs, delete it and a new one is made."
)


async def open_event_store(settings: Settings) -> EventStore:
    """Open the store of the settings, and check that it is of the secret of the settings.

    Raises:
        ExperimentsOff: the settings want none.
        StoreUnavailable, StoreOutdated, DriverMissing: it cannot be opened.
        SecretChanged: its units are hashed with another secret.
        SecretFileInvalid, SecretNotKept: there is no secret.
    """
    of = settings.experiments
    if of.is_off:
        raise ExperimentsOff
    hasher = await asyncio.to_thread(make_unit_hasher, settings)
    limits = StoreLimits(wait_s=of.wait_s)
    if of.postgres_url is not None:
        store = await open_postgres(of.postgres_url, sync=of.sync, limits=limits)
    else:
        store = await open_sqlite(settings.events_file, sync=of.sync, limits=limits)
    try:
        await store.check_secret(hasher.fingerprint)
    except BaseException:
        await store.close()
        raise
    return store


def make_unit_hasher(settings: Settings) -> UnitHasher:
    """Return what hashes units; its secret is that of the settings, else of the data folder.

    Raises:
        SecretFileInvalid: the file can be read by others, or holds no secret.
        SecretNotKept: there is none, and none can be made.
    """
    given = settings.experiments.unit_secret.get_secret_value()
    if given:
        return UnitHasher(given.encode())
    file = settings.unit_secret_file
    try:
        return UnitHasher(keep_secret(file, remedy=_REMEDY).encode())
    except OSError as exc:
        raise SecretNotKept(file, exc.strerror or str(exc)) from exc
