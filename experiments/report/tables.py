"""The tables of a report, as text; the terminal and the page show the same."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.analysis.result import Analysis, Comparison, OfflineAlignment
from experiments.report import words
from experiments.report.numbers import ABSENT, count, moment, number, p_value, percent, signed, span


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row names it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def effects(analysis: Analysis) -> Table:
    """Return the primary metric of every arm against control."""
    return Table(
        f"{words.measured(analysis.primary)}, less {analysis.control}",
        ("Arm", "Difference [interval]", "p", "Level", "Control's level", "Units", "Control's"),
        tuple(
            (
                each.arm,
                span(each.effect.span),
                p_value(each.effect.p_value),
                number(each.effect.treatment),
                number(each.effect.control),
                count(each.effect.n_treatment),
                count(each.effect.n_control),
            )
            for each in analysis.comparisons
        ),
    )


def guardrails(analysis: Analysis) -> Table | None:
    """Return the guardrails of every arm; None without any."""
    rows = tuple(
        (
            words.measured(each.metric),
            comparison.arm,
            words.STATE_NAMES[each.state],
            span(each.span),
            number(each.metric.worth),
        )
        for comparison in analysis.comparisons
        for each in comparison.guardrails
    )
    columns = ("Guardrail", "Arm", "State", "Difference [interval]", "Margin")
    return Table("Guardrails", columns, rows) if rows else None


def cultures(comparison: Comparison) -> Table | None:
    """Return the effects of one arm by culture; None without any."""
    rows = tuple(
        (
            each.name,
            span(each.raw),
            span(each.pooled),
            "yes" if each.found else "no",
            count(each.n_treatment),
            count(each.n_control),
        )
        for each in comparison.cultures.effects
    )
    columns = ("Culture", "Raw [interval]", "Pooled [interval]", "Found", "Units", "Control's")
    return Table(f"{comparison.arm} by culture", columns, rows) if rows else None


def ratio(analysis: Analysis) -> Table | None:
    """Return units per arm in each span of equal weights; None before the first unit."""
    strata = analysis.sample_ratio.strata
    rows = tuple(
        (
            str(stratum.first_revision),
            *(
                f"{count(n)} ({percent(n / sum(stratum.n_units))} of {percent(weight)})"
                for n, weight in zip(stratum.n_units, stratum.weights, strict=True)
            ),
        )
        for stratum in strata
    )
    columns = ("From revision", *(arm.name for arm in analysis.arms))
    return Table("Units, with their share and the arm's weight", columns, rows) if rows else None


def arms(analysis: Analysis) -> Table:
    """Return what is known of the arms, a column per arm."""
    found, metric = analysis.arms, analysis.primary.name
    covered = [next(c for c in arm.coverage if c.metric == metric) for arm in found]
    rows = [
        ("How it answers", *(arm.about for arm in found)),
        ("Weight", *(percent(arm.weight) for arm in found)),
        ("Units", *(count(arm.n_units) for arm in found)),
        (f"  with a value of {metric}", *(count(each.n_settled) for each in covered)),
        ("  that may still get one", *(count(each.n_open) for each in covered)),
        ("  silent", *(count(each.n_silent) for each in covered)),
        ("  single requests", *(count(arm.n_requests) for arm in found)),
        ("Answers", *(count(arm.n_answers) for arm in found)),
        ("  given by another arm", *(count(arm.n_crossed) for arm in found)),
    ]
    for share in found[0].shares:
        rows.append((words.METRIC_NAMES[share], *(percent(arm.shares[share]) for arm in found)))
    for mean in found[0].means:
        name = f"{words.METRIC_NAMES[mean]}, mean"
        rows.append((name, *(number(arm.means[mean]) for arm in found)))
    for quantile in found[0].latency_ms:
        name = f"Latency in ms, {quantile} % quantile"
        rows.append((name, *(number(arm.latency_ms[quantile], 3) for arm in found)))
    if any(arm.offline for arm in found):
        rows.append(("Alignment offline [interval]", *(_offline(arm.offline) for arm in found)))
    names = (arm.name + (" (control)" if arm.is_control else "") for arm in found)
    return Table("Arms", ("", *names), tuple(rows))


def revisions(analysis: Analysis) -> Table:
    """Return all revisions; weights stand in the order of the arms."""
    names = ", ".join(arm.name for arm in analysis.arms)
    columns = ("Revision", "Since", "State", f"Weights of {names}", "Traffic", "Units assigned")
    rows = tuple(
        (
            str(at.revision),
            moment(at.at_ms),
            str(at.state),
            ", ".join(percent(weight) for weight in at.weights),
            percent(at.traffic_share),
            count(at.n_units),
        )
        for at in analysis.revisions
    )
    return Table("Revisions", columns, rows)


def _offline(found: OfflineAlignment | None) -> str:
    if found is None:
        return ABSENT
    return (
        f"{number(found.estimate, 3)} [{signed(found.low)}, {signed(found.high)}]".replace("+", "")
        + f" ({found.source})"
    )
