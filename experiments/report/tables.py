"""The tables of a report, as text; the terminal and the page show the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.analysis.result import (
    Analysis,
    ArmFigures,
    Comparison,
    CultureEffect,
    GuardrailEffect,
)
from experiments.report import words
from experiments.report.spans import find_places, show_bounds, show_estimate, show_pair
from reports.document import Row, StateCell, Table
from reports.numbers import (
    ABSENT,
    count,
    decimal,
    duration,
    moment,
    number,
    p_value,
    percent,
    rate,
)


def tabulate_effects(analysis: Analysis) -> Table | None:
    """Return the primary metric of every arm, control first; None before anything is compared."""
    if not words.is_compared(analysis):
        return None
    first = analysis.comparisons[0].effect
    places = find_places(each.effect.span for each in analysis.comparisons)
    level, n_units = decimal(first.control, places), count(first.n_control)
    control = (f"{analysis.control} (control)", level, n_units, "", "", "")
    rows = tuple(
        (
            each.arm,
            decimal(each.effect.treatment, places),
            count(each.effect.n_treatment),
            *show_pair(each.effect.span, places),
            p_value(each.effect.p_value),
        )
        for each in analysis.comparisons
    )
    columns = ("Arm", "Level", "Units", "Difference", _head_interval(first.alpha), "p")
    return Table.of_rows(words.head_effect(analysis.primary), columns, (control, *rows))


def _head_interval(alpha: float) -> str:
    """Return the heading of intervals of an error rate."""
    return f"{rate(1.0 - alpha)} interval"


def group_by_guardrail(analysis: Analysis) -> tuple[tuple[tuple[str, GuardrailEffect], ...], ...]:
    """Return, for each guardrail, every arm with what is known about it there."""
    arms = [[(each.arm, found) for found in each.guardrails] for each in analysis.comparisons]
    return tuple(zip(*arms, strict=True))


def tabulate_guardrails(analysis: Analysis) -> Table | None:
    """Return the guardrails of every arm; None before anything is known of any."""
    if not words.has_guardrails(analysis):
        return None
    rows: list[Row] = []
    groups = group_by_guardrail(analysis)
    for group in groups:
        places = find_places(found.span for _, found in group)
        metric = group[0][1].metric
        name, margin = words.name_metric(metric), number(metric.worth)
        cells = [(StateCell(each.state), *show_pair(each.span, places)) for _, each in group]
        if len(group) == 1:
            rows.append((name, *cells[0], margin))
            continue
        rows.append((name, "", "", "", margin))
        rows += [(f"  {arm}", *own, "") for (arm, _), own in zip(group, cells, strict=True)]
    heading = _head_interval(groups[0][0][1].alpha)
    columns = ("Guardrails", "", "Difference", heading, "Margin")
    return Table.of_rows("", columns, tuple(rows), texts=(0, 1))


def tabulate_cultures(comparison: Comparison, control: str) -> Table | None:
    """Return all effects of one arm by culture; None without any."""
    found = comparison.cultures.effects
    raw, pooled = (find_places(getattr(e, kind) for e in found) for kind in ("raw", "pooled"))
    rows = tuple(
        (
            each.name,
            *show_pair(each.raw, raw),
            "yes" if each.found else "no",
            show_estimate(each.pooled, pooled),
            show_bounds(each.pooled, pooled) if each.pooled.low is not None else ABSENT,
            count(each.n_treatment),
            count(each.n_control),
        )
        for each in found
    )
    units = (f"Units of {comparison.arm}", f"Units of {control}")
    columns = ("Culture", "Difference", "Interval", "Found", "Pooled", "95 % interval", *units)
    return Table.of_rows(comparison.arm, columns, rows) if rows else None


def summarise_cultures(analysis: Analysis, *, most: int) -> Table | None:
    """Return a column per arm with its effects by culture; None before there is any estimate.

    Those found come first. At most `most` cultures; the last row says how many more there are.
    """
    effects = [
        {each.culture: each for each in comparison.cultures.effects}
        for comparison in analysis.comparisons
    ]
    codes = {code: each.name for own in effects for code, each in own.items()}
    if all(each.raw.estimate is None for own in effects for each in own.values()):
        return None

    def rank(code: str) -> tuple[bool, int, str]:
        of_code = [own[code] for own in effects if code in own]
        n_units = sum(each.n_treatment for each in of_code)
        return (not any(each.found for each in of_code), -n_units, codes[code])

    ranked = sorted(codes, key=rank)
    shown = ranked[:most]
    if len(effects) == 1:
        columns, rows = _one_arm(codes, effects[0], shown)
    else:
        columns = tuple(each.arm for each in analysis.comparisons)
        found = [each for own in effects for each in own.values()]
        pooled = [each.pooled for each in found if each.pooled.low is not None]
        places = find_places(pooled or [each.raw for each in found])
        rows = tuple(
            (codes[code], *(_in_short(own.get(code), places) for own in effects)) for code in shown
        )
    if len(ranked) > most:
        rows += ((f"and {count(len(ranked) - most)} more", *("" for _ in columns)),)
    return Table.of_rows("", ("By culture", *columns), rows)


def _one_arm(
    codes: Mapping[str, str], effects: Mapping[str, CultureEffect], shown: Sequence[str]
) -> tuple[Row, tuple[Row, ...]]:
    """Return the columns but the first, and the rows, of an experiment with one arm to compare."""
    found = [effects[code] for code in shown]
    raw, pooled = (find_places(getattr(e, kind) for e in found) for kind in ("raw", "pooled"))
    rows = tuple(
        (
            codes[each.culture],
            count(each.n_treatment + each.n_control),
            ("* " if each.found else "") + show_estimate(each.raw, raw),
            show_bounds(each.raw, raw),
            show_estimate(each.pooled, pooled),
        )
        for each in found
    )
    return ("Units", "Difference", "Interval", "Pooled"), rows


def _in_short(each: CultureEffect | None, places: int) -> str:
    if each is None or each.raw.estimate is None:
        return ABSENT
    pooled = each.pooled.estimate
    shown = decimal(each.raw.estimate if pooled is None else pooled, places, is_signed=True)
    return f"* {shown}" if each.found else shown


def tabulate_ratio(analysis: Analysis) -> Table | None:
    """Return units per arm in each span of equal weights; None before the first unit."""
    strata = analysis.sample_ratio.strata
    rows = tuple(
        (
            f"from revision {stratum.first_revision} on" if len(strata) > 1 else "all",
            *(
                f"{count(n)} ({percent(n / sum(stratum.n_units))}, weight {rate(weight)})"
                for n, weight in zip(stratum.n_units, stratum.weights, strict=True)
            ),
        )
        for stratum in strata
    )
    columns = ("Units", *(arm.name for arm in analysis.arms))
    return Table.of_rows("", columns, rows) if rows else None


def tabulate_arms(analysis: Analysis) -> Table:
    """Return what is known about the arms, a column per arm; rows of nothing are left out."""
    found, metric = analysis.arms, analysis.primary.name
    covered = [next(c for c in arm.coverage if c.metric == metric) for arm in found]
    n_units = sum(arm.n_units for arm in found)
    rows = [
        *_outcomes(analysis),
        ("Weight", *(rate(arm.weight) for arm in found)),
        ("Units", *(count(arm.n_units) for arm in found)),
    ]
    if n_units:
        rows.append(("  share", *(percent(arm.n_units / n_units) for arm in found)))
    has_more = any(arm.n_answers != arm.n_units for arm in found)
    counts = (
        (f"  with {metric}", [each.n_settled for each in covered]),
        ("  may still have it", [each.n_open for each in covered]),
        ("  silent", [each.n_silent for each in covered]),
        ("  single requests", [arm.n_requests for arm in found]),
        # If every unit has asked once, it says nothing.
        ("Answers", [arm.n_answers for arm in found] if has_more else []),
        ("  by another arm", [arm.n_crossed for arm in found]),
    )
    rows += [(name, *map(count, ns)) for name, ns in counts if any(ns)]
    rows += _figures(found)
    columns = ("Arms", *map(words.name_arm, found))
    return Table.of_rows("", columns, tuple(rows))


def _outcomes(analysis: Analysis) -> list[Row]:
    """Return the primary metric of the arms, and their offline alignment."""
    found, rows = analysis.arms, []
    levels = {each.arm: each.effect.treatment for each in analysis.comparisons}
    levels[analysis.control] = analysis.comparisons[0].effect.control
    if any(level is not None for level in levels.values()):
        name = words.name_metric(analysis.primary)
        places = find_places(each.effect.span for each in analysis.comparisons)
        rows.append((name, *(decimal(levels.get(arm.name), places) for arm in found)))
    if any(arm.offline for arm in found):
        offline = [
            (decimal(o.estimate, 3), f"{decimal(o.low, 3)}\N{EN DASH}{decimal(o.high, 3)}")
            if (o := arm.offline)
            else (ABSENT, ABSENT)
            for arm in found
        ]
        estimates, ends = zip(*offline, strict=True)
        rows += [("Alignment offline", *estimates), ("  95 % interval", *ends)]
    return rows


def _figures(found: Sequence[ArmFigures]) -> list[Row]:
    """Return shares, means and quantiles over answers that any arm has."""
    rows = []
    for kind in ("shares", "means", "latency_ms"):
        for key in getattr(found[0], kind):
            values = [getattr(arm, kind)[key] for arm in found]
            # Nothing refused or fallen back says nothing; nothing steered does.
            is_idle = kind == "shares" and key != "steered" and not any(values)
            if is_idle or all(value is None for value in values):
                continue
            name = words.name_recorded(key)
            if kind == "latency_ms":
                name = "Latency in ms, median" if key == "50" else f"  {key} % quantile"
            shown = [percent(v) if kind == "shares" else number(v, 3) for v in values]
            rows.append((name, *shown))
    return rows


def tabulate_revisions(analysis: Analysis) -> Table | None:
    """Return all revisions and what each one changed; None if there is only one.

    Weights stand in the order of the arms.
    """
    found = analysis.revisions
    if len(found) < 2:
        return None
    said = [
        {
            "weights": " : ".join(rate(weight).removesuffix(" %") for weight in revision.weights)
            + " %",
            "traffic": rate(revision.traffic_share),
            "at most": duration(revision.max_duration_s),
        }
        for revision in found
    ]
    varying = [key for key in said[0] if len({each[key] for each in said}) > 1]
    rows = []
    for k, revision in enumerate(found):
        is_state_new = k == 0 or revision.state is not found[k - 1].state
        changes = [str(revision.state)] if is_state_new else []
        changes += [
            f"{key} {said[k][key]}" for key in varying if k == 0 or said[k][key] != said[k - 1][key]
        ]
        what = ", ".join(changes) or "no change of arms or traffic"
        rows.append((str(revision.revision), moment(revision.at_ms), what, count(revision.n_units)))
    columns = ("Revision", "Since", "What changed", "Units")
    return Table.of_rows("", columns, tuple(rows), texts=(0, 1, 2))
