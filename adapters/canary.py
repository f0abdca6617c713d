"""Canary prompts: does an adapter change what a server answers, and as its publisher recorded?

A server can take an adapter and then answer as if it had none: vLLM does so if the names of the
weights fit no module. Only its answers tell. vLLM's log-probabilities differ by about
0.06 nat from one batch to another, so they are compared with a tolerance, never for equality.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from adapters.errors import AdapterFault, AdapterRefused
from adapters.manifest import Canary
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, Steering, survey_messages
from prompting.recipe import Method
from survey_data.cultures import Culture

# How far two measurements of the same weights may lie apart.
TOLERANCE_NAT = 0.1
MAX_PERSONAS = 4
_QUESTIONS = (
    AskedQuestion(
        "How much do you trust people whom you meet for the first time?",
        ("Completely", "Somewhat", "Not very much", "Not at all"),
    ),
    AskedQuestion(
        "How important is religion in your life?",
        ("Very important", "Rather important", "Not very important", "Not at all important"),
    ),
    AskedQuestion(
        "When jobs are scarce, should men have more right to a job than women?",
        ("Agree", "Neither", "Disagree"),
    ),
)


class CanaryPrompt(NamedTuple):
    """A fixed prompt, and the labels whose log-probabilities are compared."""

    messages: tuple[Message, ...]
    labels: tuple[str, ...]


class CanaryServer(Protocol):
    """A server that gives the log-probabilities of labels as the next token."""

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme:
        """Return how to label the options of `asked`, so that `score` can read them."""

    async def score(
        self, model: str, messages: Sequence[Message], labels: Sequence[str]
    ) -> Sequence[float]:
        """Return the log-probability of each label, in nat, answered by `model`."""


def make_canary_prompts(
    cultures: Iterable[Culture] = (), *, scheme: LabelScheme = LabelScheme.NUMBERS
) -> tuple[CanaryPrompt, ...]:
    """Return the fixed prompts, plain and as a person of each of the first few `cultures`.

    Plain ones come first. An adapter that was trained on personas may change only those.
    """
    questions = [asked.labelled(scheme) for asked in _QUESTIONS]
    steerings = [Steering(Method.PLAIN)]
    steerings += [Steering(Method.PERSONA, culture) for culture in list(cultures)[:MAX_PERSONAS]]
    return tuple(
        CanaryPrompt(survey_messages(asked, steering), asked.labels)
        for steering in steerings
        for asked in questions
    )


async def choose_prompts(
    server: CanaryServer, cultures: Iterable[Culture] = ()
) -> tuple[CanaryPrompt, ...]:
    """Return the fixed prompts with labels that the model on `server` has tokens of its own for."""
    longest = max(_QUESTIONS, key=lambda asked: len(asked.options))
    return make_canary_prompts(cultures, scheme=await server.choose_labels(longest))


async def measure(
    server: CanaryServer, prompts: Iterable[CanaryPrompt], *, base_model: str, adapter: str
) -> tuple[Canary, ...]:
    """Return what `prompts` are answered by the model `base_model` and by the model `adapter`."""
    found = []
    for messages, labels in prompts:
        base = await server.score(base_model, messages, labels)
        tuned = await server.score(adapter, messages, labels)
        found.append(Canary(messages, labels, tuple(base), tuple(tuned)))
    return tuple(found)


def list_prompts(canaries: Iterable[Canary]) -> tuple[CanaryPrompt, ...]:
    """Return the prompts that recorded canaries were measured with, to measure them again."""
    return tuple(CanaryPrompt(canary.messages, canary.labels) for canary in canaries)


def measure_difference_nat(
    one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]
) -> float:
    """Return the largest difference of a label's log-probability in nat, 0 without prompts.

    Both hold a row per prompt and a log-probability per label. Two of minus infinity are equal;
    NaN is infinitely far from everything.

    Raises:
        ValueError: they are not of the same prompts and labels.
    """
    pairs = (pair for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True))
    return max((_measure_distance(a, b) for a, b in pairs), default=0.0)


def check_effect(
    base: Sequence[Sequence[float]],
    adapter: Sequence[Sequence[float]],
    recorded: Sequence[Canary] | None = None,
) -> None:
    """Check what a server answers with and without an adapter, a row per prompt.

    Args:
        base: log-probabilities of the labels from the base model, in nat.
        adapter: the same from the adapter.
        recorded: what the publisher measured with these prompts, in this order.

    Raises:
        AdapterRefused: `NOT_FINITE`, the adapter answers NaN; `NO_EFFECT`, no label differs from
            the base's; `BASE_MODEL`, the base answers differently than the publisher's;
            `OTHER_EFFECT`, the adapter does.
        ValueError: rows or labels do not match.
    """
    if any(math.isnan(value) for row in adapter for value in row):
        raise AdapterRefused(
            AdapterFault.NOT_FINITE,
            found="NaN as a log-probability of a canary",
            expected="numbers",
            remedy="Train the adapter again.",
        )
    largest = measure_difference_nat(base, adapter)
    if not largest > TOLERANCE_NAT:
        raise AdapterRefused(
            AdapterFault.NO_EFFECT,
            found=f"answers to {len(base)} canaries that differ from the base model's by at most "
            f"{largest:.3f} nat",
            expected=f"a difference over {TOLERANCE_NAT:g}",
            remedy="See that its weights are named and shaped for this base model.",
        )
    if recorded:
        _check_recorded(base, adapter, recorded)


def _check_recorded(
    base: Sequence[Sequence[float]], adapter: Sequence[Sequence[float]], recorded: Sequence[Canary]
) -> None:
    of_base = measure_difference_nat(base, [canary.base_logprobs for canary in recorded])
    if of_base > TOLERANCE_NAT:
        raise AdapterRefused(
            AdapterFault.BASE_MODEL,
            found=f"a base model that answers canaries {of_base:.3f} nat off the publisher's",
            expected=f"at most {TOLERANCE_NAT:g}",
            remedy="Serve the model, in the precision, that the adapter was recorded with.",
        )
    of_adapter = measure_difference_nat(adapter, [canary.adapter_logprobs for canary in recorded])
    if of_adapter > TOLERANCE_NAT:
        raise AdapterRefused(
            AdapterFault.OTHER_EFFECT,
            found=f"answers to canaries {of_adapter:.3f} nat off what its publisher recorded",
            expected=f"at most {TOLERANCE_NAT:g}",
            remedy="Get the adapter from its publisher again.",
        )


def _measure_distance(a: float, b: float) -> float:
    if a == b:
        return 0.0
    distance = abs(a - b)
    return math.inf if math.isnan(distance) else distance
