"""Whether the statistics of experiments keep what they promise, by simulation.

    python -m benchmarks.experiments [--quick]

Runs are looked at after every event. The exit status is 1 where a promised bound is broken beyond
what chance explains: where so many errors have a probability under 0.001 if the bound holds.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from benchmarks.simulated_alarms import ALARM_ALPHAS, findings, first_alarms
from benchmarks.simulated_looks import (
    ALPHA,
    Z,
    corrected_means_cross,
    difference_stream,
    first_crossing,
    fixed_finds,
    naive_crosses,
    settled_cross,
)
from benchmarks.simulated_units import (
    RATINGS,
    SHARE,
    Draw,
    Metric,
    amount,
    assigned,
    drifting,
    growing,
    loyal,
    rating,
    yes_or_no,
)
from experiments.statistics.differences import block_shape, blocks
from experiments.statistics.means import (
    Bounded,
    Unbounded,
    Values,
    confidence_sequence,
)
from experiments.statistics.planning import Baseline, planned
from experiments.statistics.quantiles import count_bounds
from experiments.statistics.streams import Running

CHANCE = 0.001
N_CULTURES = 20
out = Console(width=120)


@dataclass
class Bench:
    """How much is simulated, and which bounds were broken."""

    n_runs: int
    n_events: int
    broken: list[str] = field(default_factory=list)

    def held(self, name: str, n_errors: int, n_runs: int, bound: float) -> str:
        """Return the share of errors as shown, and note it where the bound is broken."""
        holds = float(binom.sf(n_errors - 1, n_runs, bound)) >= CHANCE
        if not holds:
            self.broken.append(f"{name}: {n_errors} of {n_runs}, bound {bound:.1%}")
        return f"{n_errors / n_runs:.2%}{'' if holds else ' BROKEN'}"


def main() -> None:
    """Run the simulations and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    args = parser.parse_args()
    bench = Bench(n_runs=200 if args.quick else 2000, n_events=10_000)
    for section in (
        without_effect,
        repeated_measures,
        coverage,
        power,
        many_cultures,
        sample_ratio,
        guardrails,
        durations,
    ):
        started = time.perf_counter()
        section(bench)
        out.print(f"[dim]{time.perf_counter() - started:.0f} s[/dim]")
    for line in bench.broken:
        out.print(f"BROKEN {line}", style="bold red")
    sys.exit(1 if bench.broken else 0)


def without_effect(bench: Bench) -> None:
    """A/A: how often a difference is ever found where there is none."""
    metrics = (
        Metric("share, 0.5", yes_or_no(0.5), bounds=SHARE),
        Metric("share, 0.02", yes_or_no(0.02), bounds=SHARE),
        Metric(
            "share, 0.02, weights 0.1 and 0.9", yes_or_no(0.02), bounds=SHARE, weights=(0.1, 0.9)
        ),
        Metric("share drifting from 0.3 to 0.6", yes_or_no(0.45, drift=0.3), bounds=SHARE),
        Metric("rating 1 to 5", rating(), bounds=RATINGS),
        Metric("lognormal, sigma 1", amount(1.0)),
        Metric("lognormal, sigma 1, weights 0.1 and 0.9", amount(1.0), weights=(0.1, 0.9)),
        Metric("lognormal, sigma 2", amount(2.0)),
    )
    title = f"A/A, {bench.n_runs:,} runs x {bench.n_events:,} events, a look at every event"
    table = Table("Values", "ever found", "bound", "naive z-test", title=title)
    for i, metric in enumerate(metrics):
        rng = np.random.default_rng([1, i])
        values, shape = metric.values(bench.n_events), block_shape(*metric.weights)
        ours = naive = 0
        for _ in range(bench.n_runs):
            treated = assigned(rng, bench.n_events, metric.weights)
            drawn = metric.draw(rng, treated)
            history = values.empty.history(blocks(treated, drawn, shape=shape).values)
            ours += first_crossing(history, values) >= 0
            naive += naive_crosses(treated, drawn)
        held = bench.held(f"A/A {metric.name}", ours, bench.n_runs, ALPHA)
        table.add_row(metric.name, held, f"{ALPHA:.0%}", f"{naive / bench.n_runs:.1%}")
    out.print(table)


