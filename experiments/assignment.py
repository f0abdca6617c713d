"""Which arm a unit gets: a pure, versioned hash, without memory.

Every step has a hash of its own, so that none reveals anything about another: hold-out, the layer's
bucket, the share of traffic, the arm. Same definition and same unit give the same arm in every
process and on every machine. When weights change, the ranges of the arms move and some units with
them; `experiments.assigner` keeps those that were assigned before where they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from experiments.definition import N_BUCKETS, Arm, Experiment, State
from experiments.errors import OverrideRefused
from experiments.unit import Unit

# Goes into every hash. Another one moves every unit, so it changes only with the way of hashing.
HASH_VERSION = "1"
SPAN = 2**64


class Standing(StrEnum):
    """Whether a unit takes part in an experiment, and if not, why."""

    IN = "in"
    NOT_RUNNING = "not-running"
    OTHER_CULTURE = "other-culture"
    HELD_OUT = "held-out"
    OTHER_BUCKET = "other-bucket"
    OUTSIDE_TRAFFIC = "outside-traffic"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a unit gets in an experiment.

    Attributes:
        arm: the arm, None if the unit does not take part.
        overridden: whether a tester chose it; the analysis leaves such answers out.
        settled: whether the store holds it, so that no other gateway can give another one.
    """

    experiment: str
    revision: int
    standing: Standing
    arm: Arm | None = None
    overridden: bool = False
    settled: bool = False


def hash_parts(*parts: str) -> int:
    """Return an integer, uniform in [0, 2**64), that only equal parts share.

    The first eight bytes, big-endian, of the SHA-256 of the JSON list of version and parts.
    """
    text = json.dumps([HASH_VERSION, *parts], ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def assign(
    experiment: Experiment, unit: Unit, *, culture: str = "", override: str | None = None
) -> Assignment:
    """Return what `unit` gets in `experiment` by the hash alone.

    `culture` is the alpha-3 code of the request, empty if it has none. `override` names an arm,
    and goes before all but the state of the experiment.

    Raises:
        OverrideRefused: an override by a unit that is not a tester of the experiment.
        ArmUnknown: there is no arm of that name.
    """
    standing = standing_of(experiment, unit, culture=culture)
    if override is not None:
        if unit.text not in experiment.testers:
            raise OverrideRefused(experiment.name)
        chosen = experiment.arm(override)
        if standing is not Standing.NOT_RUNNING:
            return Assignment(
                experiment.name, experiment.revision, Standing.IN, chosen, overridden=True
            )
    arm = arm_of(experiment, unit) if standing is Standing.IN else None
    return Assignment(experiment.name, experiment.revision, standing, arm)


def standing_of(experiment: Experiment, unit: Unit, *, culture: str = "") -> Standing:
    """Return whether `unit` takes part in `experiment` with a request of this culture."""
    name, salt, who = experiment.name, experiment.salt, unit.text
    if experiment.state is not State.RUNNING:
        return Standing.NOT_RUNNING
    if experiment.cultures and culture not in experiment.cultures:
        return Standing.OTHER_CULTURE
    if _is_within(hash_parts("hold-out", experiment.hold_out.salt, who), experiment.hold_out.share):
        return Standing.HELD_OUT
    layer = experiment.layer
    bucket = hash_parts("layer", layer.name or f"{name}/{salt}", who) * N_BUCKETS // SPAN
    if not layer.first <= bucket <= layer.last:
        return Standing.OTHER_BUCKET
    if not _is_within(hash_parts("traffic", salt, name, who), experiment.traffic_share):
        return Standing.OUTSIDE_TRAFFIC
    return Standing.IN


def arm_of(experiment: Experiment, unit: Unit) -> Arm:
    """Return the arm whose range the unit's hash falls in; ranges follow the order of the arms."""
    place = hash_parts("arm", experiment.salt, experiment.name, unit.text)
    end = 0.0
    for arm in experiment.arms:
        end += arm.weight
        if _is_within(place, end):
            return arm
    return experiment.arms[-1]


def find_first(
    experiments: Iterable[Experiment], unit: Unit, *, culture: str = ""
) -> Experiment | None:
    """Return the first of `experiments` that the unit takes part in, None if there is none.

    An answer is given by one arm, so a unit that could be in experiments of several layers is in
    one of them. Name those first that started first: then a new one takes no unit from the others.
    """
    found = (e for e in experiments if standing_of(e, unit, culture=culture) is Standing.IN)
    return next(found, None)


def _is_within(value: int, share: float) -> bool:
    """Return whether `value` is in the first `share` of the span; all of it from 1 - 1e-9 on."""
    return share >= 1.0 - 1e-9 or value < int(share * SPAN)
