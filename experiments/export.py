"""The event store as Parquet files, with a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import DriverMissing, ExportRefused
from experiments.stores.database import Row
from experiments.stores.event_store import EventStore
from experiments.stores.schema import SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    import polars

N_ROWS_OF_A_FILE = 200_000
MANIFEST = "manifest.json"
# Texts are what people wrote; they leave the store only when asked for.
DEFAULT_TABLES = ("exposures", "assignments", "outcomes", "experiments")


async def export_parquet(
    store: EventStore, folder: Path, *, with_texts: bool = False, n_rows: int = N_ROWS_OF_A_FILE
) -> Path:
    """Write each table as `<table>-00000.parquet`, … of at most `n_rows`; return the manifest.

    A table without rows is one file without rows. Each table is of one moment, not all of the
    same one. Units are hashes, and testers left out of definitions; comments are left out unless
    texts are asked for.

    Raises:
        ExportRefused: the folder holds files.
        DriverMissing: polars is not installed.
    """
    try:
        import polars
    except ImportError as exc:
        raise DriverMissing("polars", needed_for="Parquet", extra="evaluate") from exc
    check_empty(folder)
    tables = (*DEFAULT_TABLES, "texts") if with_texts else DEFAULT_TABLES
    files: dict[str, dict[str, object]] = {}

    def write(table: str, n: int, rows: Sequence[Row]) -> None:
        path, frame = folder / f"{table}-{n:05}.parquet", _frame(table, rows, with_texts=with_texts)
        folder.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files[path.name] = {"n_rows": frame.height, "sha256": digest}

    for table in tables:
        n_files = 0
        async with aclosing(store.rows(table, n_rows=n_rows)) as pieces:
            async for rows in pieces:
                write(table, n_files, rows)
                n_files += 1
        if not n_files:
            write(table, 0, ())
    manifest = folder / MANIFEST
    content = {"schema_version": SCHEMA_VERSION, "polars": polars.__version__, "files": files}
    manifest.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return manifest


def check_empty(folder: Path) -> None:
    """Check that the folder holds nothing that results would mix with; it need not be there.

    Raises:
        ExportRefused: it holds files.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ExportRefused(folder)


def _frame(table: str, rows: Sequence[Row], *, with_texts: bool) -> polars.DataFrame:
    import polars

    types = {
        "TEXT": polars.String,
        "BIGINT": polars.Int64,
        "SMALLINT": polars.Int64,
        "DOUBLE PRECISION": polars.Float64,
    }
    columns = TABLES[table]
    frame = polars.DataFrame(rows, {name: types[kind] for name, kind in columns}, orient="row")
    truths = [name for name, kind in columns if kind == "SMALLINT"]
    frame = frame.cast(dict.fromkeys(truths, polars.Boolean))
    if table == "experiments":
        definitions = [_without_testers(text) for text in frame["definition"]]
        frame = frame.with_columns(polars.Series("definition", definitions, polars.String))
    return frame if with_texts else frame.drop("comment", strict=False)


def _without_testers(definition: str) -> str:
    """Return a definition without the units that it names, which stand in it as they are."""
    fields = json.loads(definition)
    return json.dumps({name: value for name, value in fields.items() if name != "testers"})