def repeated_measures(bench: Bench) -> None:
    """A/A with several answers per unit."""
    title = f"A/A, several answers per unit, {bench.n_runs:,} runs x {bench.n_events:,} answers"
    table = Table(
        "Units",
        "settled units",
        "first answers",
        "bound",
        "corrected unit means",
        "answers as units",
        "naive z-test of answers",
        title=title,
    )
    cases = (
        ("arriving, each with a taste of its own", loyal),
        ("all there from the start, tastes wander", drifting),
        ("all there from the start, amounts treble", growing),
    )
    for i, (name, draw) in enumerate(cases):
        rng = np.random.default_rng([2, i])
        asymptotic = Unbounded(expected_n=bench.n_events / 20)
        settled, first, corrected, as_units, naive = 0, 0, 0, 0, 0
        for _ in range(bench.n_runs):
            answers = draw(rng, bench.n_events)
            settled += settled_cross(answers, "mean")
            first += settled_cross(answers, "first")
            corrected += corrected_means_cross(answers, asymptotic)
            treated = answers.treated[answers.units]
            per_answer = answers.expected(bench.n_events / 2)
            stream = per_answer.empty.history(blocks(treated, answers.values).values)
            as_units += first_crossing(stream, per_answer) >= 0
            naive += naive_crosses(treated, answers.values)
        table.add_row(
            name,
            bench.held(f"A/A settled {name}", settled, bench.n_runs, ALPHA),
            bench.held(f"A/A first {name}", first, bench.n_runs, ALPHA),
            f"{ALPHA:.0%}",
            *(f"{n / bench.n_runs:.1%}" for n in (corrected, as_units, naive)),
        )
    out.print(table)


def coverage(bench: Bench) -> None:
    """How often the truth is ever outside the interval."""
    title = f"Intervals at every look that ever miss the truth, {bench.n_runs:,} runs"
    table = Table("Interval of", "ever missed", "bound", "width at the end", title=title)
    twice, up = amount(1.0, 2.0), math.exp(0.5)
    metrics = (
        Metric("share, 0.5 to 0.55", yes_or_no(0.5, 0.05), 0.05, SHARE),
        Metric("share, 0.02 to 0.03", yes_or_no(0.02, 0.01), 0.01, SHARE),
        Metric("rating, 0.2 up", rating(0.05), 0.2, RATINGS),
        Metric("lognormal, twice", twice, up),
        Metric("lognormal, twice, weights 0.1 and 0.9", twice, up, weights=(0.1, 0.9)),
    )
    for i, metric in enumerate(metrics):
        rng = np.random.default_rng([3, i])
        values = metric.values(bench.n_events)
        streams = (difference_stream(rng, metric, bench.n_events) for _ in range(bench.n_runs))
        name = f"difference of {metric.name}"
        _add_coverage(bench, table, name, streams, values=values, truth=metric.truth)
    singles: tuple[tuple[str, Draw, float, Values], ...] = (
        ("mean of shares, 0.02", yes_or_no(0.02), 0.02, Bounded(0.0, 1.0)),
        ("mean of ratings", rating(), 3.6, Bounded(1.0, 5.0)),
        ("mean of lognormal, sigma 1", amount(1.0), up, Unbounded()),
    )
    nobody = np.zeros(bench.n_events, dtype=np.bool_)
    for i, (name, draw, truth, one) in enumerate(singles):
        rng = np.random.default_rng([4, i])
        streams = (one.empty.history(draw(rng, nobody)) for _ in range(bench.n_runs))
        _add_coverage(bench, table, name, streams, values=one, truth=truth)
    _add_quantiles(bench, table)
    out.print(table)


def _add_coverage(
    bench: Bench,
    table: Table,
    name: str,
    streams: Iterable[Running],
    *,
    values: Values,
    truth: float,
) -> None:
    missed, widths = 0, []
    for stream in streams:
        missed += first_crossing(stream, values, null=truth) >= 0
        last = confidence_sequence(stream.at([-1]), values, alpha=ALPHA).at(-1)
        widths.append(last.high - last.low)
    width = float(np.median(widths))
    shown = "endless" if math.isinf(width) else f"{width:.4f}"
    held = bench.held(f"coverage {name}", missed, bench.n_runs, ALPHA)
    table.add_row(name, held, f"{ALPHA:.0%}", shown)


def _add_quantiles(bench: Bench, table: Table) -> None:
    n = np.arange(1, bench.n_events + 1)
    for p in (0.5, 0.95):
        rng = np.random.default_rng([5, int(100 * p)])
        fewest, most = count_bounds(n, p, alpha=ALPHA)
        missed = 0
        for _ in range(bench.n_runs):
            below = np.cumsum(rng.random(bench.n_events) < p)
            missed += bool(((below < fewest) | (below > most)).any())
        # In probability, which is all that can be said without a distribution.
        width = float(most[-1] - fewest[-1]) / bench.n_events
        name = f"{p}-quantile (width as a share)"
        held = bench.held(f"coverage {name}", missed, bench.n_runs, ALPHA)
        table.add_row(name, held, f"{ALPHA:.0%}", f"{width:.4f}")


