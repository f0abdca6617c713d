"""The nouns of the pipeline: what is asked, how it will be answered, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from adapters.pool import ServedWeights
from app.vllm_wire import ChatRequest, LabelLogprobs, Usage
from evaluation.reading import Reading
from experiments.arm import Arm, ArmMethod
from retrieval.evidence import Evidence
from retrieval.exemplar import Exemplar
from retrieval.prompting import AskedQuestion, ExemplarStyle, Message, Method, Steering
from retrieval.selector import SelectorName
from survey_data.cultures import Culture

# Room for a label in a tokenizer that has no token of its own for it.
LABEL_TOKENS = 4
NO_EVIDENCE = Evidence((), None, None, below_floor=False)


@dataclass(frozen=True, slots=True)
class ArmRequest:
    """What a request says of how it is to be answered; None is "as the settings say"."""

    method: ArmMethod | None = None
    k: int | None = None
    style: ExemplarStyle | None = None
    retriever: SelectorName | None = None
    n_orders: int = 1
    adapter: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question to `/answer`, checked for form only; the decoding is for free text."""

    question: str
    culture: str | None
    options: tuple[str, ...] = ()
    arm: ArmRequest = ArmRequest()
    unit: str = ""
    seed: int = 0
    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0


class Fallback(NamedTuple):
    """A way of answering that was wanted and could not be had."""

    method: ArmMethod
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request is going to be answered, and why so.

    `arm` is what was asked for, `method` what is done, and `fallbacks` what was left on the way
    from the one to the other. `steering` is what the prompt says.
    """

    id: str
    culture: Culture | None
    arm: Arm
    evidence: Evidence
    method: ArmMethod
    steering: Steering
    fallbacks: tuple[Fallback, ...]
    weights: ServedWeights
    warnings: tuple[str, ...] = ()

    @property
    def steered(self) -> bool:
        """Whether the prompt or an adapter speaks for the culture."""
        return self.steering.method is not Method.PLAIN or self.weights.adapter is not None

    @property
    def not_steered_because(self) -> str | None:
        """Why neither does, None where one does."""
        if self.steered:
            return None
        if self.culture is None:
            return "no culture was asked for"
        if not self.fallbacks:
            return f"method '{self.method}' does not show the culture"
        return "; ".join(fallback.because for fallback in self.fallbacks)

    @property
    def shown_exemplars(self) -> tuple[Exemplar, ...]:
        """The exemplars that the model is shown."""
        return self.steering.exemplars if self.steering.method.shows_exemplars else ()


@dataclass(frozen=True, slots=True)
class SurveyWords:
    """The prompts of one question, one per order of its options.

    `orders[i][j]` is the index of the option that prompt i shows in place j; without options
    there is one prompt and no order.
    """

    asked: AskedQuestion
    options_from: str | None
    orders: tuple[tuple[int, ...], ...]
    prompts: tuple[tuple[Message, ...], ...]


class FreeText(NamedTuple):
    """A reply in text."""

    text: str
    usage: Usage


# What the model said: log-probabilities of the labels, one per order, or text.
Reply: TypeAlias = tuple[LabelLogprobs, ...] | FreeText


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an `AnswerRequest`. `reading` is None for free text, which is in `text`."""

    plan: Plan
    words: SurveyWords
    reading: Reading | None
    text: str | None
    usage: Usage
    timings_ms: dict[str, float]
    warnings: tuple[str, ...]


def text_request(plan: Plan, words: SurveyWords, request: AnswerRequest) -> ChatRequest:
    """Return the request for a reply in text: free, or one of the labels where there are any."""
    return ChatRequest(
        model=plan.weights.model,
        messages=words.prompts[0],
        max_tokens=LABEL_TOKENS if words.orders else request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        choices=words.asked.labels,
    )


def few_exemplars(arm: Arm, evidence: Evidence) -> tuple[str, ...]:
    """Return a warning where some exemplars were found, but fewer than the arm shows."""
    n_found = len(evidence.exemplars)
    if not n_found or n_found >= arm.k:
        return ()
    return (f"only {n_found} exemplars found, {arm.k} were asked for",)


def total_usage(reply: Reply) -> Usage:
    """Return the tokens of all calls that a reply took."""
    if isinstance(reply, FreeText):
        return reply.usage
    return Usage(*(sum(counts) for counts in zip(*(score.usage for score in reply), strict=True)))
