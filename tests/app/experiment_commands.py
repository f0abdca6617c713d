"""`milieu experiments` in the process of a test, on a store of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from app.settings import Settings, read_settings
from app.state.event_store import make_unit_hasher, open_event_store
from cli.main import cli
from experiments.stores.event_store import EventStore
from experiments.unit import Unit, UnitKind
from tests.experiments.events import an_exposure, an_outcome


class Experiments:
    """Runs `milieu experiments` in this process, on a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"MILIEU_DATA_FOLDER": str(folder / "data"), "COLUMNS": "250"}

    @property
    def settings(self) -> Settings:
        return read_settings(data_folder=self.folder / "data")

    def __call__(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def run(self, *arguments: str, answer: str | None = None, **env: str) -> Result:
        return CliRunner().invoke(
            cli, ("experiments", *arguments), env=self.env | env, input=answer
        )

    def refused(self, *arguments: str, **env: str) -> str:
        """The one message of a command that could not do it."""
        result = self.run(*arguments, **env)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.stderr
        message = " ".join(result.stderr.split())
        assert message.startswith("milieu: "), message
        return message

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def state(self, name: str = "ways") -> str:
        return str(self.json("show", name)["definition"]["state"])

    def store(self, work: Callable[[EventStore], Awaitable[None]]) -> None:
        """Do something with the store, as a service would."""

        async def doing() -> None:
            async with await open_event_store(self.settings) as store:
                await work(store)

        asyncio.run(doing())

    def answer(self, user: str = "ada", *, experiment: str = "", arm: str = "") -> None:
        """Keep an answer to a user that it found helpful."""
        now_ms = time.time_ns() // 1_000_000
        unit = make_unit_hasher(self.settings).hash(Unit(UnitKind.USER, user))
        given = {"experiment": experiment, "arm": arm, "unit": unit, "time_ms": now_ms}

        async def work(store: EventStore) -> None:
            await store.record(an_exposure(f"a-{user}", **given))
            await store.add_outcome(an_outcome(f"a-{user}", time_ms=now_ms))

        self.store(work)

    def file(self, text: str | None = None, **changes: Any) -> str:
        """The four ways in a file, with changes, or another text."""
        content = yaml.safe_load(self("create", "ways", "--four-arms", "--print")) | changes
        path = self.folder / "ways.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False) if text is None else text)
        return str(path)
