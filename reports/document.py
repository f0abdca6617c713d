"""The parts of a report, independent of its output format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from reports.markup import Markup

Row: TypeAlias = tuple[str, ...]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


class StateCell(str):
    """A table cell that is coloured by what it says: 'safe', 'violated' or 'undecided'."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, `lead` its first words, which stand out; a note is smaller."""

    text: str
    lead: str = ""
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """A list of statements."""

    items: Row


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels, each with its value."""

    items: Pairs


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of a table under a title of their own, which may be empty."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row names it, and is indented if it begins with spaces.

    Attributes:
        caption: stands above it; may be empty.
        texts: columns that hold words; all others hold numbers.
        label: read out in place of an empty caption.
        pictures: what stands at the end of each row on a page, under `picture_heading`.
    """

    caption: str
    columns: Row
    groups: tuple[RowGroup, ...]
    note: str = ""
    texts: tuple[int, ...] = (0,)
    label: str = ""
    pictures: tuple[Markup | None, ...] = ()
    picture_heading: str = ""

    @classmethod
    def of_rows(
        cls,
        caption: str,
        columns: Row,
        rows: Iterable[Row],
        *,
        note: str = "",
        texts: tuple[int, ...] = (0,),
        label: str = "",
    ) -> Table:
        """Return a table whose rows are all of one group."""
        return cls(caption, columns, (RowGroup("", tuple(rows)),), note, texts, label)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all groups."""
        return tuple(row for group in self.groups for row in group.rows)


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture.

    Attributes:
        name: of its file, without the ending; unique in a report. Empty if it has none.
        title: stands above it; may be empty.
        svg: a whole SVG file; or `reports.svg` markup, which stands in a page only and describes
            itself.
        alt: what it shows, for readers who cannot see it.
        caption: stands below it; may be empty.
        width: in CSS pixels, the width at which its text is readable; 0 if it fits any page.
        remark: stands beside the title.
    """

    name: str
    title: str
    svg: str | Markup
    alt: str = ""
    caption: str = ""
    width: int = 0
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Plots side by side, as many as fit."""

    plots: tuple[Plot, ...]
    is_broad: bool = False


@dataclass(frozen=True, slots=True)
class Folded:
    """A section that a reader unfolds."""

    title: str
    blocks: tuple[Text | Points | Table, ...]


Block: TypeAlias = Text | Points | Facts | Table | Plot | Gallery | Folded


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter of the report."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Callout:
    """The main finding, read first. `kind` is 'ship', 'stop', 'alarm' or '', its colour."""

    headline: str
    blocks: tuple[Text | Points, ...]
    label: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A report.

    Attributes:
        facts: what it is about.
        heading: stands at its top in place of the title; may be empty.
        has_contents: whether a list of its parts stands at the top.
    """

    title: str
    facts: Pairs
    parts: tuple[Part, ...]
    heading: str = ""
    callout: Callout | None = None
    has_contents: bool = False

    def plots(self) -> Iterator[Plot]:
        """Yield all plots, in order."""
        for part in self.parts:
            for block in part.blocks:
                if isinstance(block, Plot):
                    yield block
                elif isinstance(block, Gallery):
                    yield from block.plots
