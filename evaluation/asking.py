"""What a run asks, and who answers: recipes, asks, requests, responses and respondents."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from evaluation.asked_language import AskedLanguage
from evaluation.errors import RespondentFailed
from prompting.recipe import Recipe
from survey_data.model import Question

if TYPE_CHECKING:
    from survey_data.arrays import Floats

ConditionKind: TypeAlias = Literal["method", "control", "recorded", "estimate", "reference"]


class Control(StrEnum):
    """What is done to the exemplars to see whether answers follow them; it should hurt.

    `reversed` shows each exemplar's shares in reverse, `foreign` those of another culture.
    """

    NONE = "none"
    REVERSED = "reversed"
    FOREIGN = "foreign"


class CultureAdapter(NamedTuple):
    """Which adapter answers for a culture: an alpha-3 code and the name of one version."""

    culture: str
    adapter: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One question put to one respondent as the people of one culture.

    Attributes:
        recipe: how the prompt is made, by a method that needs no adapter; None for a respondent
            that is sent no prompt.
        culture: alpha-3 code of the people to answer as.
        order: `order[place]` is the index of the option that is shown there.
        seed: decides draws and random exemplars, and is the seed of a sampled answer.
        adapter: the adapter that answers, None for the model as it is.
    """

    recipe: Recipe | None
    culture: str
    question: Question
    order: tuple[int, ...]
    seed: int = 0
    adapter: str | None = None
    control: Control = Control.NONE


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent for an ask. Two asks with one `digest` are one request, sent once.

    Attributes:
        digest: sha256 over everything that decides the answer, in hex.
        content: what the respondent that made it needs to send it; opaque to all others.
        shown: keys of the exemplars in the prompt, first to last.
        steered: whether the prompt speaks for the culture, which it does not if every exemplar had
            to be left out.
    """

    digest: str
    content: Any
    shown: tuple[str, ...] = ()
    steered: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: label log-probabilities, text, or an option with shares.

    Attributes:
        logprobs: natural log-probability of the label at each place, in the order shown.
        text: the reply in words.
        option: index of the option, if the respondent itself says which it chose.
        shares: one share per option, in option order, from a respondent that gives shares itself.
        prompt_tokens, completion_tokens: what it took, 0 without a model.
        steered: False if the respondent itself says that it did not speak for the culture.
    """

    logprobs: tuple[float, ...] | None = None
    text: str | None = None
    option: int | None = None
    shares: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    steered: bool = True

    @classmethod
    def from_shares(cls, shares: Floats) -> Response:
        """Return the response with `shares`, float64[n], and the first option of the largest."""
        return cls(option=int(shares.argmax()), shares=tuple(shares.tolist()))


class Respondent(Protocol):
    """Answers survey questions."""

    @property
    def name(self) -> str:
        """What it is called in results."""

    async def request(self, ask: Ask) -> Request:
        """Return what would be sent for `ask`, without sending it."""

    async def respond(self, request: Request) -> Response:
        """Return the response to one of its own requests."""


class Condition(NamedTuple):
    """A row of the results: a respondent, and how it is asked.

    `cultures` are those that it answers as, None for all of a run's. `adapters` says which adapter
    answers for each of them, if any does, `language` what they are asked in.
    """

    name: str
    kind: ConditionKind
    respondent: Respondent
    recipe: Recipe | None = None
    cultures: tuple[str, ...] | None = None
    adapters: tuple[CultureAdapter, ...] = ()
    control: Control = Control.NONE
    language: AskedLanguage = AskedLanguage.EN

    @property
    def draws(self) -> bool:
        """Whether its answers may depend on option orders and seeds: prompts and models draw."""
        return self.kind in ("method", "control")


@dataclass(frozen=True)
class Absent:
    """Stands in for a respondent of a finished run, which cannot be asked again."""

    name: str

    async def request(self, ask: Ask) -> Request:
        """Raise RespondentFailed."""
        raise RespondentFailed(self.name, "it is only known from a finished run.")

    async def respond(self, request: Request) -> Response:
        """Raise RespondentFailed."""
        raise RespondentFailed(self.name, "it is only known from a finished run.")


def digest_of(*parts: object) -> str:
    """Return the sha256, in hex, of `parts` as canonical JSON."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
