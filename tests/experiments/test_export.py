"""The store as Parquet: every row with its types, and no more than what was asked for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars
import pytest

from estimation.source import Source
from experiments.errors import ExportRefused
from experiments.export import export_parquet
from experiments.stores.event_store import EventStore
from tests.experiments.events import a_text, an_experiment, an_exposure, an_outcome


async def filled(store: EventStore) -> None:
    await store.save(an_experiment())
    for i in range(5):
        await store.record(
            an_exposure(f"a{i}", time_ms=i, refused=None if i else True), a_text(f"a{i}")
        )
    await store.add_outcome(an_outcome("a3", comment="fine"))


async def test_every_row_is_exported(store: EventStore, tmp_path: Path) -> None:
    await filled(store)

    manifest = await export_parquet(store, tmp_path / "out", n_rows=2)

    folder = manifest.parent
    exposures = polars.read_parquet(folder / "exposures-*.parquet")
    assert exposures["answer_id"].to_list() == ["a0", "a1", "a2", "a3", "a4"]
    assert exposures.schema["steered"] == polars.Boolean
    assert exposures["refused"].to_list() == [True, None, None, None, None]
    assert exposures.schema["label_mass"] == polars.Float64
    outcomes = polars.read_parquet(folder / "outcomes-*.parquet")
    assert outcomes["number"].to_list() == [1.0]
    said = json.loads(manifest.read_text())["files"]
    assert [said[f"exposures-0000{i}.parquet"]["n_rows"] for i in range(3)] == [2, 2, 1]
    for name, content in said.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == content["sha256"]
    assert {path.name for path in folder.iterdir()} == {*said, "manifest.json"}


async def test_what_people_wrote_is_exported_only_when_asked_for(
    store: EventStore, tmp_path: Path
) -> None:
    await filled(store)

    without = (await export_parquet(store, tmp_path / "without")).parent
    whole = (await export_parquet(store, tmp_path / "whole", with_texts=True)).parent

    assert not list(without.glob("texts-*"))
    assert "comment" not in polars.read_parquet(without / "outcomes-00000.parquet").columns
    assert polars.read_parquet(whole / "texts-00000.parquet").height == 5
    assert polars.read_parquet(whole / "outcomes-00000.parquet")["comment"].to_list() == ["fine"]


async def test_an_empty_store_has_empty_files(store: EventStore, tmp_path: Path) -> None:
    folder = (await export_parquet(store, tmp_path / "out")).parent
    exposures = polars.read_parquet(folder / "exposures-00000.parquet")
    assert exposures.height == 0
    assert exposures.schema["time_ms"] == polars.Int64


async def test_files_that_are_there_are_left_alone(store: EventStore, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ExportRefused, match="expected an empty folder"):
        await export_parquet(store, tmp_path)


async def test_what_was_known_is_exported(store: EventStore, tmp_path: Path) -> None:
    known = {"source": Source.MODEL, "best_source": Source.TRANSFER, "model_asked": True}
    question = {"question_key": "wvs7:Q6", "similarity": 0.75}
    await store.record(an_exposure("a1", **known, **question))
    await store.record(an_exposure("a2"))

    folder = (await export_parquet(store, tmp_path / "out")).parent

    exposures = polars.read_parquet(folder / "exposures-00000.parquet")
    names = [*known, *question]
    assert exposures.select(names).rows() == [
        ("model", "transfer", True, "wvs7:Q6", 0.75),
        ("", "", None, "", None),
    ]
    assert exposures.schema["model_asked"] == polars.Boolean
    assert exposures.schema["similarity"] == polars.Float64
