"""From the command line to the definition of an experiment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from app.errors import OptionInvalid
from cli.experiments.options import FourArms
from experiments.definition import Experiment, draft_four_arms
from experiments.definition_file import dump_experiment, parse_experiment, read_experiment
from experiments.metrics import Direction, Guardrail, Metric, MetricKind, PrimaryMetric
from survey_data.cultures import read_catalogue

DEFAULT_METRIC = "helpful"
DEFAULT_EFFECT = 0.05
GUARDRAIL_FORM = (
    "METRIC:KIND:DIRECTION:MARGIN with the kind proportion, mean, mean=0..10, rating=1..5 or "
    "quantile=0.95, such as latency_ms:quantile=0.95:lower:200"
)
WEIGHTS_FORM = "weights of arms, such as icl=0.4,plain=0.6"


def make_draft(name: str | None, file: Path | None, *, four: bool, options: FourArms) -> Experiment:
    """Return the draft in a file, under `name` if given, or one of the four ways."""
    if file is None:
        if not four:
            raise OptionInvalid("--four-arms", "neither it nor --file", "one of them")
        if name is None:
            raise OptionInvalid("NAME", "nothing", "a name for the experiment")
        return _draft(name, options)
    both = ("--four-arms",) * four + options.given
    if both:
        raise OptionInvalid("--file", f"it with {', '.join(both)}", "the file alone, or no file")
    read = read_experiment(file)
    return read if name is None else _check(replace(read, name=name))


def read_definition(file: Path, name: str) -> Experiment:
    """Return the definition in a file, which has to be of the experiment `name`."""
    read = read_experiment(file)
    if read.name != name:
        raise OptionInvalid("--file", f"the experiment '{read.name}' in it", f"'{name}'")
    return read


def reweight(experiment: Experiment, text: str) -> Experiment:
    """Return the experiment with other weights, `icl=0.4,plain=0.6`; unnamed arms keep theirs."""
    weights: dict[str, float] = {}
    for part in text.split(","):
        arm, _, share = (piece.strip() for piece in part.partition("="))
        if arm in weights:
            raise OptionInvalid("--weights", f"'{arm}' twice", "every arm once")
        weight = _parse_number("--weights", share, within=part, form=WEIGHTS_FORM)
        weights[experiment.arm(arm).name] = weight
    arms = (replace(arm, weight=weights.get(arm.name, arm.weight)) for arm in experiment.arms)
    return replace(experiment, arms=tuple(arms))


def parse_guardrail(text: str) -> Guardrail:
    """Return the guardrail that a text of the form `GUARDRAIL_FORM` describes."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != 4:
        raise OptionInvalid("--guardrail", f"'{text}'", GUARDRAIL_FORM)
    name, kind, direction, margin = parts
    if direction not in list(Direction):
        ways = " or ".join(Direction)
        raise OptionInvalid("--guardrail", f"the direction '{direction}' in '{text}'", ways)
    what, equals, value = kind.partition("=")
    if what not in list(MetricKind):
        kinds = ", ".join(MetricKind)
        raise OptionInvalid("--guardrail", f"the kind '{what}' in '{text}'", f"one of {kinds}")
    parse = partial(_parse_number, "--guardrail", within=text, form=GUARDRAIL_FORM)
    metric = Metric(name, MetricKind(what), Direction(direction))
    if equals and metric.kind is MetricKind.QUANTILE:
        metric = replace(metric, quantile=parse(value))
    elif equals:
        low, dots, high = value.partition("..")
        if not dots or metric.kind is MetricKind.PROPORTION:
            raise OptionInvalid("--guardrail", f"'{kind}' in '{text}'", GUARDRAIL_FORM)
        metric = replace(metric, lowest=parse(low), highest=parse(high))
    return Guardrail(metric, parse(margin))


def _draft(name: str, options: FourArms) -> Experiment:
    kind = options.kind or MetricKind.PROPORTION
    measured, direction = options.metric or DEFAULT_METRIC, options.direction or Direction.HIGHER
    metric = Metric(measured, kind, direction, options.quantile, options.lowest, options.highest)
    effect = options.smallest_effect
    if effect is None and kind is not MetricKind.PROPORTION:
        expected = f"the least difference of '{metric.name}' worth having, in its units"
        raise OptionInvalid("--smallest-effect", "nothing", expected)
    primary = PrimaryMetric(metric, DEFAULT_EFFECT if effect is None else effect)
    draft = draft_four_arms(
        name,
        primary,
        hypothesis=options.hypothesis or "",
        with_estimate=bool(options.estimate),
    )
    guardrails = tuple(map(parse_guardrail, options.guardrails))
    cultures = read_catalogue().codes(options.cultures)
    return _check(replace(draft, guardrails=guardrails, cultures=cultures))


def _check(experiment: Experiment) -> Experiment:
    """Return the experiment as if read from a file, with all the checks made there."""
    return parse_experiment(dump_experiment(experiment), f"experiment '{experiment.name}'")


def _parse_number(option: str, text: str, *, within: str, form: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise OptionInvalid(option, f"'{text}' in '{within}'", form) from exc