def power(bench: Bench) -> None:
    """How often, and how soon, an effect is found that is there."""
    n_runs = bench.n_runs // 2
    title = f"A/B, {n_runs:,} runs x {bench.n_events:,} units; units until the effect is found"
    table = Table(
        "Effect",
        "found, always valid",
        "found, one look at the end",
        "median units",
        "90 % units",
        "fixed units for 80 %",
        title=title,
    )
    for i, metric in enumerate(_effects()):
        rng = np.random.default_rng([6, i])
        values = metric.values(bench.n_events)
        found, fixed, stops = 0, 0, []
        for _ in range(n_runs):
            treated = assigned(rng, bench.n_events, metric.weights)
            drawn = metric.draw(rng, treated)
            pairs = blocks(treated, drawn)
            row = first_crossing(values.empty.history(pairs.values), values)
            found += row >= 0
            stops.append(float(pairs.completed[row] + 1) if row >= 0 else math.inf)
            fixed += fixed_finds(treated, drawn)
        half = np.arange(100_000) % 2 == 0
        many = metric.draw(rng, half)
        variance = float(many[half].var() + many[~half].var())
        needed = 2.0 * variance * ((Z + NormalDist().inv_cdf(0.8)) / metric.truth) ** 2
        table.add_row(
            metric.name,
            f"{found / n_runs:.1%}",
            f"{fixed / n_runs:.1%}",
            *(_units(float(np.quantile(stops, q, method="higher"))) for q in (0.5, 0.9)),
            f"{needed:,.0f}",
        )
    out.print(table)


def _effects() -> tuple[Metric, ...]:
    mean = math.exp(0.5)
    even, rare = (0.02, 0.04, 0.06, 0.1), (0.005, 0.01, 0.02)
    return (
        *(Metric(f"share, 0.5 {d:+}", yes_or_no(0.5, d), d, SHARE) for d in even),
        *(Metric(f"share, 0.02 {d:+}", yes_or_no(0.02, d), d, SHARE, sd=0.14) for d in rare),
        *(Metric(f"rating {4 * s:+.2f}", rating(s), 4 * s, RATINGS) for s in (0.02, 0.04, 0.08)),
        *(
            Metric(f"lognormal times {f}", amount(1.0, f), (f - 1.0) * mean)
            for f in (1.1, 1.2, 1.4)
        ),
    )


def _units(n: float) -> str:
    return "later" if math.isinf(n) else f"{n:,.0f}"


