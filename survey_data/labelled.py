"""Tables of SPSS (`.sav`, `.zsav`) and Stata (`.dta`): values, their labels and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survey_data.errors import ImporterUnavailable, PackInvalid

if TYPE_CHECKING:
    import polars as pl

_FORMS = {".sav": "SPSS", ".zsav": "SPSS", ".dta": "Stata"}
_READERS = {"SPSS": "read_sav", "Stata": "read_dta"}
_PARTS = ("pyreadstat", "polars")


class LabelledTable:
    """A table with value labels.

    Attributes:
        columns: names of its columns.
        form: "SPSS" or "Stata".
        row_name: the column with the number of the row, which `read_batches` adds; the first row
            of values is 2, as if under a header.
    """

    row_name = "row number"

    def __init__(self, path: Path, *, encoding: str | None = None) -> None:
        """Read what the file says of its columns.

        Raises:
            PackInvalid: the file is missing or not of the form that its name tells.
            ImporterUnavailable: pyreadstat or polars is not installed.
        """
        self.form = _FORMS[path.suffix.lower()]
        self._path, self._encoding = path, encoding
        # Without `user_missing` the ranges of missing codes are left out.
        _, about = self._read(metadataonly=True, user_missing=True)
        self.columns: tuple[str, ...] = tuple(about.column_names)
        self._labels: dict[str, dict[float | str, str]] = about.variable_value_labels
        self._ranges: dict[str, list[dict[str, float | str]]] = about.missing_ranges

    @staticmethod
    def reads(path: Path) -> bool:
        """Return whether the name of `path` is that of such a table."""
        return path.suffix.lower() in _FORMS

    def read_batches(self, columns: Sequence[str], *, n_rows: int) -> Iterator[pl.DataFrame]:
        """Yield `columns` and the number of the row, `n_rows` at a time, missing codes kept."""
        table, _ = self._read(usecols=list(columns), user_missing=True)
        table = table.with_row_index(self.row_name, offset=2)
        for start in range(0, len(table), n_rows):
            yield table[start : start + n_rows]

    def code_texts(
        self, column: pl.Series, *, missing: Callable[[str, float | str], str]
    ) -> list[str]:
        """Return the values of `column` as text, whole numbers without decimals.

        A missing value is what `missing` makes of its label and itself; a value that the file does
        not have at all is blank.
        """
        labels = self._labels.get(column.name, {})
        values = column.to_list()
        own = {
            value: missing(labels.get(value, ""), value)
            if self._is_missing(column.name, value)
            else _write(value)
            for value in set(values)
            if value is not None
        }
        return [own.get(value, "") for value in values]

    def label_texts(self, column: pl.Series) -> list[str]:
        """Return the label of each value of `column`, or its text if it has none.

        What is missing is blank.
        """
        labels = self._labels.get(column.name, {})
        values = column.to_list()
        own = {
            value: ""
            if self._is_missing(column.name, value)
            else labels.get(value, _write(value)).strip()
            for value in set(values)
            if value is not None
        }
        return [own.get(value, "") for value in values]

    def _is_missing(self, column: str, value: float | str) -> bool:
        if isinstance(value, str):
            # Stata's .a to .z, in a column that has labels or numbers besides.
            return self.form == "Stata" and len(value) == 1 and column in self._labels
        # As the World Values Survey has it where a file marks nothing.
        if value < 0 and column in self._labels:
            return True
        ranges = self._ranges.get(column, [])
        return any(
            not isinstance(each["lo"], str)
            and not isinstance(each["hi"], str)
            and each["lo"] <= value <= each["hi"]
            for each in ranges
        )

    def _read(self, **options: Any) -> tuple[Any, Any]:
        try:
            import pyreadstat
        except ModuleNotFoundError as exc:
            if exc.name not in _PARTS:
                raise
            raise ImporterUnavailable(
                f"{self._path} is a {self.form} file, which needs {exc.name}. Install Milieu with "
                "the extra 'evaluate', or save the table as CSV."
            ) from exc
        if not self._path.is_file():
            raise PackInvalid("cannot be read: there is no such file", file=self._path)
        read = getattr(pyreadstat, _READERS[self.form])
        try:
            return read(  # type: ignore[no-any-return]  # chosen by its name
                str(self._path), encoding=self._encoding, output_format="polars", **options
            )
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeError) as exc:
            reason = f"cannot be read as a {self.form} file: {exc}"
            raise PackInvalid(reason, file=self._path) from exc


def _write(value: float | str) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
