"""The nouns of the pipeline: what is asked, how it will be answered, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from adapters.pool import ServedWeights
from app.vllm.wire import ChatRequest, LabelLogprobs, Usage
from experiments.assignment import Assignment
from experiments.definition import Arm, Decoding, Experiment
from experiments.unit import Unit
from prompting.messages import AskedQuestion, Message, Steering
from prompting.reading import Reading
from prompting.recipe import NO_OVERRIDES, Method, Recipe, RecipeOverrides
from retrieval.evidence import Evidence
from retrieval.exemplar import Exemplar
from survey_data.cultures import Culture

T = TypeVar("T")
# Room for a label in a tokenizer that has no token of its own for it.
LABEL_TOKENS = 4
NO_EVIDENCE = Evidence((), None, None, below_floor=False)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, in the client's words. Nothing of it is kept but a hash.

    Attributes:
        wanted_arm: `experiment/arm` where a tester chooses, else empty.
        consented: whether the end user agreed to question and answer being kept.
    """

    user: str = ""
    session: str = ""
    wanted_arm: str = ""
    consented: bool = False


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question to `/answer`, checked for form only; the decoding is for free text.

    With an `arm` it is answered as that arm answers, outside of any experiment.
    """

    question: str
    culture: str | None
    options: tuple[str, ...] = ()
    recipe: RecipeOverrides = NO_OVERRIDES
    asker: Asker = Asker()
    arm: Arm | None = None
    seed: int = 0
    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0

    def logged(self) -> dict[str, object]:
        """Return what it takes to ask again, as plain values for JSON."""
        return {
            "kind": "answer",
            "question": self.question,
            "culture": self.culture,
            "options": list(self.options),
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
        }


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A chat to reply to. A length or decoding that is None is vLLM's to choose.

    With an `arm` it is answered as that arm answers, outside of any experiment.
    """

    messages: tuple[Message, ...]
    culture: str | None
    recipe: RecipeOverrides = NO_OVERRIDES
    asker: Asker = Asker()
    arm: Arm | None = None
    seed: int = 0
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None

    def logged(self) -> dict[str, object]:
        """Return what it takes to ask again, as plain values for JSON."""
        return {
            "kind": "chat",
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            "culture": self.culture,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """The recipe that answers a request, and whether an experiment chose it.

    Attributes:
        answer_id: under which the answer will be returned.
        unit: who is answered.
        decoding: what an arm says of it, which goes before the request.
        adapter_is_optional: whether a named adapter that is unavailable is done without.
        experiment: the revision that decided, None for an answer outside experiments; then there
            is no `assignment` either.
    """

    answer_id: str
    recipe: Recipe
    unit: Unit
    decoding: Decoding = field(default_factory=Decoding)
    adapter_is_optional: bool = False
    experiment: Experiment | None = None
    assignment: Assignment | None = None

    @property
    def arm(self) -> Arm | None:
        """The arm of the experiment, None outside of one."""
        return None if self.assignment is None else self.assignment.arm


class Fallback(NamedTuple):
    """A way of answering that was wanted and could not be had."""

    method: Method
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request is going to be answered, and why so.

    `recipe` is what was chosen, `method` what is done, and `fallbacks` what was left on the way
    from the one to the other. `steering` is what the prompt says.
    """

    choice: Choice
    culture: Culture | None
    evidence: Evidence
    method: Method
    steering: Steering
    fallbacks: tuple[Fallback, ...]
    weights: ServedWeights
    warnings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id of the answer."""
        return self.choice.answer_id

    @property
    def recipe(self) -> Recipe:
        """The recipe that was chosen."""
        return self.choice.recipe

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
    decoding = plan.choice.decoding
    return ChatRequest(
        model=plan.weights.model,
        messages=words.prompts[0],
        max_tokens=LABEL_TOKENS if words.orders else decoding.max_tokens or request.max_tokens,
        temperature=first_of(decoding.temperature, request.temperature),
        top_p=first_of(decoding.top_p, request.top_p),
        seed=request.seed,
        choices=words.asked.labels,
    )


def first_of(arms: float | None, requests: T) -> float | T:
    """Return what an experiment's arm says of the decoding, else what the request does."""
    return requests if arms is None else arms


def few_exemplars(recipe: Recipe, evidence: Evidence) -> tuple[str, ...]:
    """Return a warning where some exemplars were found, but fewer than the recipe shows."""
    n_found = len(evidence.exemplars)
    if not n_found or n_found >= recipe.k:
        return ()
    return (f"only {n_found} exemplars found, {recipe.k} were asked for",)


def total_usage(reply: Reply) -> Usage:
    """Return the tokens of all calls that a reply took."""
    if isinstance(reply, FreeText):
        return reply.usage
    return Usage(*(sum(counts) for counts in zip(*(score.usage for score in reply), strict=True)))
