"""How a request is going to be answered, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from adapters.pool import ServedWeights
from app.answering.asked import Asked
from app.errors import CultureNotShown
from app.vllm.wire import ChatCompletion, JsonObject, LabelLogprobs, Usage
from estimation.estimator import Estimate
from estimation.source import AnswerFrom, Source
from experiments.assignment import Assignment
from experiments.definition import Arm, Decoding, Experiment
from experiments.unit import Unit
from prompting.messages import Message, Steering
from prompting.reading import Reading
from prompting.recipe import Method, PromptLanguage, Recipe
from prompting.refusal import begins_with_refusal
from prompting.statement import Statement
from retrieval.evidence import Evidence
from retrieval.exemplar import Exemplar
from survey_data.cultures import Culture

PLAIN = Steering(Method.PLAIN)
REFUSED = "the model declined to answer"


@dataclass(frozen=True, slots=True)
class Choice:
    """How a request is to be answered, and whether an experiment chose it.

    Attributes:
        answer_id: under which the answer will be returned.
        unit: who is answered.
        decoding: what an arm says of it, which goes before the request.
        answer_from: what an answer with options is to stand on; of a chat, what the model is told.
        is_by_arm: whether an arm chose. Nobody asked for the adapter or the source that it names,
            so that one that is unavailable is done without.
        experiment: the revision that decided, None for an answer outside experiments; then there
            is no `assignment` either.
    """

    answer_id: str
    recipe: Recipe
    unit: Unit
    decoding: Decoding = field(default_factory=Decoding)
    answer_from: AnswerFrom = AnswerFrom.AUTO
    is_by_arm: bool = False
    experiment: Experiment | None = None
    assignment: Assignment | None = None

    @property
    def arm(self) -> Arm | None:
        """The arm of the experiment, None outside of one."""
        return None if self.assignment is None else self.assignment.arm


class Fallback(NamedTuple):
    """A way of answering that was wanted and was unavailable."""

    method: Method
    because: str


class SourceFallback(NamedTuple):
    """What an arm's answers stand on, and why this one does not."""

    wanted: AnswerFrom
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request is going to be answered, and why so.

    `recipe` is what was chosen, `method` what is done, and `fallbacks` what was left on the way
    from the one to the other. `steering` is what the prompt says. With `refuses_unsteered` a
    culture that a fallback leaves nothing of is refused. With an `estimate` the model is asked only
    where the request says how, and its answer stands beside the estimate; in a chat, where it is
    told the estimate. With `withhold` what the culture answered to it is not told.

    With `is_chat` the caller's own messages are put to the model.

    `best_source` is the surest there is, whatever was wanted, and `source_fallback` what an arm
    wanted and there is not.

    With `is_pooled` the shares are pooled of the estimate's and the model's. The model is then
    asked although nobody named a method; where that is the only reason, it is `is_optional`, and
    the estimate stands alone where it cannot answer.
    """

    choice: Choice
    culture: Culture | None
    evidence: Evidence
    asked: Asked
    method: Method
    steering: Steering
    fallbacks: tuple[Fallback, ...]
    weights: ServedWeights
    warnings: tuple[str, ...] = ()
    refuses_unsteered: bool = False
    estimate: Estimate | None = None
    withhold: bool = False
    asks_model: bool = True
    is_pooled: bool = False
    is_optional: bool = False
    is_chat: bool = False
    best_source: Source = Source.MODEL
    source_fallback: SourceFallback | None = None

    @property
    def id(self) -> str:
        """The id of the answer."""
        return self.choice.answer_id

    @property
    def recipe(self) -> Recipe:
        """The recipe that was chosen."""
        return self.choice.recipe

    @property
    def source(self) -> Source:
        """What the answer stands on; a text is always the model's."""
        if self.estimate is None or not self.asked.question.options:
            return Source.MODEL
        return self.estimate.source

    @property
    def all_fallbacks(self) -> tuple[SourceFallback | Fallback, ...]:
        """The source and the methods that were wanted and were unavailable, with the reasons."""
        of_source = () if self.source_fallback is None else (self.source_fallback,)
        return (*of_source, *self.fallbacks)

    @property
    def steered(self) -> bool:
        """Whether the tables, the prompt or an adapter speak for the culture."""
        if not self.asks_model:
            return True
        return self.steering.method is not Method.PLAIN or self.weights.adapter is not None

    @property
    def not_steered_because(self) -> str | None:
        """Why neither does, None where one does."""
        if self.steered:
            return None
        if self.culture is None:
            return "no culture was asked for"
        if not self.fallbacks and self.evidence.unused_because:
            return self.evidence.unused_because
        if not self.fallbacks:
            return f"method '{self.method}' does not show the culture"
        return "; ".join(fallback.because for fallback in self.fallbacks)

    @property
    def shown_exemplars(self) -> tuple[Exemplar, ...]:
        """The exemplars that the model is shown."""
        return self.steering.exemplars if self.steering.method.shows_exemplars else ()

    @property
    def prompt_language(self) -> PromptLanguage | None:
        """The language of what the model is told, None where it is told nothing."""
        is_untouched = self.is_chat and self.steering.method is Method.PLAIN
        return None if is_untouched or not self.asks_model else self.steering.language

    @property
    def told(self) -> Statement | None:
        """What the model is told of how the people answer, None where it is told nothing."""
        return None if self.steering.method is Method.PLAIN else self.steering.statement

    @property
    def model(self) -> str:
        """The name of the weights that answer."""
        return self.weights.choose_model(reads=self.steering.tells_people)

    @property
    def bare(self) -> Steering:
        """What the prompt says where no exemplar is left to show."""
        language = self.steering.language
        if self.weights.adapter is None or self.culture is None:
            return Steering(Method.PLAIN, language=language)
        return Steering(Method.ADAPTER, culture=self.culture, language=language)

    def shorten(self, steering: Steering, *, budget_tokens: int) -> Plan:
        """Return the plan with what the model's context holds, in `steering`.

        Raises:
            CultureNotShown: no exemplar is left, nor anything else, and that is set to be refused.
        """
        n_dropped = len(self.steering.exemplars) - len(steering.exemplars)
        dropped = [f"{n_dropped} exemplars"] if n_dropped else []
        if steering.statement is not self.steering.statement:
            dropped.append("what is known")
        if not dropped:
            return self
        note = f"{' and '.join(dropped)} left out: the model reads {budget_tokens} tokens"
        shorter = replace(self, steering=steering, warnings=(*self.warnings, note))
        if steering.method is self.steering.method:
            return shorter
        shorter = replace(
            shorter,
            method=Method.PLAIN if self.weights.adapter is None else Method.ADAPTER,
            fallbacks=(*self.fallbacks, Fallback(self.method, note)),
        )
        shorter.check_steered()
        return shorter

    def leave_out_model(self, because: str) -> Plan:
        """Return the plan with the estimate alone, and a warning that says why."""
        note = f"the estimate stands alone, without the model's answer: {because}"
        return replace(
            self,
            method=self.recipe.method,
            steering=PLAIN,
            fallbacks=(),
            warnings=(*self.warnings, note),
            asks_model=False,
            is_pooled=False,
        )

    def check_steered(self) -> None:
        """Refuse what fell back to the model as it is, where that is set to be refused.

        Raises:
            CultureNotShown: it did, and it is.
        """
        is_fallen = bool(self.fallbacks) and not self.steered
        if is_fallen and self.culture is not None and self.refuses_unsteered:
            reasons = [fallback.because for fallback in self.fallbacks]
            raise CultureNotShown(self.culture.name, reasons)


