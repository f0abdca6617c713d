"""An analysis for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console

from experiments.analysis.result import Analysis, ArmFigures
from experiments.replay.result import ArmReplay
from experiments.report import sources, tables, words
from experiments.statistics.decision import Verdict
from reports.terminal import print_facts, print_headline, print_points, print_table, print_text

_STYLES = {Verdict.SHIP: "bold green", Verdict.STOP: "bold red", Verdict.CONTINUE: "bold yellow"}
_MOST_CULTURES = 12


def print_report(analysis: Analysis, console: Console) -> None:
    """Print the report. Names and texts are printed as they are: none is read as markup."""
    style = _STYLES[analysis.decision.verdict]
    print_headline(console, f"{analysis.experiment}: ", words.write_headline(analysis), style=style)
    if why := words.give_reason(analysis):
        print_text(console, why)
    print_points(console, words.list_reasons(analysis))
    print_facts(console, words.list_facts(analysis))
    parts = [_print_effects, _print_cultures, _print_ratio, _print_arms]
    if analysis.sample_ratio.alarm:
        parts = [_print_ratio, _print_effects, _print_cultures, _print_arms]
    for print_part in parts:
        print_part(console, analysis)
    print_table(console, tables.tabulate_revisions(analysis))
    if words.is_compared(analysis):
        console.print()
        print_text(console, words.explain_in_short(analysis))
    print_points(console, words.list_left_out(analysis))


def _print_effects(console: Console, analysis: Analysis) -> None:
    print_table(console, tables.tabulate_effects(analysis))
    print_table(console, tables.tabulate_guardrails(analysis))


def _print_cultures(console: Console, analysis: Analysis) -> None:
    table = tables.summarise_cultures(analysis, most=_MOST_CULTURES)
    if table is None or not words.is_compared(analysis):
        return
    print_table(console, table)
    print_text(console, f"{words.describe_pooling(analysis)}{words.describe_cultures(analysis)}")


def _print_ratio(console: Console, analysis: Analysis) -> None:
    found = analysis.sample_ratio
    if not found.strata:
        return
    console.print()
    style = "bold red" if found.alarm else "bold"
    print_text(console, words.describe_ratio(found), lead="Sample ratio  ", hang=0, style=style)
    if found.alarm or len(found.strata) > 1:
        print_table(console, tables.tabulate_ratio(analysis))


def _print_arms(console: Console, analysis: Analysis) -> None:
    print_table(console, tables.tabulate_arms(analysis))
    if offline := words.describe_offline(analysis):
        print_text(console, offline)
    print_sources(console, analysis.arms)
    print_ways(console, analysis.arms)


def print_sources(console: Console, arms: Sequence[ArmFigures | ArmReplay]) -> None:
    """Print what answers stand on, and which of them are counted apart."""
    print_table(console, sources.tabulate_sources(arms))
    if own := sources.describe_own_figures(arms):
        print_text(console, own)


def print_ways(console: Console, arms: Iterable[ArmFigures | ArmReplay]) -> None:
    """Print how each arm answers."""
    console.print()
    for name, way in words.list_ways(arms):
        print_text(console, way, lead=f"{name}: ", hang=4)
