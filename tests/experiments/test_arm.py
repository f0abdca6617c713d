"""Arms are told apart by everything that decides an answer."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from experiments.arm import Arm, ArmMethod
from prompting.messages import ExemplarStyle, Method
from retrieval.selector_name import SelectorName

ARM = Arm(ArmMethod.ICL, 5, ExemplarStyle.SHARES, SelectorName.DENSE)


def test_equal_arms_have_one_id() -> None:
    assert ARM.id == replace(ARM).id
    assert len(ARM.id) == 10
    assert int(ARM.id, 16) >= 0


def test_the_id_is_the_same_in_every_process() -> None:
    # sha256 of {"adapter": "none", "k": 5, "method": "icl", "n_orders": 1, "retriever": "dense",
    # "style": "shares"}
    assert ARM.id == "bdbf9f9ebc"


@pytest.mark.parametrize(
    "change",
    [
        {"method": ArmMethod.PERSONA},
        {"k": 4},
        {"style": ExemplarStyle.MODE},
        {"retriever": SelectorName.CHRF},
        {"n_orders": 2},
        {"adapter": "auto"},
    ],
)
def test_every_part_changes_the_id(change: dict[str, Any]) -> None:
    assert replace(ARM, **change).id != ARM.id


def test_an_arm_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ARM.k = 3  # type: ignore[misc]  # that is what is tested


def test_every_prompt_method_is_a_method_of_an_arm() -> None:
    prompts = [method.value for method in Method]

    assert [method.value for method in ArmMethod if not method.needs_adapter] == prompts
    assert all(ArmMethod(value).prompt == value for value in prompts)


def test_an_adapter_is_asked_as_it_was_trained() -> None:
    assert ArmMethod.ADAPTER.prompt is Method.PERSONA
    assert ArmMethod.ADAPTER_ICL.prompt is Method.PERSONA_ICL
