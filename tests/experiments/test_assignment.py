"""Assignment is a pure hash: pinned by a table, uniform, independent; overrides are for testers."""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.assignment import (
    SPAN,
    Standing,
    arm_of,
    assign,
    find_first,
    hash_parts,
    standing_of,
)
from experiments.definition import (
    Arm,
    Experiment,
    HoldOut,
    Layer,
    State,
    check_together,
    revise,
)
from experiments.errors import ArmUnknown, LayerOverlap, OverrideRefused
from experiments.unit import Unit, UnitKind
from tests.experiments.events import an_experiment

CASES = Path(__file__).parent / "assignment_cases.csv"
N_UNITS = 20_000
# A standard normal value is further from 0 once in half a million times.
Z = 5.0


def users(n: int = N_UNITS) -> list[Unit]:
    return [Unit(UnitKind.USER, f"user-{i}") for i in range(n)]


def weighted(experiment: Experiment, *weights: float) -> tuple[Arm, ...]:
    pairs = zip(experiment.arms, weights, strict=True)
    return tuple(replace(arm, weight=weight) for arm, weight in pairs)


def from_case(case: dict[str, str]) -> tuple[Experiment, Unit]:
    experiment = an_experiment(
        name=case["experiment"],
        salt=case["salt"],
        traffic_share=float(case["traffic_share"]),
        hold_out=HoldOut(float(case["hold_out"])),
        layer=Layer(case["layer"], int(case["first"]), int(case["last"])),
    )
    weights = map(float, case["weights"].split())
    experiment = replace(experiment, arms=weighted(experiment, *weights))
    return experiment, Unit(UnitKind(case["kind"]), case["unit"].encode().decode("unicode_escape"))


def cases() -> list[dict[str, str]]:
    with CASES.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['experiment']}-{case['unit']}")
def test_assignment_is_pinned(case: dict[str, str]) -> None:
    """A change here moves the units of every experiment that runs somewhere."""
    found = assign(*from_case(case))

    assert found.standing == case["standing"]
    assert (found.arm.name if found.arm else "") == case["arm"]


def test_the_table_has_every_standing_and_every_arm() -> None:
    table = cases()
    assert len(table) >= 40
    assert {case["arm"] for case in table} == {"", "plain", "icl", "adapter", "adapter+icl"}
    assert {case["standing"] for case in table} == {
        Standing.IN,
        Standing.HELD_OUT,
        Standing.OTHER_BUCKET,
        Standing.OUTSIDE_TRAFFIC,
    }


def test_the_hash_is_the_start_of_a_sha256() -> None:
    # printf '["1","arm","","ways","user:a"]' | sha256sum
    assert hash_parts("arm", "", "ways", "user:a") == 0xE92799EEC56F1270


@pytest.mark.parametrize(
    "weights", [(0.25, 0.25, 0.25, 0.25), (0.7, 0.1, 0.1, 0.1), (0.01, 0.33, 0.33, 0.33)]
)
def test_arms_get_their_weights(weights: tuple[float, ...]) -> None:
    base = an_experiment()
    experiment = replace(base, arms=weighted(base, *weights))

    found = Counter(arm_of(experiment, unit).name for unit in users())

    for arm in experiment.arms:
        deviation = (N_UNITS * arm.weight * (1.0 - arm.weight)) ** 0.5
        assert abs(found[arm.name] - N_UNITS * arm.weight) < Z * deviation


def test_the_hash_is_uniform() -> None:
    # Of uniform values in [0, 1): mean 1/2, variance 1/12, so the mean of n strays by 1/sqrt(12 n).
    values = [hash_parts("arm", "", "ways", unit.text) / SPAN for unit in users()]
    assert abs(statistics.fmean(values) - 0.5) < Z / (12 * N_UNITS) ** 0.5
    tenths = Counter(int(value * 10) for value in values)
    # Chi-squared with 9 degrees of freedom exceeds 45 once in a million times.
    expected = N_UNITS / 10
    assert sum((tenths[i] - expected) ** 2 / expected for i in range(10)) < 45.0


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"salt": "s"}], ids=["another name", "another salt"]
)
def test_experiments_assign_independently(change: dict[str, Any]) -> None:
    one, other = an_experiment(), an_experiment(**change)

    pairs = Counter((arm_of(one, unit).name, arm_of(other, unit).name) for unit in users())

    # Sixteen pairs, 1,250 units each; chi-squared with 15 degrees of freedom, once in a million.
    expected = N_UNITS / 16
    assert (
        sum((pairs[a, b] - expected) ** 2 / expected for a in one.arm_names for b in one.arm_names)
        < 58.0
    )


def test_who_is_in_says_nothing_about_the_arm() -> None:
    experiment = an_experiment(traffic_share=0.5, hold_out=HoldOut(0.2), layer=Layer("l", 0, 499))
    inside = [unit for unit in users() if standing_of(experiment, unit) is Standing.IN]

    found = Counter(arm_of(experiment, unit).name for unit in inside)

    assert abs(len(inside) - N_UNITS * 0.2) < Z * (N_UNITS * 0.2 * 0.8) ** 0.5
    expected = len(inside) / 4
    assert sum((found[name] - expected) ** 2 / expected for name in found) < 30.0


