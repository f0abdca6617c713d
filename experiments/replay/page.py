"""A replay as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from experiments.replay import report, words
from experiments.replay.plots import WIDTH, draw_alignment
from experiments.replay.result import ArmReplay, Replay
from experiments.report.page import compose_sources
from experiments.report.words import list_ways
from reports.document import Block, Callout, Document, Facts, Part, Plot, Points, Table, Text
from reports.html import to_html

_CAPTION = (
    "Paired differences in alignment with their 95 % intervals. Square and thick line: over all "
    "cultures, each question counting once. Circles: each culture by its own questions."
)
_ABOUT = "Found offline, before any user; what users do is for the experiment to say."


def render_replay(replay: Replay) -> str:
    """Return the page. All text is escaped; plots are inline SVG."""
    return to_html(compose_replay(replay))


def compose_replay(replay: Replay) -> Document:
    """Return the report of a replay, its plots drawn."""
    by_culture = report.tabulate_alignment(replay)
    parts: list[tuple[str, list[Block]]] = [
        (
            "Differences to control",
            [block for arm in replay.compared_arms for block in _compose_arm(replay, arm)],
        ),
        ("Alignment by culture", [_uncaption(by_culture)] if by_culture else []),
        (
            "Arms",
            [
                Facts(list_ways(replay.arms)),
                replace(report.tabulate_levels(replay), caption=""),
                *compose_sources(replay.arms),
            ],
        ),
    ]
    points = (
        ("Why answers failed", words.list_causes(replay, replay.failures)),
        ("Why answers fell back", words.list_causes(replay, replay.fallbacks)),
        ("How to read this", words.list_notes(replay)),
    )
    parts += [(heading, [Points(items)] if items else []) for heading, items in points]
    parts.append(("Where this comes from", [Facts(words.list_facts(replay))]))
    return Document(
        title=f"{replay.experiment}: replay with {replay.model}",
        facts=(),
        parts=tuple(Part(heading, tuple(blocks)) for heading, blocks in parts if blocks),
        callout=Callout(words.write_headline(replay), (Text(_ABOUT),), label="What was found"),
    )


def _compose_arm(replay: Replay, arm: ArmReplay) -> Iterator[Block]:
    plot, table = draw_alignment(replay, arm), report.tabulate_differences(replay, arm)
    if plot is None:
        yield table
        return
    yield Plot("", table.caption, plot, caption=_CAPTION, width=round(WIDTH))
    yield _uncaption(table)


def _uncaption(table: Table) -> Table:
    """Return the table without its caption, which is read out instead."""
    return replace(table, caption="", label=table.caption)
