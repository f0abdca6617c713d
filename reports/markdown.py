"""A report as Markdown, its plots as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reports.document import Block, Document, Facts, Folded, Gallery, Plot, Points, Row, Table, Text

PLOT_FOLDER = "plots"
# What begins markup or HTML within a line; names and questions come from data. The brackets of an
# interval are none, unless a link's target seems to follow.
_MARKUP = re.compile(r"([\\`*_<>|#~&]|\[(?!\u2212?[\d.]+, )|\](?=[(\[:]))")


def to_markdown(document: Document) -> str:
    """Return the text of report.md, which refers to `plots/<name>.svg`."""
    lines = [f"# {escape_markdown(document.title)}"]
    if document.facts:
        lines += ["", *_write_facts(document.facts)]
    for part in document.parts:
        lines += ["", f"## {escape_markdown(part.heading)}"]
        for block in part.blocks:
            lines += ["", *_write_block(block)]
    return "\n".join(lines).rstrip() + "\n"


def write_row(cells: Row) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def escape_markdown(text: str) -> str:
    """Return text in one line that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _write_block(block: Block) -> Iterator[str]:
    match block:
        case Text():
            lead = f"**{escape_markdown(block.lead)}** " if block.lead else ""
            yield lead + escape_markdown(block.text)
        case Points():
            yield from (f"- {escape_markdown(item)}" for item in block.items)
        case Facts():
            yield from _write_facts(block.items)
        case Table():
            yield from _write_table(block)
        case Plot():
            yield from _write_plot(block)
        case Gallery():
            for plot in block.plots:
                yield from (*_write_plot(plot), "")
        case Folded():
            yield f"### {escape_markdown(block.title)}"
            for each in block.blocks:
                yield from ("", *_write_block(each))


def _write_facts(facts: tuple[tuple[str, str], ...]) -> list[str]:
    return [f"- {escape_markdown(label)}: {escape_markdown(value)}" for label, value in facts]


def _write_plot(plot: Plot) -> list[str]:
    return [
        f"### {escape_markdown(plot.title)}",
        "",
        f"![{escape_markdown(plot.alt)}]({PLOT_FOLDER}/{plot.name}.svg)",
        "",
        escape_markdown(plot.caption),
    ]


def _write_table(table: Table) -> list[str]:
    lines = [f"### {escape_markdown(table.caption)}", ""] if table.caption else []
    lines += [write_row(table.columns), "|" + "---|" * len(table.columns)]
    for group in table.groups:
        if group.title:
            blank = ("",) * (len(table.columns) - 1)
            lines.append(f"| **{escape_markdown(group.title)}** | " + " | ".join(blank) + " |")
        lines += [write_row(row) for row in group.rows]
    return [*lines, "", escape_markdown(table.note)] if table.note else lines
