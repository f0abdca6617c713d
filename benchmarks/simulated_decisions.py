"""Simulations of what is decided from evidence: cultures, sample ratio, guardrails, durations."""

from __future__ import annotations

import math

import numpy as np
from rich.table import Table

from benchmarks.simulated_alarms import ALARM_ALPHAS, findings, first_alarms
from benchmarks.simulated_looks import ALPHA, difference_stream, first_crossing
from benchmarks.simulated_units import RATINGS, SHARE, Metric, assigned, rating, yes_or_no
from benchmarks.simulation import Bench, out, shown_units
from experiments.statistics.differences import form_blocks
from experiments.statistics.planning import Baseline, plan_sample

N_CULTURES = 20


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
            late = (shown_units(float(np.quantile(at, q, method="higher"))) for q in (0.5, 0.9))
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
        plan = plan_sample(Baseline.rate(rate), effect, units_per_day=1000.0, weights=weights)
        draw = yes_or_no(rate, effect)
        stops = []
        for _ in range(n_runs):
            treated = assigned(rng, 3 * plan.n_units, weights)
            pairs = form_blocks(treated, draw(rng, treated), shape=plan.shape)
            row = first_crossing(plan.values.history(pairs.values), plan.values)
            stops.append(float(pairs.completed[row] + 1) if row >= 0 else math.inf)
        ended = sum(stop <= plan.n_units for stop in stops) / n_runs
        table.add_row(
            f"share, {rate} {effect:+}, weights {weights[0]} and {weights[1]}",
            f"{plan.n_units:,}",
            f"{plan.n_units_fixed:,}",
            f"{ended:.1%}",
            f"{dict(plan.quantiles)[0.5]:,}",
            shown_units(float(np.median(stops))),
        )
    out.print(table)
