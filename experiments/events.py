"""What is recorded: exposures, outcomes and, when asked for, texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from estimation.source import Source
from experiments.definition import Experiment
from experiments.errors import MetricUnknown, OutcomeInvalid
from experiments.metrics import Metric, MetricKind
from experiments.unit import UnitKind

MAX_KEY_CHARS = 200
MAX_METRIC_CHARS = 63
MAX_COMMENT_CHARS = 4000
# Sums of larger ones would not be finite.
MAX_NUMBER = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One answer that a unit got while in an experiment. It holds no text of it.

    Analysis is by intention to treat: `arm` is the one that was assigned, and the rest says what
    came of it.

    Attributes:
        experiment, revision, arm: what was assigned; empty and 0 for an answer outside experiments,
            which is recorded so that it can have outcomes.
        arm_id: ten hexadecimal digits of all that decides how the arm answers.
        unit: the hash of who was answered, by `UnitHasher`.
        culture: alpha-3 code, empty for a request without one.
        time_ms: when the answer was complete, in milliseconds since 1970 (UTC).
        outcome_until_ms: until when outcomes count.
        overridden: whether a tester chose the arm; left out of the analysis.
        settled: whether the assignment was in the store before the answer was begun.
        method: what was done in the end; that of the arm unless `fallbacks` says why not.
        fallbacks: what was left on the way from the arm's method to `method`, with reasons.
        adapter: the version that answered, empty for none.
        steered: whether the prompt or an adapter spoke for the culture.
        readable: whether the answer could be read as one of the options; true for free text.
        refused: whether the model declined to answer, None if that was not looked at.
        label_mass: probability of all labels together, in [0, 1], None if not measured.
        alignment: 1 - Jensen-Shannon distance to the people's shares, in [0, 1], higher is
            nearer; None if the question has no known shares.
        latency_ms: time until the answer was complete.
        failed: whether the request got no answer: an error, a refusal, or the client left. It
            counts in the arm; but for what was known, the rest of what is recorded of it says
            nothing.
        source: what the answer stands on, one of `Source`; empty if that was not recorded, as
            before version 3 of the store.
        best_source: the surest source there was, whatever the arm answers from; empty as above.
        model_asked: whether the model has a part in the answer, None as above.
        question_key: the key of the survey question that the asked one was recognised as, empty
            for none.
        similarity: cosine in [-1, 1] of the asked question to that one; of one that was not
            recognised, to the nearest that the culture answered; None where there is none.
    """

    answer_id: str
    experiment: str
    revision: int
    arm: str
    arm_id: str
    unit: str
    unit_kind: UnitKind
    culture: str
    time_ms: int
    outcome_until_ms: int
    method: str
    model: str
    steered: bool
    overridden: bool = False
    settled: bool = True
    fallbacks: tuple[str, ...] = ()
    adapter: str = ""
    readable: bool = True
    refused: bool | None = None
    label_mass: float | None = None
    alignment: float | None = None
    latency_ms: float = 0.0
    n_prompt_tokens: int = 0
    n_reply_tokens: int = 0
    failed: bool = False
    source: Source | Literal[""] = ""
    best_source: Source | Literal[""] = ""
    model_asked: bool | None = None
    question_key: str = ""
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerText:
    """What was asked and answered, kept only if the settings ask for it.

    Attributes:
        unit: the hash of who was answered.
        consented: whether the end user agreed to its use; replay takes no other.
        request: the request as JSON, from which it can be asked again.
    """

    answer_id: str
    unit: str
    culture: str
    time_ms: int
    consented: bool
    request: str
    answer: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The wish of a gateway to put a unit into an arm; the first one in the store stands."""

    experiment: str
    unit: str
    unit_kind: UnitKind
    arm: str
    revision: int
    time_ms: int


class OutcomeKind(StrEnum):
    """What the value of an outcome is."""

    BOOLEAN = "boolean"
    NUMBER = "number"
    RATING = "rating"
    PREFERRED = "preferred"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an answer, or of a unit's time in an experiment.

    Of an answer: `answer_id`. Of a unit: `experiment` and `unit`. There is one outcome per metric
    of either; the first one stands.

    Attributes:
        number: 0 or 1 for a boolean; None for a comment alone. For a preferred answer 1 if
            `preferred` is the answer itself, else 0.
        preferred: id of the answer that was preferred, for that kind only.
        key: idempotency key, 1 to 200 characters.
        time_ms: when it arrived, in milliseconds since 1970 (UTC).
    """

    metric: str
    kind: OutcomeKind
    key: str
    time_ms: int
    number: float | None = None
    answer_id: str = ""
    experiment: str = ""
    unit: str = ""
    preferred: str = ""
    comment: str = ""

    def __post_init__(self) -> None:
        _check_subject(self)
        _check_text("key", self.key, least=1, most=MAX_KEY_CHARS)
        _check_text("metric", self.metric, least=1, most=MAX_METRIC_CHARS)
        _check_text("comment", self.comment, least=0, most=MAX_COMMENT_CHARS)
        _check_text("answer_id", self.answer_id, least=0, most=MAX_KEY_CHARS)
        _check_text("preferred", self.preferred, least=0, most=MAX_KEY_CHARS)
        _check_number(self)

    @property
    def subject(self) -> str:
        """What it is an outcome of, in words."""
        return f"answer '{self.answer_id}'" if self.answer_id else "the unit"


