"""The table of a batch: CSV, or Parquet where polars is installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from app.api.presenting_batch import COLUMNS, tabulate_line
from app.api.schemas.batch import BatchLine
from app.errors import OptionInvalid
from files.whole import replacing
from reports.csv_rows import write_csv_row

PARQUET, SUFFIXES = ".parquet", (".csv", ".parquet")


def check_table(file: Path) -> None:
    """Return if a table can be written to `file`, by its name.

    Raises:
        OptionInvalid: it ends in something else, or polars is needed and not installed.
    """
    if file.suffix not in SUFFIXES:
        raise OptionInvalid("--out", str(file), f"a name that ends in {' or '.join(SUFFIXES)}")
    if file.suffix == PARQUET and find_spec("polars") is None:
        install = "polars, which is not installed (pip install 'milieu[tables]'), or .csv"
        raise OptionInvalid("--out", str(file), install)


def write_table(file: Path, lines: Iterable[BatchLine]) -> None:
    """Write `lines` in their order, whole or not at all; the same lines give the same bytes."""
    with replacing(file) as part:
        if file.suffix == PARQUET:
            _write_parquet(part, lines)
            return
        with part.open("w", encoding="utf-8", newline="") as out:
            out.write(write_csv_row(COLUMNS))
            for line in lines:
                out.writelines(map(write_csv_row, tabulate_line(line)))


def _write_parquet(file: Path, lines: Iterable[BatchLine]) -> None:
    import polars

    types = {int: polars.Int64, float: polars.Float64, str: polars.String, bool: polars.Boolean}
    schema = {name: types[kind] for name, kind in COLUMNS.items()}
    rows = [row for line in lines for row in tabulate_line(line)]
    polars.DataFrame(rows, schema=schema, orient="row").write_parquet(file)
