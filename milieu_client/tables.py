"""From results to tables: plain rows, and data frames where polars or pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, overload

from milieu_client.errors import ExtraMissing
from milieu_client.figures import OptionShare

if TYPE_CHECKING:
    import pandas
    import polars

Row: TypeAlias = dict[str, Any]


class HasRows(Protocol):
    """A result that can stand in a table."""

    def rows(self) -> list[Row]:
        """Return its rows; all have the same columns."""
        ...


class Tabular:
    """A result that knows its rows, and so its data frames."""

    def rows(self) -> list[Row]:
        """Return a row per line of the table; all have the same columns."""
        raise NotImplementedError

    def to_polars(self) -> polars.DataFrame:
        """Return `rows()` as a polars data frame.

        Raises:
            ExtraMissing: polars is not installed.
        """
        return to_polars([self])

    def to_pandas(self) -> pandas.DataFrame:
        """Return `rows()` as a pandas data frame.

        Raises:
            ExtraMissing: pandas is not installed.
        """
        return to_pandas([self])


T_co = TypeVar("T_co", bound=HasRows, covariant=True)


class Listing(Tabular, Sequence[T_co], Generic[T_co]):
    """Results in order; its table has the rows of all of them."""

    def __init__(self, items: Iterable[T_co]) -> None:
        """Hold `items`."""
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> T_co: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...

    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._items)!r})"

    def rows(self) -> list[Row]:
        """Return the rows of all results, in their order."""
        return list_rows(self._items)


def row_of_share(share: OptionShare | None) -> Row:
    """Return the columns of an option with its share; all None where there is none."""
    interval = None if share is None else share.interval
    return {
        "number": None if share is None else share.number,
        "label": None if share is None else share.label,
        "share": None if share is None else share.share,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
    }


def list_rows(results: Iterable[HasRows]) -> list[Row]:
    """Return the rows of all `results`, in their order."""
    return [row for result in results for row in result.rows()]


def to_polars(results: Iterable[HasRows]) -> polars.DataFrame:
    """Return the rows of `results` as one polars data frame.

    Raises:
        ExtraMissing: polars is not installed.
    """
    frames = _import("polars")
    # A column may be None in all rows but the last.
    frame: polars.DataFrame = frames.DataFrame(list_rows(results), infer_schema_length=None)
    return frame


def to_pandas(results: Iterable[HasRows]) -> pandas.DataFrame:
    """Return the rows of `results` as one pandas data frame.

    Raises:
        ExtraMissing: pandas is not installed.
    """
    frame: pandas.DataFrame = _import("pandas").DataFrame(list_rows(results))
    return frame


def _import(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as exc:
        if exc.name != package:
            raise
        raise ExtraMissing(package) from exc
