"""What can be set in the steps of CultureSPA; the defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from prompting.question_writing import MAX_TOKENS, TEMPERATURE, TOP_P
from prompting.recipe import Method


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """How many questions are written, and how.

    Attributes:
        n_per_topic: questions to write on each topic.
        n_attempts: attempts allowed for each of them on average, retries included.
        batch: attempts of a topic that do not see each other's questions.
    """

    n_per_topic: int = 1000
    seed: int = 0
    temperature: float = TEMPERATURE
    top_p: float = TOP_P
    max_tokens: int = MAX_TOKENS
    n_attempts: float = 3.0
    batch: int = 16

    @property
    def limit(self) -> int:
        """Attempts on a topic at which it is given up, full or not."""
        return round(self.n_per_topic * self.n_attempts)


class AnswerReading(StrEnum):
    """How an answer is read: from the labels' log-probabilities, or from sampled replies."""

    LOGPROBS = "logprobs"
    SAMPLING = "sampling"


@dataclass(frozen=True, slots=True)
class AnswerStepSettings:
    """How questions are answered.

    Attributes:
        method: how the culture-aware prompt names a culture; `cross-culture` is the CCT variant.
        n_repeats: replies sampled for each answer; irrelevant for log-probabilities.
        seed: together with culture, question and repeat the seed of a sampled reply.
    """

    method: Literal[Method.PERSONA, Method.CROSS_CULTURE] = Method.PERSONA
    reading: AnswerReading = AnswerReading.LOGPROBS
    n_repeats: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """When an aware answer counts as different; by default, as in the paper, any other option does.

    Attributes:
        min_total_variation: of log-probabilities: the total variation between the two answers'
            shares, in [0, 1], that has to be reached besides another likeliest option.
        max_p_value: of samples: the p-value, in (0, 1], that Fisher's exact test, one-sided, may
            have at most: that the aware replies do not choose their modal option more often than
            the unaware replies do. With one reply each it is 1.
    """

    min_total_variation: float = 0.0
    max_p_value: float = 1.0


class Mode(StrEnum):
    """One adapter for all cultures, or one for each."""

    JOINT = "joint"
    SPECIFIC = "specific"

    @property
    def batch_size(self) -> int:
        """The paper's: the examples of one culture are few."""
        return 128 if self is Mode.JOINT else 8

    def divide(self, cultures: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Return the cultures of each adapter, by the name of its folder."""
        return {"joint": cultures} if self is Mode.JOINT else {code: (code,) for code in cultures}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Hyper-parameters; the defaults are the paper's.

    Attributes:
        batch_size: examples per step; None takes the mode's.
        micro_batch_size: examples computed at a time; memory depends on it, results hardly do.
        warm_up_share: of all steps, in which the learning rate rises; after it, a cosine to 0.
        train_end: whether the end of turn after the label is trained too. A chat model ends there
            anyway and is kept from forgetting it; for a model that never learned to end after a
            label, the loss is mostly that.
        checkpoint_steps: steps between two checkpoints.
        max_tokens: of a prompt with its answer; longer examples are left out and counted.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    learning_rate: float = 1e-4
    warm_up_share: float = 0.1
    n_epochs: int = 1
    batch_size: int | None = None
    micro_batch_size: int = 8
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 0
    train_end: bool = True
    checkpoint_steps: int = 50
    max_tokens: int = 1024
