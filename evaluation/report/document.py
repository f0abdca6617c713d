"""What a report consists of, whether it is written as HTML or as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from evaluation.asking import ConditionKind
from evaluation.figures import ConditionFigures

PLAIN = "plain"
KIND_TITLES: dict[ConditionKind, str] = {
    "reference": "References, without a model",
    "method": "Methods",
    "control": "Controls, wrong on purpose",
    "recorded": "Recorded answers",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, `lead` its first words, which stand out."""

    text: str
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """A list of statements."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of a table under a title of their own, which may be empty."""

    title: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row names it. `folded` ones are opened by the reader."""

    caption: str
    columns: tuple[str, ...]
    groups: tuple[RowGroup, ...]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture as a whole SVG file.

    Attributes:
        name: of its file, without the ending; unique in a report.
        title: stands above it.
        alt: what it shows, for those who do not see it.
        caption: stands below it; may be empty.
        width: in CSS pixels, the width at which its text is well read.
    """

    name: str
    title: str
    svg: str
    alt: str
    caption: str
    width: int


Block: TypeAlias = Text | Points | Table | Plot


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter of the report."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report. `facts` are label and value."""

    title: str
    facts: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]

    @property
    def plots(self) -> tuple[Plot, ...]:
        """All plots, in order."""
        blocks = (block for part in self.parts for block in part.blocks)
        return tuple(block for block in blocks if isinstance(block, Plot))


def in_order(conditions: tuple[ConditionFigures, ...]) -> list[ConditionFigures]:
    """Return conditions by kind, as in `KIND_TITLES`, and in their own order within."""
    kinds = list(KIND_TITLES)
    return sorted(conditions, key=lambda condition: kinds.index(condition.kind))
