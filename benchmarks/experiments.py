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
from statistics import NormalDist

import numpy as np
from rich.table import Table

from benchmarks.simulated_decisions import (
    durations,
    guardrails,
    many_cultures,
    sample_ratio,
)
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
from benchmarks.simulation import Bench, out, shown_units
from experiments.statistics.differences import fit_block_shape, form_blocks
from experiments.statistics.means import (
    Bounded,
    Unbounded,
    ValueModel,
    confidence_sequence,
)
from experiments.statistics.quantiles import count_bounds
from experiments.statistics.streams import Running


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
        values, shape = metric.values(bench.n_events), fit_block_shape(*metric.weights)
        ours = naive = 0
        for _ in range(bench.n_runs):
            treated = assigned(rng, bench.n_events, metric.weights)
            drawn = metric.draw(rng, treated)
            history = values.history(form_blocks(treated, drawn, shape=shape).values)
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
            stream = per_answer.history(form_blocks(treated, answers.values).values)
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
    singles: tuple[tuple[str, Draw, float, ValueModel], ...] = (
        ("mean of shares, 0.02", yes_or_no(0.02), 0.02, Bounded(0.0, 1.0)),
        ("mean of ratings", rating(), 3.6, Bounded(1.0, 5.0)),
        ("mean of lognormal, sigma 1", amount(1.0), up, Unbounded()),
    )
    nobody = np.zeros(bench.n_events, dtype=np.bool_)
    for i, (name, draw, truth, one) in enumerate(singles):
        rng = np.random.default_rng([4, i])
        streams = (one.history(draw(rng, nobody)) for _ in range(bench.n_runs))
        _add_coverage(bench, table, name, streams, values=one, truth=truth)
    _add_quantiles(bench, table)
    out.print(table)


def _add_coverage(
    bench: Bench,
    table: Table,
    name: str,
    streams: Iterable[Running],
    *,
    values: ValueModel,
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
            pairs = form_blocks(treated, drawn)
            row = first_crossing(values.history(pairs.values), values)
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
            *(shown_units(float(np.quantile(stops, q, method="higher"))) for q in (0.5, 0.9)),
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


if __name__ == "__main__":
    main()