@dataclass(frozen=True, slots=True)
class Words:
    """The prompts of one request: of a question one per order of its options, of a chat one.

    `orders[i][j]` is the index of the option that prompt i shows in place j; without options
    there is one prompt and no order. Without a prompt no model is asked.
    """

    orders: tuple[tuple[int, ...], ...]
    prompts: tuple[tuple[Message, ...], ...]


NO_WORDS = Words((), ())


class Delta(NamedTuple):
    """A piece of a reply in text, and the chunk of vLLM's that it came in."""

    text: str
    chunk: JsonObject


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said: log-probabilities of the labels, one per order, or `text`.

    Nothing where it could not answer, `missing_because` of something, and need not.

    A text that was not streamed has its `completion`; the last pieces of one that was are in
    `ending`.
    """

    usage: Usage
    scores: tuple[LabelLogprobs, ...] = ()
    text: str | None = None
    completion: ChatCompletion | None = None
    ending: tuple[Delta, ...] = ()
    missing_because: str = ""


NO_REPLY = Reply(Usage(0, 0, 0))


class CalibratedShares(NamedTuple):
    """The model's shares as the calibration with an id puts them right, in option order."""

    id: str
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request. `reading` is None for free text, which is in `text`.

    Both are the model's; what the answer stands on is `plan.estimate`, where there is one.
    `calibrated` is None where no calibration is for how the model was asked.

    `completion` is vLLM's own, of a chat whose reply was not streamed. `warnings` are those of
    the plan, and then what only the answer could tell.
    """

    plan: Plan
    words: Words
    reading: Reading | None
    text: str | None
    usage: Usage
    warnings: tuple[str, ...]
    completion: ChatCompletion | None = None
    calibrated: CalibratedShares | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def is_readable(self) -> bool:
        """Whether an option could be told, where one was asked for."""
        return self.reading is None or not self.reading.unreadable

    @property
    def refused(self) -> bool:
        """Whether the model's text declines to answer, and nothing else answers."""
        if self.text is None or self.plan.source is not Source.MODEL:
            return False
        has_option = self.reading is not None and not self.reading.unreadable
        return not has_option and begins_with_refusal(self.text)

    @property
    def steered(self) -> bool:
        """Whether the answer is the culture's: the plan was, and the model did not decline."""
        return self.plan.steered and not self.refused

    @property
    def not_steered_because(self) -> str | None:
        """Why it is not, None where it is."""
        return REFUSED if self.plan.steered and self.refused else self.plan.not_steered_because

    @property
    def late_warnings(self) -> tuple[str, ...]:
        """The warnings that the plan did not have."""
        return self.warnings[len(self.plan.warnings) :]


Event: TypeAlias = Plan | Delta | Answer