class Receipt(StrEnum):
    """What became of an item within the bound.

    RECORDED: it is in the store, and stays there whatever ends this process. LATE: it waits in
    memory and is written as soon as the store takes it. DROPPED: it is lost, and counted.
    """

    RECORDED = "recorded"
    LATE = "late"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class OutcomeReceipt:
    """Proof that an outcome is in the store; `repeated` if it was before."""

    key: str
    time_ms: int
    repeated: bool


# The kinds of outcomes that count for each kind of metric.
FITTING: Final = {
    MetricKind.PROPORTION: (OutcomeKind.BOOLEAN, OutcomeKind.PREFERRED),
    MetricKind.RATING: (OutcomeKind.RATING,),
    MetricKind.MEAN: (OutcomeKind.NUMBER, OutcomeKind.RATING),
    MetricKind.QUANTILE: (OutcomeKind.NUMBER, OutcomeKind.RATING),
}


def describe_fitting(metric: Metric) -> str:
    """Return in words what outcomes of `metric` hold."""
    fits = FITTING[metric.kind]
    if OutcomeKind.BOOLEAN in fits:
        return "true or false, or a preferred answer"
    return " or ".join(f"a {kind}" for kind in fits)


def check_outcome(experiment: Experiment, outcome: Outcome) -> Metric:
    """Return the metric of `experiment` that the outcome is about.

    Raises:
        MetricUnknown: it has no metric of that name that outcomes carry.
        OutcomeInvalid: the value is not of the metric's kind, or outside its bounds.
    """
    carried = {metric.name: metric for metric in experiment.sent_metrics}
    metric = carried.get(outcome.metric)
    if metric is None:
        raise MetricUnknown(experiment.name, outcome.metric, tuple(carried))
    if outcome.kind not in FITTING[metric.kind]:
        expected = describe_fitting(metric)
        raise OutcomeInvalid("value", found=f"a {outcome.kind}", expected=expected)
    low = -math.inf if metric.lowest is None else metric.lowest
    high = math.inf if metric.highest is None else metric.highest
    if outcome.number is None or not low <= outcome.number <= high:
        raise OutcomeInvalid("value", found=f"{outcome.number}", expected=f"{low:g} to {high:g}")
    return metric


def _check_subject(outcome: Outcome) -> None:
    of_unit = bool(outcome.experiment) and bool(outcome.unit)
    if bool(outcome.answer_id) == of_unit or bool(outcome.experiment) != bool(outcome.unit):
        raise OutcomeInvalid(
            "answer_id",
            found="neither or both of an answer and a unit",
            expected="the id of an answer, or an experiment and a unit",
        )


def _check_number(outcome: Outcome) -> None:
    number, kind = outcome.number, outcome.kind
    expected = ""
    if kind is OutcomeKind.COMMENT:
        if number is not None or not outcome.comment:
            expected = "a comment without a value"
    elif number is None or not abs(number) <= MAX_NUMBER:
        expected = f"a number from {-MAX_NUMBER:g} to {MAX_NUMBER:g}"
    elif kind in (OutcomeKind.BOOLEAN, OutcomeKind.PREFERRED) and number not in (0.0, 1.0):
        expected = "0 or 1"
    elif bool(outcome.preferred) != (kind is OutcomeKind.PREFERRED):
        expected = "a preferred answer with the kind 'preferred', and with no other"
    elif outcome.preferred and number != (outcome.preferred == outcome.answer_id):
        expected = "1 if the preferred answer is this one, and 0 if it is another"
    if expected:
        raise OutcomeInvalid("value", found=f"{number} as {kind}", expected=expected)


def _check_text(name: str, text: str, *, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        found, expected = f"{len(text)} characters", f"{least} to {most}"
        raise OutcomeInvalid(name, found=found, expected=expected)
    is_text = "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
    if not is_text:
        raise OutcomeInvalid(name, found="a null or half a surrogate pair", expected="text")
