"""An experiment: what is compared, on which units, by which metrics, and what may change when.

An `Experiment` never changes. A change is another one with the next revision, made by `revise`
or `change_state`, which refuse what would make measurements incomparable.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from estimation.source import AnswerFrom
from experiments import errors
from experiments.metrics import Guardrail, Metric, PrimaryMetric
from experiments.statistics.units import UnitValue
from prompting.recipe import Method, Recipe

# The bounds of fields are checked when a definition is read; see `experiments.definition_file`.
N_BUCKETS = 1000
WEIGHT_TOLERANCE = 1e-9
# The "arm" of units that no experiment touches.
HOLD_OUT_ARM = "hold-out"
DAY_S = 86_400.0
# How the model is asked by an arm that answers from elsewhere, where that needs it.
ASKED_BY = Method.ICL


class State(StrEnum):
    """Where an experiment is; it only ever goes forward."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    DECIDED = "decided"

    @property
    def next_states(self) -> list[State]:
        """The states that can follow."""
        order = list(State)
        return order[order.index(self) + 1 :][:1]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How free text is drawn; None leaves it to the request."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of an experiment: its name and weight there, and how it answers.

    Attributes:
        weight: share of the units of the experiment, in (0, 1].
        model: the base model to ask, empty for the one that the service has.
        answer_from: what an answer with options stands on. By any other than `model` the recipe
            says how the model is asked where that source needs it.
    """

    name: str
    weight: float
    recipe: Recipe
    model: str = ""
    decoding: Decoding = Decoding()
    answer_from: AnswerFrom = AnswerFrom.MODEL

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that the id of an experiment is made of."""
        said = asdict(self) | {"recipe": self.recipe.identity}
        # Ids stay what they were when every arm answered by the model.
        if self.answer_from is AnswerFrom.MODEL:
            del said["answer_from"]
        return said

    @property
    def id(self) -> str:
        """Ten hexadecimal digits that say how it answers; `Recipe.id` if that says it all."""
        parts = [self.recipe.id, self.model, asdict(self.decoding)]
        if self.answer_from is not AnswerFrom.MODEL:
            parts.append(self.answer_from)
        elif not self.model and self.decoding == Decoding():
            return self.recipe.id
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class Layer:
    """Buckets `first` to `last` (0 to 999, both included) of a layer.

    Experiments in ranges apart of one layer never share a unit. Without a name, the experiment
    has a layer to itself.
    """

    name: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9._-]{0,62})?$")] = ""
    first: Annotated[int, Field(ge=0, lt=N_BUCKETS)] = 0
    last: Annotated[int, Field(ge=0, lt=N_BUCKETS)] = N_BUCKETS - 1

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError("'first' at most 'last'")

    def overlaps(self, other: Layer) -> bool:
        """Return whether some unit is in both; layers without a name share nothing."""
        is_same = bool(self.name) and self.name == other.name
        return is_same and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class HoldOut:
    """The share of all units, in [0, 1), that is left alone for good.

    Experiments of one salt leave the same units alone, and run together with one share only.
    """

    share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    salt: Annotated[str, Field(min_length=1, max_length=64)] = "hold-out"


@dataclass(frozen=True, slots=True)
class Experiment:
    """One revision of an experiment.

    Attributes:
        arms: in the order of the file, which decides the ranges of the hash: it never changes.
        traffic_share: share of the units within the layer's range that take part, in (0, 1].
        cultures: alpha-3 codes it applies to; empty for all.
        outcome_window_s: how long after an answer its outcomes count.
        unit_value: what a unit counts with. `first` settles at the first outcome in its window;
            `mean` and `sum` say nothing about a unit before its window is over.
        max_duration_s: the longest it is planned to run.
        alpha: the error rate of all looks together, in (0, 1).
        salt: another one makes other assignments under the same name.
        testers: texts of units (`user:qa-1`) that may choose their arm.
        decision: what was decided, in words; for the state `decided`.
    """

    name: str
    hypothesis: str
    primary: PrimaryMetric
    arms: tuple[Arm, ...]
    control: str
    guardrails: tuple[Guardrail, ...] = ()
    traffic_share: float = 1.0
    cultures: tuple[str, ...] = ()
    layer: Layer = Layer()
    hold_out: HoldOut = HoldOut()
    outcome_window_s: float = 7 * DAY_S
    unit_value: UnitValue = "first"
    max_duration_s: float = 28 * DAY_S
    alpha: float = 0.05
    salt: str = ""
    testers: tuple[str, ...] = ()
    decision: str = ""
    state: State = State.DRAFT
    revision: int = 1

    def __post_init__(self) -> None:
        _check_arms(self)

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits over all but the revision."""
        content = asdict(self)
        del content["revision"]
        content["arms"] = [arm.identity for arm in self.arms]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def arm_names(self) -> tuple[str, ...]:
        """The names of the arms, in their order."""
        return tuple(arm.name for arm in self.arms)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The primary metric, then those of the guardrails."""
        return (self.primary.metric, *(guardrail.metric for guardrail in self.guardrails))

    @property
    def sent_metrics(self) -> tuple[Metric, ...]:
        """The metrics that outcomes carry; Milieu records the others itself."""
        return tuple(metric for metric in self.metrics if not metric.is_recorded)

    def arm(self, name: str) -> Arm:
        """Return the arm of that name.

        Raises:
            ArmUnknown: there is none.
        """
        if name not in self.arm_names:
            raise errors.ArmUnknown(self.name, name, self.arm_names)
        return self.arms[self.arm_names.index(name)]


