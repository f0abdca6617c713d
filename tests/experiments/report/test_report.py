"""Reports of made-up experiments: what they say first, and that no text becomes markup."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.analysis.analyse import analysed
from experiments.analysis.result import Analysis
from experiments.definition import PrimaryMetric
from experiments.report.page import to_html
from experiments.report.terminal import print_report
from tests.experiments.simulated import DAY_MS, HELPFUL, drawn, sqlite_store, two_arms

EVIL = "<script>alert('x')</script>"
CULTURES = {"BRA": "Brazil", "DEU": "Germany", "IND": "India"}


async def made(
    folder: Path, n_units: int = 0, *, cultures: dict[str, str] | None = None, **of_units: Any
) -> Analysis:
    """The analysis of a made-up experiment."""
    changes = of_units.pop("changes", {})
    experiment = two_arms(**changes)
    async with await sqlite_store(folder) as store:
        await store.save(experiment)
        start = (await store.revisions("ways"))[0].time_ms
        rates = of_units.pop("rates", {"plain": 0.3, "icl": 0.7})
        events = drawn(experiment, n_units, start_ms=start, days=3, rates=rates, **of_units)
        await events.keep(store, ())
        return await analysed(
            store, "ways", now_ms=start + 3 * DAY_MS, cultures=cultures or CULTURES
        )


def printed(analysis: Analysis, width: int = 120) -> str:
    file = io.StringIO()
    print_report(analysis, Console(file=file, width=width))
    return file.getvalue()


class Page(HTMLParser):
    """Elements of a page: which are open, which there were, and what they refer to."""

    VOID = ("meta", "line", "rect", "circle", "polyline", "polygon")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_what_to_do_comes_first(tmp_path: Path) -> None:
    found = await made(tmp_path, 800)
    page, text = to_html(found), printed(found)
    assert text.startswith("ways: Ship icl\nicl: helpful is better than control")
    assert page.index("Ship icl") < page.index("Hypothesis") < page.index("<svg")


async def test_the_page_is_well_formed_and_refers_to_nothing_outside(tmp_path: Path) -> None:
    text = to_html(await made(tmp_path, 300))
    page = Page(text)
    assert page.open == []
    names = {tag for tag, _ in page.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "image", "use"}
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text
    assert all("href" not in attrs and "src" not in attrs for _, attrs in page.seen)


async def test_every_plot_says_what_it_shows(tmp_path: Path) -> None:
    page = to_html(await made(tmp_path, 300))
    plots = [attrs for tag, attrs in Page(page).seen if tag == "svg"]
    # The effect, two guardrails, cultures, sample ratio.
    assert len(plots) == 5
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in plots)
    assert page.count("<svg") == page.count("<title>") - 1


async def test_texts_of_people_are_escaped(tmp_path: Path) -> None:
    found = await made(tmp_path, 120, changes={"hypothesis": EVIL}, cultures={"BRA": EVIL})
    changes = {"experiment": EVIL, "control": EVIL, "recorded_decision": EVIL}
    arms = tuple(arm.model_copy(update={"name": EVIL, "about": EVIL}) for arm in found.arms)
    comparisons = tuple(
        each.model_copy(update={"arm": EVIL, "said": EVIL}) for each in found.comparisons
    )
    decision = found.decision.model_copy(update={"arm": EVIL, "reason": EVIL})
    evil = found.model_copy(
        update=changes | {"arms": arms, "comparisons": comparisons, "decision": decision}
    )
    page = to_html(evil)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    assert Page(page).open == []


async def test_texts_of_people_steer_no_terminal(tmp_path: Path) -> None:
    found = await made(tmp_path)
    text = printed(found.model_copy(update={"hypothesis": "[red]\x1b[31m[/red] ok"}))
    assert "\x1b" not in text
    assert "Hypothesis: [red][31m[/red] ok" in text


async def test_a_sample_ratio_alarm_warns_of_everything_else(tmp_path: Path) -> None:
    found = await made(tmp_path, 1500, shares=(0.4, 0.6))
    page = to_html(found)
    assert 'class="decision alarm"' in page
    assert "Effects are shown below, but cannot be relied on." in page
    assert "Alarm: units do not fall on the arms by their weights" in printed(found)


async def test_a_broken_guardrail_is_shown_as_such(tmp_path: Path) -> None:
    found = await made(tmp_path, 800, latency_ms={"icl": 1600.0})
    assert '<span class="state violated">violated</span>' in to_html(found)
    assert "violated" in printed(found)


async def test_an_experiment_without_events_has_a_report(tmp_path: Path) -> None:
    found = await made(tmp_path)
    page, text = to_html(found), printed(found)
    assert "<svg" not in page
    assert "too few units" in text
    assert "No unit yet." in text


async def test_numbers_are_in_the_table_below_the_plot(tmp_path: Path) -> None:
    found = await made(tmp_path, 300)
    page = to_html(found)
    assert "<details><summary>Numbers</summary>" in page
    assert "Germany" in page


async def test_the_page_is_the_same_after_json(tmp_path: Path) -> None:
    found = await made(tmp_path, 200)
    assert to_html(Analysis.model_validate_json(found.model_dump_json())) == to_html(found)


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_the_terminal_report_keeps_to_its_width(tmp_path: Path, width: int) -> None:
    found = await made(tmp_path, 100, changes={"primary": PrimaryMetric(HELPFUL.metric, 0.1)})
    assert all(len(line) <= width for line in printed(found, width).splitlines())
