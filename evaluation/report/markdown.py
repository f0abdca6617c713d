"""A report as Markdown, its plots as files beside it."""

from __future__ import annotations

import re

from evaluation.figures import Section
from evaluation.report.document import Block, Document, Part, Plot, Points, Table, Text, in_order
from evaluation.report.numbers import interval

PLOT_FOLDER = "plots"
# What begins markup or HTML within a line; names and questions come from data. The brackets of an
# interval are none, unless a link's target seems to follow.
_MARKUP = re.compile(r"([\\`*_<>|#~&]|\[(?!\u2212?[\d.]+, )|\](?=[(\[:]))")


def to_markdown(document: Document) -> str:
    """Return the text of report.md, which refers to `plots/<name>.svg`."""
    lines = [f"# {_escaped(document.title)}", ""]
    lines += [f"- {_escaped(label)}: {_escaped(value)}" for label, value in document.facts]
    for part in document.parts:
        lines += ["", *_part(part)]
    return "\n".join(lines).rstrip() + "\n"


def methods_table(section: Section) -> str:
    """Return one table of the section's conditions, for a README: no heading, no note.

    Columns are distribution similarity (1 less the Jensen-Shannon distance), the share of modal
    options found, and the gain over `plain`, each with its interval. What cannot be had is empty.
    """
    rows = [
        (
            c.name,
            *(interval(value) if value else "" for value in (c.similarity, c.exact, c.over_plain)),
        )
        for c in in_order(section.conditions)
    ]
    header = "| condition | 1 \N{MINUS SIGN} JS distance | modal option found | over `plain` |"
    return "\n".join([header, "|---|---|---|---|", *(_row(row) for row in rows)])


def _part(part: Part) -> list[str]:
    lines = [f"## {_escaped(part.heading)}"]
    for block in part.blocks:
        lines += ["", *_block(block)]
    return lines


def _block(block: Block) -> list[str]:
    if isinstance(block, Text):
        lead = f"**{_escaped(block.lead)}** " if block.lead else ""
        return [lead + _escaped(block.text)]
    if isinstance(block, Points):
        return [f"- {_escaped(item)}" for item in block.items]
    if isinstance(block, Plot):
        return [
            f"### {_escaped(block.title)}",
            "",
            f"![{_escaped(block.alt)}]({PLOT_FOLDER}/{block.name}.svg)",
            "",
            _escaped(block.caption),
        ]
    return _table(block)


def _table(table: Table) -> list[str]:
    lines = [f"### {_escaped(table.caption)}", ""]
    lines += [_row(table.columns), "|" + "---|" * len(table.columns)]
    for group in table.groups:
        if group.title:
            blank = ("",) * (len(table.columns) - 1)
            lines.append(f"| **{_escaped(group.title)}** | " + " | ".join(blank) + " |")
        lines += [_row(row) for row in group.rows]
    return [*lines, "", _escaped(table.note)] if table.note else lines


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