def _check_arms(experiment: Experiment) -> None:
    names, weights = experiment.arm_names, [arm.weight for arm in experiment.arms]
    listed, total = ", ".join(names), sum(weights)
    above_0 = "weights above 0; leave out an arm that nobody should get"
    checks = (
        (len(names) < 2, "arms", f"{len(names)}", "2 or more"),
        (len(set(names)) < len(names), "arms", listed, "names that differ"),
        (HOLD_OUT_ARM in names, "arms", f"'{HOLD_OUT_ARM}'", "a name that is not reserved"),
        (experiment.control not in names, "control", f"'{experiment.control}'", f"one of {listed}"),
        (
            not min(weights, default=0.0) > 0,
            "weights",
            ", ".join(f"{w:g}" for w in weights),
            above_0,
        ),
        (
            not abs(total - 1.0) <= WEIGHT_TOLERANCE,
            "weights",
            f"a sum of {total:.10g}",
            "a sum of 1",
        ),
    )
    for is_wrong, field, found, expected in checks:
        if is_wrong:
            place = f"experiment '{experiment.name}'"
            raise errors.DefinitionInvalid(place, field=field, found=found, expected=expected)


# What a running experiment may change. Weights: recorded assignments win over them, so no unit
# moves. Traffic: it may only grow, which takes units in and none out. Arms, metrics, alpha, window,
# unit value and hypothesis were promised before the first look; layer, hold-out, salt and cultures
# decide who is in. Testers are left out of the analysis, and any duration is sound under continuous
# looking.
_WHILE_RUNNING = ("weights", "traffic_share (up)", "max_duration_s", "testers")


def revise(current: Experiment, wanted: Experiment) -> Experiment:
    """Return `wanted` as the revision after `current`, in the same state.

    Raises:
        ChangeRefused: the state does not allow one of the changes, or the name differs.
    """
    new = replace(wanted, revision=current.revision + 1, state=current.state)
    if new.name != current.name:
        _refuse(current, "name", "the same name")
    if current.state is State.DRAFT:
        return new
    changes = _list_changes(current, new)
    if current.state is not State.RUNNING:
        _refuse(current, next(iter(changes), "state"), "no change but its next state")
    for name in changes:
        if name == "arms" and _drop_weights(current) == _drop_weights(new):
            continue
        if name == "traffic_share" and new.traffic_share > current.traffic_share:
            continue
        if name not in ("max_duration_s", "testers"):
            _refuse(current, name, "a change of " + ", ".join(_WHILE_RUNNING) + " only")
    return new


def change_state(current: Experiment, state: State, *, decision: str = "") -> Experiment:
    """Return the revision after `current`, in `state`.

    Raises:
        TransitionRefused: that state does not follow.
    """
    if state not in current.state.next_states:
        raise errors.TransitionRefused(
            current.name, state=current.state, wanted=state, allowed=current.state.next_states
        )
    said = decision if state is State.DECIDED else current.decision
    return replace(current, state=state, revision=current.revision + 1, decision=said)


def _list_changes(current: Experiment, new: Experiment) -> list[str]:
    names = (each.name for each in fields(Experiment) if each.name not in ("revision", "state"))
    return [name for name in names if getattr(current, name) != getattr(new, name)]


def _drop_weights(experiment: Experiment) -> tuple[Arm, ...]:
    return tuple(replace(arm, weight=1.0) for arm in experiment.arms)


def _refuse(current: Experiment, name: str, expected: str) -> None:
    raise errors.ChangeRefused(current.name, field=name, state=current.state, expected=expected)


def check_together(one: Experiment, other: Experiment) -> None:
    """Check that two experiments can run at the same time.

    Raises:
        LayerOverlap: both want the same units of one layer.
        HoldOutDiffers: a unit that one holds out is in the other, although they share a salt.
    """
    if one.layer.overlaps(other.layer):
        ranges = ", ".join(f"{each.layer.first}-{each.layer.last}" for each in (one, other))
        raise errors.LayerOverlap(one.layer.name, one.name, other.name, ranges=ranges)
    mine, theirs = one.hold_out, other.hold_out
    if mine.salt == theirs.salt and mine.share != theirs.share:
        raise errors.HoldOutDiffers(
            other.name, found=theirs.share, expected=mine.share, of=one.name
        )


def draft_four_arms(
    name: str, primary: PrimaryMetric, *, hypothesis: str = "", with_estimate: bool = False
) -> Experiment:
    """Return the draft that compares `plain` (control), `icl`, `adapter` and `adapter+icl`.

    `with_estimate` adds a fifth arm, `estimate`, that answers by the best source.
    """
    methods = (Method.PLAIN, Method.ICL, Method.ADAPTER, Method.ADAPTER_ICL)
    weight = 1.0 / (len(methods) + with_estimate)
    arms = [
        Arm(str(method), weight, Recipe(method, adapter=method.usual_adapter)) for method in methods
    ]
    if with_estimate:
        arms.append(Arm("estimate", weight, Recipe(ASKED_BY), answer_from=AnswerFrom.AUTO))
    return Experiment(
        name=name,
        hypothesis=hypothesis or "Some way of showing a culture does better than showing none.",
        primary=primary,
        arms=tuple(arms),
        control=str(Method.PLAIN),
    )
