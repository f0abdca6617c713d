"""`milieu experiments` on what is kept: who is in which arm, export, deletion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars
import pytest

from app.state.event_store import make_unit_hasher
from cli.experiments.data import read_moment
from experiments.stores.event_store import EventStore
from experiments.unit import Unit, UnitKind
from tests.app.experiment_commands import Experiments
from tests.experiments.events import a_claim


def test_the_arm_of_a_user_is_that_of_its_hash_at_first(running: Experiments) -> None:
    found = running.json("assign", "ways", "--user", "ada")
    assert found["standing"] == "in"
    assert found["arm"] in ("plain", "icl", "adapter", "adapter+icl")
    assert not found["is_remembered"]
    # Nothing was written by asking.
    assert running.json("assign", "ways", "--user", "ada") == found
    assert "not been answered yet" in running("assign", "ways", "--session", "ada")


def test_the_arm_that_the_store_remembers_goes_before_the_hash(running: Experiments) -> None:
    unit = make_unit_hasher(running.settings).hash(Unit(UnitKind.USER, "ada"))
    arm = running.json("assign", "ways", "--user", "ada")["arm"]
    other = "plain" if arm != "plain" else "icl"

    async def claim(store: EventStore) -> None:
        await store.settle(a_claim(unit, other))

    running.store(claim)
    found = running.json("assign", "ways", "--user", "ada")
    assert (found["arm"], found["is_remembered"]) == (other, True)
    assert "remembers" in running("assign", "ways", "--user", "ada")


@pytest.mark.parametrize(
    ("changes", "more", "why"),
    [
        ({"cultures": ["DEU"]}, ("-c", "Japan"), "it applies to DEU"),
        ({"hold_out": {"share": 0.999999}}, (), "held out"),
        ({"layer": {"name": "x", "first": 999, "last": 999}}, (), "outside 999-999"),
        ({"traffic_share": 0.000001}, (), "of traffic"),
    ],
)
def test_why_a_user_has_no_arm(
    experiments: Experiments, changes: dict[str, Any], more: tuple[str, ...], why: str
) -> None:
    experiments("create", "--file", experiments.file(**changes), "--start", "--allow-unsent")
    text = experiments("assign", "ways", "--user", "ada", *more)
    assert text.startswith("Not in ways: ")
    assert why in text


def test_nobody_is_in_a_draft(experiments: Experiments) -> None:
    experiments("create", "ways", "--four-arms")
    assert "it is draft, and starts first" in experiments("assign", "ways", "--user", "ada")


def test_who_is_in_an_earlier_experiment_is_in_no_other(running: Experiments) -> None:
    running("create", "later", "--four-arms", "--start", "--allow-unsent")
    assert "it is in ways, which started earlier" in running("assign", "later", "--user", "ada")


def test_a_user_or_a_session_is_named(running: Experiments) -> None:
    assert "found neither, expected one of them" in running.refused("assign", "ways")
    message = running.refused("forget", "--user", "a", "--session", "b")
    assert "found both, expected one of them" in message


def test_events_are_exported(running: Experiments) -> None:
    running.answer(experiment="ways", arm="icl")
    folder = running.folder / "out"
    running("export", str(folder))
    assert polars.read_parquet(folder / "exposures-00000.parquet")["arm"].to_list() == ["icl"]
    assert not (folder / "texts-00000.parquet").exists()
    assert "expected an empty folder" in running.refused("export", str(folder))


def test_what_is_kept_of_a_user_is_deleted(running: Experiments) -> None:
    for user in ("ada", "bob"):
        running.answer(user, experiment="ways", arm="icl")
    said = running("forget", "--user", "ada", "--yes")
    assert said == "Deleted: 1 exposures, 1 outcomes, 0 texts, 1 assignments.\n"
    assert running.json("report", "ways")["progress"]["n_units"] == 1


def test_nothing_is_deleted_without_a_yes(running: Experiments) -> None:
    running.answer(experiment="ways", arm="icl")
    result = running.run("forget", "--before", "2020-01-31", answer="n\n")
    assert result.exit_code == 1
    assert "before 2020-01-31 00:00 UTC, for good?" in result.stderr
    assert running.run("forget", "--user", "ada", answer="y\n").exit_code == 0


def test_old_events_are_deleted(running: Experiments) -> None:
    running.answer(experiment="ways", arm="icl")
    assert "0 exposures" in running("forget", "--before", "1d", "--yes")
    kept = running("forget", "--before", "0d", "--yes")
    assert "0 exposures" in kept
    assert "until they are decided: the events of ways." in kept
    running("stop", "ways")
    running("decide", "ways", "icl for all")
    assert "1 exposures" in running("forget", "--before", "0d", "--yes")


@pytest.mark.parametrize("text", ["soon", "90", "2999-01-01", ""])
def test_a_time_that_is_none_is_explained(experiments: Experiments, text: str) -> None:
    message = experiments.refused("forget", "--before", text, "--yes")
    assert f"--before: found '{text}'" in message
    assert "such as 90d" in message


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=90)),
        ("2025-06-01", datetime(2025, 6, 1, tzinfo=UTC)),
        ("2025-06-01T12:00:00+02:00", datetime(2025, 6, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_days_ago_or_a_date(text: str, moment: datetime) -> None:
    assert read_moment(text, now=datetime(2026, 1, 1, tzinfo=UTC)) == moment
