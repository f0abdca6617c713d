"""What can be asked of the service: a question to answer, or a chat to reply to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from app.vllm.wire import ChatRequest
from estimation.source import AnswerFrom
from experiments.definition import Arm
from prompting.messages import Message
from prompting.recipe import NO_OVERRIDES, RecipeOverrides
from retrieval.steer import Steer

# What programs make of a variable without a value when they write it as text.
UNSET = frozenset({"undefined", "null", "none", "nil", "nan", "[object object]", "(null)"})


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

    @property
    def notes(self) -> tuple[str, ...]:
        """A warning where user or session look like a variable that nobody set."""
        return tuple(
            f"{field} '{value}' looks like a variable that was not set: whoever sends it counts as "
            f"one {field}"
            for field, value in (("user", self.user), ("session", self.session))
            if value.strip().casefold() in UNSET
        )


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question to `/answer`, checked for form only; the decoding is for free text.

    With an `arm` it is answered as that arm answers, outside of any experiment. `answer_from` is
    None where it is left open. `withhold` takes what the culture answered to it for unknown, and
    shows nothing of the questions in `barred` either. `steer` is None where it is left to the
    settings. `notes` are warnings that its reading gave rise to. `streams` is whether free text
    is wanted piece by piece.
    """

    question: str
    culture: str | None
    options: tuple[str, ...] = ()
    recipe: RecipeOverrides = NO_OVERRIDES
    asker: Asker = Asker()
    arm: Arm | None = None
    answer_from: AnswerFrom | None = None
    withhold: bool = False
    steer: Steer | None = None
    notes: tuple[str, ...] = ()
    barred: frozenset[str] = frozenset()
    seed: int = 0
    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    streams: bool = False

    @property
    def first_said(self) -> str:
        """The first field that says how to answer, empty where none does."""
        return self.recipe.first_said or ("" if self.answer_from is None else "answer_from")

    @property
    def said(self) -> tuple[str, ...]:
        """The texts that evidence is looked up for, the last one first of all."""
        return (self.question,)

    def ask_for(self, model: str, messages: tuple[Message, ...]) -> ChatRequest:
        """Return the request to vLLM for an answer in text."""
        return ChatRequest(
            model=model,
            messages=messages,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
        )

    def dump(self) -> dict[str, object]:
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
    """A chat to reply to: what its client asks of vLLM, and of Milieu.

    With an `arm` it is answered as that arm answers, outside of any experiment. `withhold` takes
    what the culture answered to its question for unknown. `steer` is None where it is left to the
    settings. `notes` are warnings that its reading gave rise to. `streams` is whether the reply
    is wanted chunk by chunk.
    """

    chat: ChatRequest
    culture: str | None
    recipe: RecipeOverrides = NO_OVERRIDES
    asker: Asker = Asker()
    arm: Arm | None = None
    withhold: bool = False
    steer: Steer | None = None
    notes: tuple[str, ...] = ()
    streams: bool = False

    @property
    def first_said(self) -> str:
        """The first field that says how to answer, empty where none does."""
        return self.recipe.first_said

    @property
    def said(self) -> tuple[str, ...]:
        """The user's messages, the texts that evidence is looked up for."""
        return tuple(m.content for m in self.chat.messages if m.role == "user") or ("",)

    @property
    def answer_from(self) -> AnswerFrom | None:
        """What the model is told may stand on, which is left open; the reply is the model's."""
        return None

    @property
    def barred(self) -> frozenset[str]:
        """No question is kept from being shown for its own sake."""
        return frozenset()

    @property
    def seed(self) -> int:
        """The seed of random exemplars and draws."""
        return self.chat.seed or 0

    def ask_for(self, model: str, messages: tuple[Message, ...]) -> ChatRequest:
        """Return the request to vLLM, with the client's own decoding."""
        return replace(self.chat, model=model, messages=messages)

    def dump(self) -> dict[str, object]:
        """Return what it takes to ask again, as plain values for JSON."""
        return {
            "kind": "chat",
            "messages": [{"role": m.role, "content": m.content} for m in self.chat.messages],
            "culture": self.culture,
            "seed": self.seed,
            "max_tokens": self.chat.max_tokens,
            "temperature": self.chat.temperature,
            "top_p": self.chat.top_p,
        }


Request: TypeAlias = AnswerRequest | ChatTurn
