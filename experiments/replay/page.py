"""A replay as one HTML page that needs nothing but itself."""

from __future__ import annotations

from experiments.replay import report, words
from experiments.replay.plots import alignment_plot
from experiments.replay.result import ArmReplay, Replay
from experiments.report.frame import framed
from experiments.report.markup import Markup, tag, together
from experiments.report.tables import Table

_CAPTION = (
    "Paired differences in alignment with their 95 % intervals. Square and thick line: over all "
    "cultures, each question counting once. Circles: each culture by its own questions."
)


def to_html(replay: Replay) -> str:
    """Return the page. All text is escaped; plots stand in it as SVG."""
    by_culture = report.cultures(replay)
    parts = [
        (
            "Differences to control",
            together(*(_differences(replay, arm) for arm in report.treated(replay))),
        ),
        ("Alignment by culture", None if by_culture is None else _table(by_culture)),
        ("Arms", _table(report.arms(replay))),
        ("Why answers failed", _points(words.reasons(replay, replay.failures))),
        ("Why answers fell back", _points(words.reasons(replay, replay.fallbacks))),
        ("How to read this", _points(words.notes(replay))),
    ]
    title = f"{replay.experiment}: replay"
    return framed(title, _top(replay, title), parts)


def _top(replay: Replay, title: str) -> Markup:
    said = tag(
        "div",
        tag("p", words.headline(replay), class_="headline"),
        tag("p", "Found offline, before any user; what users do is for the experiment to say."),
        class_="decision",
        role="region",
        aria_label="What was found",
    )
    facts = [together(tag("dt", label), tag("dd", value)) for label, value in words.facts(replay)]
    return tag("header", tag("h1", title), said, tag("dl", *facts))


def _differences(replay: Replay, arm: ArmReplay) -> Markup:
    plot = alignment_plot(replay, arm)
    return tag(
        "figure",
        tag("h3", f"{arm.name} less {replay.control}"),
        None if plot is None else tag("div", plot, class_="scroll", tabindex="0"),
        None if plot is None else tag("figcaption", _CAPTION),
        _table(report.differences(replay, arm)),
    )


def _points(points: tuple[str, ...]) -> Markup | None:
    return tag("ul", *(tag("li", point) for point in points), class_="points") if points else None


def _table(table: Table) -> Markup:
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in table.columns)))
    rows = (
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in table.rows
    )
    found = tag("table", head, tag("tbody", *rows))
    return tag("div", found, class_="scroll", role="region", tabindex="0", aria_label=table.caption)