def many_cultures(bench: Bench) -> None:
    """Effects found in 20 cultures, with none there or with half."""
    n_each = bench.n_events // N_CULTURES
    title = (
        f"{N_CULTURES} cultures, {n_each} units each, {bench.n_runs:,} runs, a look at each event"
    )
    table = Table(
        "Effects",
        "ever any false one (bound 5 %)",
        "each at 5 %, ever any false one",
        "FDR at the first finding",
        "FDR at the fifth",
        "FDR at the end (bounds 5 %)",
        "true ones found by e-BH at the end",
        title=title,
    )
    some = np.where(np.arange(N_CULTURES) < N_CULTURES // 2, 0.3, 0.0)
    for name, effects in (("none", np.zeros(N_CULTURES)), ("half of them, +0.3", some)):
        rng = np.random.default_rng([7, len(name)])
        runs = [findings(rng, effects, n_each) for _ in range(bench.n_runs)]
        shares = np.array([run.false_shares for run in runs]).sum(axis=0)
        for label, total in zip(("first", "fifth", "end"), shares.tolist(), strict=True):
            # A share of false findings is at most 1, so with that mean its draws are no more
            # spread than yes-or-no ones.
            bench.held(f"FDR at the {label}, {name}", int(total), bench.n_runs, ALPHA)
        any_false = sum(run.any_false for run in runs)
        each_false = sum(run.each_false for run in runs)
        true_found = float(np.mean([run.true_found for run in runs]))
        table.add_row(
            name,
            bench.held(f"any false culture, {name}", any_false, bench.n_runs, ALPHA),
            f"{each_false / bench.n_runs:.1%}",
            *(f"{total / bench.n_runs:.2%}" for total in shares.tolist()),
            f"{true_found:.1%}" if effects.any() else "",
        )
    out.print(table)


def sample_ratio(bench: Bench) -> None:
    """False alarms of the sample ratio, and how soon it sees a shift."""
    title = f"Sample ratio, a look at every unit, {bench.n_runs:,} runs"
    table = Table(
        "Weights → shares",
        "alpha",
        "ever alarmed",
        "median units",
        "90 % units",
        "chi-square at every unit",
        title=title,
    )
    even, four = np.array([0.5, 0.5]), np.array([0.7, 0.1, 0.1, 0.1])
    cases = (
        ("50/50", even, even, 10_000),
        ("70/10/10/10", four, four, 10_000),
        ("50/50 → 52/48", even, np.array([0.52, 0.48]), 60_000),
        ("50/50 → 55/45", even, np.array([0.55, 0.45]), 10_000),
    )
    for i, (name, weights, shares, n_units) in enumerate(cases):
        rng = np.random.default_rng([8, i])
        null = bool((weights == shares).all())
        n_runs = bench.n_runs if null else bench.n_runs // 4
        alarms = [first_alarms(rng, weights, shares, n_units) for _ in range(n_runs)]
        naive = sum(run.naive for run in alarms) / n_runs
        for alpha in ALARM_ALPHAS:
            at = [run.units[alpha] for run in alarms]
            n_alarmed = sum(math.isfinite(units) for units in at)
            if null:
                held = bench.held(f"SRM {name} {alpha}", n_alarmed, n_runs, alpha)
                table.add_row(name, f"{alpha:.1%}", held, "", "", f"{naive:.1%}")
                continue
            late = (_units(float(np.quantile(at, q, method="higher"))) for q in (0.5, 0.9))
            table.add_row(name, f"{alpha:.1%}", f"{n_alarmed / n_runs:.1%}", *late, "")
    out.print(table)


def guardrails(bench: Bench) -> None:
    """How often an arm that is worse by the margin is ever called safe, and a good one is."""
    title = f"Guardrails, {bench.n_runs:,} runs x {bench.n_events:,} units"
    table = Table(
        "Metric and true difference", "margin", "ever safe", "bound", "ever violated", title=title
    )
    cases = (
        (Metric("share 0.5, worse by the margin", yes_or_no(0.5, -0.05), -0.05, SHARE), 0.05, True),
        (Metric("rating, worse by the margin", rating(-0.05), -0.2, RATINGS), 0.2, True),
        (Metric("share 0.5, no difference", yes_or_no(0.5), 0.0, SHARE), 0.05, False),
        (
            Metric("share 0.5, worse by twice the margin", yes_or_no(0.5, -0.1), -0.1, SHARE),
            0.05,
            True,
        ),
    )
    for i, (metric, margin, worse) in enumerate(cases):
        rng = np.random.default_rng([9, i])
        values = metric.values(bench.n_events)
        safe = violated = 0
        for _ in range(bench.n_runs):
            stream = difference_stream(rng, metric, bench.n_events)
            safe += first_crossing(stream, values, null=-margin, above=True) >= 0
            violated += first_crossing(stream, values, null=-margin, above=False) >= 0
        shown = (
            bench.held(f"guardrail {metric.name}", safe, bench.n_runs, ALPHA)
            if worse
            else f"{safe / bench.n_runs:.1%}"
        )
        table.add_row(
            metric.name,
            f"{margin}",
            shown,
            f"{ALPHA:.0%}" if worse else "",
            f"{violated / bench.n_runs:.1%}",
        )
    out.print(table)


def durations(bench: Bench) -> None:
    """What planning says beside the stopping times that the same experiment then has."""
    n_runs = bench.n_runs // 4
    title = f"Planned for a power of 80 %, and what {n_runs:,} experiments then did"
    table = Table(
        "Effect",
        "planned units",
        "fixed units",
        "ended by then",
        "median planned",
        "median",
        title=title,
    )
    for i, (rate, effect, weights) in enumerate(
        ((0.5, 0.05, (0.5, 0.5)), (0.02, 0.01, (0.5, 0.5)), (0.3, 0.05, (0.2, 0.8)))
    ):
        rng = np.random.default_rng([10, i])
        plan = planned(Baseline.rate(rate), effect, units_per_day=1000.0, weights=weights)
        draw = yes_or_no(rate, effect)
        stops = []
        for _ in range(n_runs):
            treated = assigned(rng, 3 * plan.n_units, weights)
            pairs = blocks(treated, draw(rng, treated), shape=plan.shape)
            row = first_crossing(plan.values.empty.history(pairs.values), plan.values)
            stops.append(float(pairs.completed[row] + 1) if row >= 0 else math.inf)
        ended = sum(stop <= plan.n_units for stop in stops) / n_runs
        table.add_row(
            f"share, {rate} {effect:+}, weights {weights[0]} and {weights[1]}",
            f"{plan.n_units:,}",
            f"{plan.n_units_fixed:,}",
            f"{ended:.1%}",
            f"{dict(plan.quantiles)[0.5]:,}",
            _units(float(np.median(stops))),
        )
    out.print(table)


if __name__ == "__main__":
    main()
