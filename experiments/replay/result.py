"""What a replay found, as it is kept and sent. Numbers that cannot be given are None."""

from __future__ import annotations

from typing import Final, Literal

from experiments.analysis.result import OfflineAlignment, Result, SourceCount, Span
from experiments.definition import Experiment

SCHEMA_VERSION: Final = 1
# The error rate of each interval by itself.
ALPHA: Final = 0.05


class MeanEstimate(Result):
    """A mean, or a mean of paired differences, with its 95 % interval.

    Attributes:
        span: the ends are None if there are fewer than two questions to tell them from.
        n: answers, or pairs of answers, that it is of.
        n_questions: questions that they are of.
    """

    span: Span
    n: int
    n_questions: int


class ArmReplay(Result):
    """One arm by itself.

    Attributes:
        id: `Arm.id`, which another way of answering does not have.
        n_answers, n_failed: requests that it answered, and those that it did not.
        n_shown: answers with exemplars.
        levels: metric → mean.
        differences: metric → mean difference to control, over requests that both answered; empty
            for control.
        sources, n_model_asked: as of `ArmFigures`.
    """

    name: str
    id: str
    about: str
    is_control: bool
    n_answers: int
    n_failed: int
    n_shown: int
    levels: dict[str, MeanEstimate]
    differences: dict[str, MeanEstimate]
    sources: tuple[SourceCount, ...] = ()
    n_model_asked: int = 0


class CultureReplay(Result):
    """The alignment of all arms for one culture.

    Attributes:
        levels: arm → mean.
        differences: arm → mean difference to control; control is not among them.
    """

    culture: str
    name: str
    levels: dict[str, MeanEstimate]
    differences: dict[str, MeanEstimate]


class ReplayReason(Result):
    """Why an arm did not answer, or not in its own way, and how often."""

    arm: str
    reason: str
    n: int


class Replay(Result):
    """All that a replay found.

    Attributes:
        definition_id: `Experiment.id` of what was replayed.
        made_ms: when, in milliseconds since 1970 (UTC).
        source, notes: what was asked, in words, and what was left out of it and why.
        seed: of draws, and of requests that have none of their own.
        n_planned, n_requests: requests that were to be asked of all arms, and those that were; one
            request is one question to one culture.
        n_questions: different questions among these.
        arms: in the order of the definition.
        cultures: by code; empty if no alignment is known.
        n_shown: requests that at least two arms showed exemplars to.
        same_shown: the share of them, in [0, 1], for which these arms showed the same ones.
        failures, fallbacks: by arm, in the order of the definition, the most frequent first.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    experiment: str
    definition_id: str
    made_ms: int
    source: str
    notes: tuple[str, ...]
    model: str
    seed: int
    control: str
    n_planned: int
    n_requests: int
    n_questions: int
    arms: tuple[ArmReplay, ...]
    cultures: tuple[CultureReplay, ...]
    n_shown: int
    same_shown: float | None
    failures: tuple[ReplayReason, ...]
    fallbacks: tuple[ReplayReason, ...]

    @property
    def has_answers(self) -> bool:
        """Whether any arm answered anything."""
        return any(arm.n_answers for arm in self.arms)

    @property
    def compared_arms(self) -> tuple[ArmReplay, ...]:
        """The arms that are compared with control."""
        return tuple(arm for arm in self.arms if not arm.is_control)

    def offline(self, experiment: Experiment | None = None) -> dict[str, OfflineAlignment]:
        """Return the alignment of each arm for the experiment's report.

        Arms are left out whose alignment is not known, or of one question only; with the experiment
        as it is now, also those that now answer in another way than when they were replayed.
        """
        now = None if experiment is None else {arm.name: arm.id for arm in experiment.arms}
        return {
            arm.name: OfflineAlignment(**span.model_dump(), source=self.source)
            for arm in self.arms
            if (now is None or now.get(arm.name) == arm.id)
            and "alignment" in arm.levels
            and None not in (span := arm.levels["alignment"].span).model_dump().values()
        }
