"""Reports of made-up experiments: what they say first, and that no text becomes markup."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from estimation.source import Source
from experiments.analysis.analyse import analyse
from experiments.analysis.result import Analysis, OfflineAlignment, SourceCount
from experiments.definition import State
from experiments.metrics import PrimaryMetric
from experiments.report.page import render_report
from experiments.report.terminal import print_report
from tests.experiments.events import an_experiment
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
        return await analyse(
            store, "ways", now_ms=start + 3 * DAY_MS, cultures=cultures or CULTURES
        )


async def four_arms(folder: Path, n_units: int, **of_units: Any) -> Analysis:
    """The analysis of a made-up experiment with three arms to compare."""
    arms = an_experiment().arms
    rates = {"plain": 0.3, "icl": 0.4, "adapter": 0.6, "adapter+icl": 0.65}
    changes = {"arms": arms} | of_units.pop("changes", {})
    return await made(folder, n_units, rates=rates, changes=changes, **of_units)


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
    page, text = render_report(found), printed(found)
    assert text.startswith("ways: Ship icl\nicl: helpful is better than control")
    assert page.index("Ship icl") < page.index("Hypothesis") < page.index("<svg")


async def test_the_title_names_the_models_that_answered(tmp_path: Path) -> None:
    found = await made(tmp_path, 60)
    [model] = found.n_by_model
    draft, single = (
        render_report(each) for each in (found.model_copy(update={"n_by_model": {}}), found)
    )
    both = render_report(found.model_copy(update={"n_by_model": {"new": 40, "old": 20}}))

    assert found.n_by_model[model] == found.progress.n_answers
    assert "<title>ways: " in draft
    assert f"<title>ways with {model}: " in single
    assert "<title>ways with new and old: " in both
    assert "new (40 answers) and old (20 answers)" in both
    assert "may be one between models" not in single


async def test_the_page_is_well_formed_and_refers_to_nothing_outside(tmp_path: Path) -> None:
    text = render_report(await made(tmp_path, 300))
    page = Page(text)
    assert page.open == []
    names = {tag for tag, _ in page.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "image", "use"}
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text
    assert all("href" not in attrs and "src" not in attrs for _, attrs in page.seen)


async def test_every_plot_says_what_it_shows(tmp_path: Path) -> None:
    page = render_report(await made(tmp_path, 300))
    plots = [attrs for tag, attrs in Page(page).seen if tag == "svg"]
    # The effect now and over time, two guardrails, cultures, sample ratio.
    assert len(plots) == 6
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
    page = render_report(evil)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    assert Page(page).open == []


async def test_texts_of_people_steer_no_terminal(tmp_path: Path) -> None:
    found = await made(tmp_path)
    text = printed(found.model_copy(update={"hypothesis": "[red]\x1b[31m[/red] ok"}))
    assert "\x1b" not in text
    assert "[red][31m[/red] ok" in text


async def test_a_sample_ratio_alarm_warns_of_everything_else(tmp_path: Path) -> None:
    found = await made(tmp_path, 1500, shares=(0.4, 0.6))
    page = render_report(found)
    assert 'class="decision alarm"' in page
    assert "Effects are shown below, but cannot be relied on." in page
    text = printed(found)
    alarm = "Alarm: units are not split between the arms according to their weights"
    assert text.index(alarm) < text.index("Effect on helpful")
    assert page.index(alarm) < page.index("Effect on helpful")


async def test_a_broken_guardrail_is_shown_as_such(tmp_path: Path) -> None:
    found = await made(tmp_path, 800, latency_ms={"icl": 1600.0})
    assert '<span class="state violated">violated</span>' in render_report(found)
    assert "violated" in printed(found)


async def test_an_experiment_without_events_says_so_once(tmp_path: Path) -> None:
    found = await four_arms(tmp_path, 0)
    page, text = render_report(found), printed(found)
    assert "<svg" not in page
    assert page.lower().count("too few units") == text.lower().count("too few units") == 1
    # What is guarded is known before anything is measured.
    assert "latency_ms, 90 % quantile (margin 300)" in text
    assert "plain (control)" in text


async def test_a_single_value_makes_a_report(tmp_path: Path) -> None:
    found = await made(tmp_path, 7)
    assert "Continue" in printed(found)
    assert Page(render_report(found)).open == []


async def test_numbers_are_in_the_table_below_the_plot(tmp_path: Path) -> None:
    found = await made(tmp_path, 300)
    page = render_report(found)
    assert "<details><summary>Numbers</summary>" in page
    assert "Germany" in page


async def test_the_page_is_the_same_after_json(tmp_path: Path) -> None:
    found = await made(tmp_path, 200)
    assert render_report(Analysis.model_validate_json(found.model_dump_json())) == render_report(
        found
    )


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_the_terminal_report_keeps_to_its_width(tmp_path: Path, width: int) -> None:
    found = await made(tmp_path, 100, changes={"primary": PrimaryMetric(HELPFUL.metric, 0.1)})
    assert all(len(line) <= width for line in printed(found, width).splitlines())


@pytest.mark.parametrize("width", [60, 80, 120])
async def test_no_interval_is_broken_in_two(tmp_path: Path, width: int) -> None:
    lines = printed(await four_arms(tmp_path, 600), width).splitlines()
    assert sum("[" in line for line in lines) >= 9
    assert all(line.count("[") == line.count("]") for line in lines)
    assert all(len(line) <= width for line in lines)


async def test_what_is_said_of_each_arm_has_a_point_of_its_own(tmp_path: Path) -> None:
    found = await four_arms(tmp_path, 200)
    text = printed(found, 60)
    points = [line for line in text.split("\n\n")[0].splitlines()[1:] if line[:2] != "  "]
    assert [line.split(":")[0] for line in points] == ["- icl", "- adapter", "- adapter+icl"]
    assert render_report(found).count("<li>icl: helpful") == 1


async def test_what_no_arm_has_is_left_out(tmp_path: Path) -> None:
    text = printed(await made(tmp_path, 300))
    assert "Unreadable" in text
    assert not any(name in text for name in ("Refused", "Label mass", "single requests"))


async def test_a_culture_with_a_difference_is_named_with_its_arm(tmp_path: Path) -> None:
    found = await made(tmp_path, 3000, rates={"plain": 0.1, "icl": 0.9})
    text = printed(found, 200)
    assert "with icl; of 6 cultures." in text
    assert text.count("That any finding is ever false has a probability of 5 % at most") == 1
    assert "* +0." in text


async def test_many_cultures_are_cut_in_the_terminal_only(tmp_path: Path) -> None:
    found = await made(tmp_path, 300)
    comparison = found.comparisons[0]
    first = comparison.cultures.effects[0]
    many = tuple(
        first.model_copy(update={"culture": f"C{n}", "name": f"Land {n}"}) for n in range(30)
    )
    cultures = comparison.cultures.model_copy(update={"effects": many})
    changed = comparison.model_copy(update={"cultures": cultures})
    full = found.model_copy(update={"comparisons": (changed,)})
    assert "and 18 more" in printed(full)
    assert "Land 29" in render_report(full)


async def test_alignment_offline_stands_beside_the_outcome(tmp_path: Path) -> None:
    found = await made(tmp_path, 300)
    offline = OfflineAlignment(estimate=0.7, low=0.65, high=0.75, source="replay of a survey")
    arms = (found.arms[0], found.arms[1].model_copy(update={"offline": offline}))
    measured = found.model_copy(update={"arms": arms})
    text = printed(measured)
    assert text.index("Alignment offline") < text.index("Weight")
    assert "0.650\N{EN DASH}0.750" in text
    assert "replay of a survey" in text
    assert "replay of a survey" in render_report(measured)


async def test_revisions_say_what_changed(tmp_path: Path) -> None:
    found = await made(tmp_path, 100)
    assert "What changed" not in printed(found)
    first = found.revisions[0]
    second = first.model_copy(update={"revision": 2, "weights": (0.2, 0.8)})
    third = second.model_copy(update={"revision": 3, "state": State.STOPPED})
    text = printed(found.model_copy(update={"revisions": (first, second, third)}))
    last = next(line for line in text.splitlines() if line.startswith("3 "))
    assert "running, weights 50 : 50 %" in text
    assert "weights 20 : 80 %" in text
    assert "stopped" in last
    assert "weights" not in last


async def test_arms_are_drawn_to_one_scale(tmp_path: Path) -> None:
    page = Page(render_report(await four_arms(tmp_path, 800)))
    zeros = [a["y1"] for tag, a in page.seen if tag == "line" and a.get("class") == "zero"]
    across = [y for y in zeros if y not in ("2", "4")]
    assert across[:3] == across[:1] * 3


async def test_the_report_breaks_answers_down_by_source(tmp_path: Path) -> None:
    found = await made(tmp_path, 40)
    plain, icl = found.arms
    own = SourceCount(source=Source.SURVEY, n_answers=30, n_best=30)
    by_model = SourceCount(source=Source.MODEL, n_answers=10, n_best=10)
    arms = (
        plain.model_copy(update={"sources": (own, by_model), "n_model_asked": 10}),
        icl.model_copy(update={"sources": (), "n_model_asked": 0}),
    )

    recorded = found.model_copy(update={"arms": arms})

    for text in (printed(recorded), render_report(recorded)):
        assert "Answers stand on" in text
        assert "The best source was" in text
        assert text.count("30 (75.0 %)") == 2
        assert text.count("10 (25.0 %)") == 3
    for text in (printed(recorded, width=400), render_report(recorded)):
        assert "themselves: 30 answers of plain." in text
    assert Page(render_report(recorded)).open == []


async def test_a_report_of_events_without_sources_has_no_table_of_them(tmp_path: Path) -> None:
    found = await made(tmp_path, 40)

    for text in (printed(found), render_report(found)):
        assert "stand on" not in text
        assert "Counted apart" not in text
