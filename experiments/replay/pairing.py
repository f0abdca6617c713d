"""From the answers of a replay to means and paired differences with their intervals.

A pair is one request, a question to a culture, answered by an arm and by control. What is claimed
is about questions: those that were asked stand for others like them. Answers to one question for
several cultures are alike, so a question counts once, with the mean over its cultures, and the
intervals are Student's t over questions. Each is valid at one look at a set that was fixed in
advance: no confidence sequences, and no correction for multiple comparisons over arms, metrics and
cultures.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from experiments.analysis.arms import count_sources, describe_arm
from experiments.analysis.result import SourceCount, Span
from experiments.definition import Arm, Experiment
from experiments.metrics import RECORDED_METRICS
from experiments.replay import result
from experiments.replay.rows import ReplayRow
from experiments.stores.columns import SOURCES

# What a replay is for comes first. Failures are counted apart, with their reasons.
METRICS = ("alignment", *(m for m in RECORDED_METRICS if m not in ("alignment", "failed")))
_UNBOUNDED = ("latency_ms", "n_prompt_tokens", "n_reply_tokens")
# The rows of one request, by arm.
RequestRows = Mapping[str, ReplayRow]
# A question and a value of it.
Value = tuple[str, float]


def summarise_replay(
    rows: Iterable[ReplayRow],
    experiment: Experiment,
    *,
    made_ms: int,
    source: str,
    model: str,
    seed: int,
    n_planned: int,
    notes: Sequence[str] = (),
    cultures: Mapping[str, str] | None = None,
) -> result.Replay:
    """Return what the rows say of the arms of `experiment`.

    Left out are requests that were not asked of every arm, because the run ended before, and
    metrics that no answer has. A failed answer is in no pair. `cultures` are names by code.
    """
    asked, control = _group_requests(rows, experiment), experiment.control
    known = [metric for metric in METRICS if _is_known(asked, metric)]
    shown = [[row.shown for row in by_arm.values() if row.shown] for by_arm in asked]
    several = [each for each in shown if len(each) > 1]
    return result.Replay(
        experiment=experiment.name,
        definition_id=experiment.id,
        made_ms=made_ms,
        source=source,
        notes=tuple(notes),
        model=model,
        seed=seed,
        control=control,
        n_planned=n_planned,
        n_requests=len(asked),
        n_questions=len({row.question for by_arm in asked for row in by_arm.values()}),
        arms=tuple(_summarise_arm(asked, arm, control, known) for arm in experiment.arms),
        cultures=_summarise_cultures(asked, experiment, cultures or {}),
        n_shown=len(several),
        same_shown=float(np.mean([len(set(e)) == 1 for e in several])) if several else None,
        failures=_count_reasons(asked, experiment, "failed"),
        fallbacks=_count_reasons(asked, experiment, "because"),
    )


def estimate_mean(
    values: Sequence[Value], *, lowest: float = -math.inf, highest: float = math.inf
) -> result.MeanEstimate:
    """Return the mean of the questions' means, and its 95 % interval by Student's t over questions.

    The interval ends where the values do, at `lowest` and `highest`. Without a value there is no
    estimate, and with one question no interval. If no two questions differ, the interval has no
    width: that is all that these questions say.
    """
    by_question: dict[str, list[float]] = defaultdict(list)
    for question, value in values:
        by_question[question].append(value)
    means = np.array([math.fsum(group) / len(group) for group in by_question.values()])
    n = len(means)
    mean = float(means.mean()) if n else None
    span = Span(estimate=mean, low=None, high=None)
    if mean is not None and n > 1:
        reach = float(stdtrit(n - 1, 1.0 - result.ALPHA / 2) * means.std(ddof=1) / math.sqrt(n))
        low, high = max(mean - reach, lowest), min(mean + reach, highest)
        span = Span(estimate=mean, low=low, high=high)
    return result.MeanEstimate(span=span, n=len(values), n_questions=n)


def _group_requests(rows: Iterable[ReplayRow], experiment: Experiment) -> list[RequestRows]:
    requests: dict[tuple[str, str], dict[str, ReplayRow]] = defaultdict(dict)
    arms = set(experiment.arm_names)
    for row in rows:
        requests[row.request, row.culture][row.arm] = row
    # Sorted, because answers come in any order and sums depend on it.
    return [requests[key] for key in sorted(requests) if requests[key].keys() == arms]


def _is_known(asked: Sequence[RequestRows], metric: str) -> bool:
    return any(row.value(metric) is not None for by_arm in asked for row in by_arm.values())


def _level(asked: Iterable[RequestRows], arm: str, metric: str) -> result.MeanEstimate:
    rows = (by_arm[arm] for by_arm in asked)
    found = [(row.question, value) for row in rows if (value := row.value(metric)) is not None]
    return estimate_mean(found, lowest=0.0, highest=_highest(metric))


def _difference(
    asked: Iterable[RequestRows], arm: str, control: str, metric: str
) -> result.MeanEstimate:
    found = []
    for by_arm in asked:
        treated, untreated = by_arm[arm].value(metric), by_arm[control].value(metric)
        if treated is not None and untreated is not None:
            found.append((by_arm[arm].question, treated - untreated))
    return estimate_mean(found, lowest=-_highest(metric), highest=_highest(metric))


def _highest(metric: str) -> float:
    """Return what no value of a recorded metric is above; none is below 0."""
    return math.inf if metric in _UNBOUNDED else 1.0


def _summarise_arm(
    asked: Sequence[RequestRows], arm: Arm, control: str, metrics: Sequence[str]
) -> result.ArmReplay:
    rows = [by_arm[arm.name] for by_arm in asked]
    is_control = arm.name == control
    return result.ArmReplay(
        name=arm.name,
        id=arm.id,
        about=describe_arm(arm),
        is_control=is_control,
        n_answers=sum(not row.failed for row in rows),
        n_failed=sum(bool(row.failed) for row in rows),
        n_shown=sum(bool(row.shown) for row in rows),
        levels={metric: _level(asked, arm.name, metric) for metric in metrics},
        differences={}
        if is_control
        else {metric: _difference(asked, arm.name, control, metric) for metric in metrics},
        sources=_count_sources([row for row in rows if not row.failed]),
        n_model_asked=sum(bool(row.model_asked) for row in rows if not row.failed),
    )


def _count_sources(rows: Sequence[ReplayRow]) -> tuple[SourceCount, ...]:
    places = {source: place for place, source in enumerate(SOURCES)}
    stood, best = (
        np.array([places[name] for row in rows if (name := getattr(row, field))], np.float64)
        for field in ("source", "best_source")
    )
    return count_sources(stood, best)


def _summarise_cultures(
    asked: Sequence[RequestRows], experiment: Experiment, names: Mapping[str, str]
) -> tuple[result.CultureReplay, ...]:
    by_code: dict[str, list[RequestRows]] = defaultdict(list)
    for by_arm in asked:
        by_code[by_arm[experiment.control].culture].append(by_arm)
    arms = experiment.arm_names
    return tuple(
        result.CultureReplay(
            culture=code,
            name=names.get(code, code),
            levels={arm: _level(by_code[code], arm, "alignment") for arm in arms},
            differences={
                arm: _difference(by_code[code], arm, experiment.control, "alignment")
                for arm in arms
                if arm != experiment.control
            },
        )
        for code in sorted(by_code)
        if _is_known(by_code[code], "alignment")
    )


def _count_reasons(
    asked: Sequence[RequestRows], experiment: Experiment, field: Literal["failed", "because"]
) -> tuple[result.ReplayReason, ...]:
    said = ((row.arm, getattr(row, field)) for by_arm in asked for row in by_arm.values())
    counts = Counter((arm, reason) for arm, reason in said if reason)
    order = {arm: place for place, arm in enumerate(experiment.arm_names)}
    ranked = sorted(counts.items(), key=lambda each: (order[each[0][0]], -each[1], each[0][1]))
    return tuple(result.ReplayReason(arm=arm, reason=reason, n=n) for (arm, reason), n in ranked)