def test_more_traffic_takes_nobody_out_or_to_another_arm() -> None:
    small = an_experiment(traffic_share=0.1)
    large = revise(small, replace(small, traffic_share=0.6))

    for unit in users(3000):
        before, after = assign(small, unit), assign(large, unit)
        if before.arm is not None:
            assert after.arm == before.arm


def test_a_change_of_weights_moves_no_more_than_the_ranges_do() -> None:
    one = an_experiment()
    other = replace(one, arms=weighted(one, 0.35, 0.15, 0.25, 0.25))

    moved = [unit for unit in users() if arm_of(one, unit).name != arm_of(other, unit).name]

    # Only the border between the first two arms moves, by a tenth of the span.
    assert {(arm_of(one, unit).name, arm_of(other, unit).name) for unit in moved} == {
        ("icl", "plain")
    }
    assert abs(len(moved) - N_UNITS * 0.1) < Z * (N_UNITS * 0.1 * 0.9) ** 0.5


def test_experiments_of_one_layer_share_no_unit() -> None:
    one = an_experiment(layer=Layer("answers", 0, 299))
    other = an_experiment(name="other", layer=Layer("answers", 300, 999))

    found = Counter(
        (standing_of(one, unit) is Standing.IN, standing_of(other, unit) is Standing.IN)
        for unit in users()
    )

    assert found.keys() == {(True, False), (False, True)}
    check_together(one, other)


def test_overlapping_ranges_of_one_layer_are_refused() -> None:
    one = an_experiment(layer=Layer("answers", 0, 300))
    other = an_experiment(name="other", layer=Layer("answers", 300, 999))

    with pytest.raises(
        LayerOverlap, match=r"'ways' and 'other' in overlapping ranges \(0-300, 300"
    ):
        check_together(one, other)
    check_together(one, replace(other, layer=Layer("else")))
    check_together(an_experiment(), an_experiment(name="other"))


def test_the_same_units_are_held_out_of_all_experiments() -> None:
    one = an_experiment(hold_out=HoldOut(0.05))
    other = an_experiment(name="other", salt="s", hold_out=HoldOut(0.1))

    held = [
        {unit.name for unit in users() if standing_of(each, unit) is Standing.HELD_OUT}
        for each in (one, other)
    ]

    assert held[0] < held[1]
    assert abs(len(held[0]) - N_UNITS * 0.05) < Z * (N_UNITS * 0.05 * 0.95) ** 0.5


def test_other_cultures_do_not_take_part() -> None:
    experiment, unit = an_experiment(cultures=("DEU", "BRA")), Unit(UnitKind.USER, "a")

    assert assign(experiment, unit, culture="DEU").standing is Standing.IN
    assert (
        assign(experiment, unit, culture="BRA").arm == assign(experiment, unit, culture="DEU").arm
    )
    assert assign(experiment, unit, culture="NGA").standing is Standing.OTHER_CULTURE
    assert assign(experiment, unit).standing is Standing.OTHER_CULTURE


@pytest.mark.parametrize("state", [State.DRAFT, State.STOPPED, State.DECIDED])
def test_only_running_experiments_assign(state: State) -> None:
    found = assign(an_experiment(state=state), Unit(UnitKind.USER, "a"))
    assert (found.standing, found.arm) == (Standing.NOT_RUNNING, None)


def test_a_tester_chooses_an_arm_and_it_is_marked() -> None:
    experiment = an_experiment(testers=("user:qa-1",), traffic_share=0.001, cultures=("DEU",))
    tester = Unit(UnitKind.USER, "qa-1")

    for name in experiment.arm_names:
        found = assign(experiment, tester, override=name)
        assert (found.arm, found.overridden) == (experiment.arm(name), True)
    with pytest.raises(ArmUnknown, match="found arm 'nope', expected one of: plain, icl"):
        assign(experiment, tester, override="nope")
    stopped = assign(replace(experiment, state=State.STOPPED), tester, override="icl")
    assert stopped.standing is Standing.NOT_RUNNING


@pytest.mark.parametrize("kind", UnitKind)
def test_nobody_else_chooses_an_arm(kind: UnitKind) -> None:
    experiment = an_experiment(testers=("user:qa-1",))
    with pytest.raises(OverrideRefused):
        assign(
            experiment, Unit(kind, "qa-1" if kind is not UnitKind.USER else "qa-2"), override="icl"
        )


def test_a_unit_is_in_the_first_experiment_that_takes_it() -> None:
    one, other = an_experiment(traffic_share=0.5), an_experiment(name="other")

    found = Counter(first.name for unit in users(2000) if (first := find_first([one, other], unit)))

    assert abs(found["ways"] - 1000) < Z * 500**0.5
    assert found["other"] == 2000 - found["ways"]
    assert find_first([], Unit(UnitKind.USER, "a")) is None
