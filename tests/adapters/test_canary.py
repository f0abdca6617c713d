from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from adapters.canary import (
    TOLERANCE_NAT,
    check_effect,
    list_prompts,
    make_canary_prompts,
    measure,
    measure_difference_nat,
)
from adapters.errors import AdapterFault, AdapterRefused
from adapters.manifest import Canary
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from survey_data.cultures import read_catalogue

CANARIES = make_canary_prompts()

BASE = [[-1.0, -2.0], [-0.5, -3.0]]
TUNED = [[-1.0, -2.0], [-0.5, -2.0]]
NOISY = [[-1.06, -1.95], [-0.45, -3.0]]
MESSAGES = (Message("user", "1 or 2?"),)
RECORDED = tuple(
    Canary(MESSAGES, ("1", "2"), tuple(base), tuple(tuned))
    for base, tuned in zip(BASE, TUNED, strict=True)
)


class Server:
    """Answers as told, by the model's name."""

    def __init__(
        self, values: dict[str, float], *, labels: LabelScheme = LabelScheme.NUMBERS
    ) -> None:
        self.values, self.labels = values, labels

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme:
        return self.labels

    async def score(
        self, model: str, messages: Sequence[Message], labels: Sequence[str]
    ) -> Sequence[float]:
        return [self.values[model]] * len(labels)


def reason_of(
    base: list[list[float]], adapter: list[list[float]], recorded: Sequence[Canary] | None = None
) -> AdapterFault:
    with pytest.raises(AdapterRefused) as caught:
        check_effect(base, adapter, recorded)
    return caught.value.reason


def test_the_fixed_prompts_are_plain_survey_questions() -> None:
    assert len(CANARIES) == 3
    assert all(prompt.messages[0].role == "system" for prompt in CANARIES)
    assert CANARIES[0].labels == ("1", "2", "3", "4")
    assert not any("cultural background" in prompt.messages[0].content for prompt in CANARIES)


def test_cultures_add_their_personas() -> None:
    catalogue = read_catalogue()

    prompts = make_canary_prompts([catalogue["DEU"], catalogue["JPN"]])

    assert prompts[:3] == CANARIES
    assert ["German" in p.messages[0].content for p in prompts[3:]] == [True] * 3 + [False] * 3


def test_the_prompts_of_many_cultures_are_few() -> None:
    assert len(make_canary_prompts(read_catalogue())) == 15


@pytest.mark.parametrize(
    ("adapter", "expected"), [(BASE, False), (NOISY, False), (TUNED, True), ([], False)]
)
def test_a_difference_is_more_than_noise(adapter: list[list[float]], expected: bool) -> None:
    largest = measure_difference_nat(BASE if adapter else [], adapter)

    assert (largest > TOLERANCE_NAT) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (-math.inf, -math.inf, 0.0),
        (-math.inf, -1.0, math.inf),
        (math.nan, -1.0, math.inf),
        (-1.0, -1.5, 0.5),
    ],
)
def test_the_largest_difference(one: float, other: float, expected: float) -> None:
    assert measure_difference_nat([[one]], [[other]]) == expected


def test_other_prompts_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        measure_difference_nat(BASE, TUNED[:1])


def test_an_effect_passes() -> None:
    check_effect(BASE, TUNED)


@pytest.mark.parametrize("adapter", [BASE, NOISY])
def test_the_answers_of_the_base_model_are_no_effect(adapter: list[list[float]]) -> None:
    assert reason_of(BASE, adapter) is AdapterFault.NO_EFFECT


def test_without_canaries_no_effect_is_shown() -> None:
    assert reason_of([], []) is AdapterFault.NO_EFFECT


def test_nan_is_refused() -> None:
    assert reason_of([[-1.0]], [[math.nan]]) is AdapterFault.NOT_FINITE


def test_the_recorded_effect_passes_with_noise() -> None:
    check_effect(
        [[x + 0.05 for x in row] for row in BASE],
        [[x - 0.05 for x in row] for row in TUNED],
        RECORDED,
    )


def test_another_effect_than_recorded_is_refused() -> None:
    assert reason_of(BASE, [[-1.0, -2.0], [-0.5, -1.0]], RECORDED) is AdapterFault.OTHER_EFFECT


def test_another_base_model_than_recorded_is_refused() -> None:
    other = [[-2.0, -1.0], [-0.5, -3.0]]

    assert reason_of(other, TUNED, RECORDED) is AdapterFault.BASE_MODEL


async def test_both_models_are_measured() -> None:
    canaries = await measure(
        Server({"base": -1.0, "german@0123abcd": -2.0}),
        CANARIES,
        base_model="base",
        adapter="german@0123abcd",
    )

    assert canaries[0].base_logprobs == (-1.0,) * 4
    assert canaries[0].adapter_logprobs == (-2.0,) * 4
    assert list_prompts(canaries) == CANARIES
