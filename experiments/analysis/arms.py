"""What each arm is, and what came of its answers: descriptive, without a test or a guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from estimation.source import AnswerFrom
from experiments.analysis.reading import Derived, Events, Series
from experiments.analysis.result import ArmFigures, Coverage, OfflineAlignment, SourceCount
from experiments.analysis.samples import UnitSample, measure_level
from experiments.definition import Arm
from experiments.stores.columns import SOURCES
from prompting.recipe import NO_ADAPTER, PromptLanguage
from survey_data.arrays import Floats

LATENCY_QUANTILES = (0.5, 0.9, 0.99)
SHARES = ("fell_back", "refused", "unreadable", "failed")
MEANS = ("n_prompt_tokens", "n_reply_tokens", "label_mass", "alignment")


_ANSWERS_FROM = {
    AnswerFrom.AUTO: "the best source",
    AnswerFrom.SURVEY: "the people's own figures, else the best source",
    AnswerFrom.TABLES: "an estimate from the surveys, else the best source",
}


def measure_arms(
    events: Events, samples: Mapping[str, UnitSample], offline: Mapping[str, OfflineAlignment]
) -> tuple[ArmFigures, ...]:
    """Return the arms, in their order. Answers count in the arm that their unit was assigned."""
    arms = events.experiment.arms
    return tuple(
        _measure_arm(events, samples, arm, place, offline.get(arm.name))
        for place, arm in enumerate(arms)
    )


def _measure_arm(
    events: Events,
    samples: Mapping[str, UnitSample],
    arm: Arm,
    place: int,
    offline: OfflineAlignment | None,
) -> ArmFigures:
    of_arm = events.units.arm == place

    def values(series: Series) -> Floats:
        found = events.values[series]
        return np.asarray(found.value[of_arm[found.unit]])

    latency = values("latency_ms")
    return ArmFigures(
        name=arm.name,
        about=describe_arm(arm),
        weight=arm.weight,
        is_control=arm.name == events.experiment.control,
        n_units=int(of_arm.sum()),
        n_requests=int((of_arm & events.units.is_request).sum()),
        n_answers=values("failed").size,
        n_crossed=int(values(Derived.CROSSED).sum()),
        coverage=tuple(
            Coverage(
                metric=metric,
                n_settled=int(of_arm[sample.units].sum()),
                n_open=int(sample.n_open[place]),
                n_silent=int(sample.n_silent[place]),
            )
            for metric, sample in samples.items()
        ),
        shares={Derived.STEERED.value: measure_level(values(Derived.STEERED))}
        | {metric: measure_level(values(metric)) for metric in SHARES},
        means={metric: measure_level(values(metric)) for metric in MEANS},
        latency_ms={f"{100.0 * q:g}": measure_level(latency, q) for q in LATENCY_QUANTILES},
        offline=offline,
        sources=count_sources(values(Derived.SOURCE), values(Derived.BEST_SOURCE)),
        n_model_asked=int(values(Derived.MODEL_ASKED).sum()),
    )


def count_sources(source: Floats, best_source: Floats) -> tuple[SourceCount, ...]:
    """Return how many answers stand on each of `SOURCES`, given by their indices; none of none."""
    counts = (
        np.bincount(of.astype(np.int64), minlength=len(SOURCES)).tolist()
        for of in (source, best_source)
    )
    rows = zip(SOURCES, *counts, strict=True)
    found = (SourceCount(source=name, n_answers=n, n_best=best) for name, n, best in rows)
    return tuple(each for each in found if each.n_answers or each.n_best)


def describe_arm(arm: Arm) -> str:
    """Return how an arm answers, in words."""
    recipe = arm.recipe
    said = [f"method {recipe.method}"]
    if arm.answer_from is not AnswerFrom.MODEL:
        said = [f"{_ANSWERS_FROM[arm.answer_from]}; where it needs the model: {said[0]}"]
    if recipe.method.shows_exemplars:
        said.append(f"{recipe.k} exemplars ({recipe.style}, {recipe.retriever})")
        if recipe.n_elsewhere:
            said.append(f"the same question answered in {recipe.n_elsewhere} other cultures")
    if recipe.prompt_language is not PromptLanguage.EN:
        said.append(f"prompt language {recipe.prompt_language}")
    if recipe.n_orders > 1:
        said.append(f"{recipe.n_orders} orders of options")
    if recipe.adapter != NO_ADAPTER:
        said.append(f"adapter {recipe.adapter}")
    if arm.model:
        said.append(f"model {arm.model}")
    drawn = asdict(arm.decoding).items()
    said += [f"{name} {value:g}" for name, value in drawn if value is not None]
    return ", ".join(said)
