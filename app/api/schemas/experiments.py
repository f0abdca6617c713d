"""The shapes of what `/v1/feedback` and `/v1/experiments` take and say."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from app.api.schemas.answer import MAX_UNIT_CHARS, Body
from app.api.schemas.sources import ResponseModel
from experiments.definition import State
from experiments.definition_file import NAME_PATTERN
from experiments.events import MAX_COMMENT_CHARS, MAX_KEY_CHARS, MAX_NUMBER, Outcome, OutcomeKind
from experiments.unit import Unit, UnitKind

AnswerId = Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARS)]
UnitText = Annotated[str, Field(max_length=MAX_UNIT_CHARS)]
Number = Annotated[StrictInt | StrictFloat, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
COMMENT_METRIC = "comment"


class FeedbackBody(Body):
    """What came of an answer, or of a user's time in an experiment."""

    answer_id: AnswerId | None = Field(None, description="The `id` of the answer.")
    experiment: str | None = Field(
        None, pattern=NAME_PATTERN, description="For an outcome of a user rather than an answer."
    )
    user: UnitText = ""
    session: UnitText = ""
    metric: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        description="What is measured; may be left out for a comment alone.",
        examples=["helpful"],
    )
    value: StrictBool | Number | None = Field(None, description="Yes or no, or a number.")
    rating: Number | None = Field(
        None, description="A number on the scale that the experiment's metric has."
    )
    preferred: AnswerId | None = Field(
        None, description="Of answers that were shown together, the `id` of the preferred one."
    )
    comment: str = Field("", max_length=MAX_COMMENT_CHARS)
    key: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_KEY_CHARS,
        description="Sent again with the same key it is taken once. By default one per answer "
        "(or user) and metric. The header `Idempotency-Key` does the same.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [n for n in ("value", "rating", "preferred") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"found {' and '.join(given)}, expected one of them")
        if not given and not self.comment:
            raise ValueError("found nothing to take, expected value, rating, preferred or comment")
        if given and self.metric is None:
            raise ValueError(f"found a {given[0]} without a metric, expected the metric's name")
        of_unit = bool(self.user or self.session)
        if (self.answer_id is None) == (self.experiment is None) or (
            (self.experiment is not None) != of_unit
        ):
            raise ValueError(
                "expected an answer_id; or an experiment, and the user or session it is about"
            )
        if self.user and self.session:
            raise ValueError("found a user and a session, expected one of them")
        if self.preferred is not None and self.answer_id is None:
            raise ValueError("found a preferred answer for a user, expected an answer_id with it")
        return self

    @property
    def unit(self) -> Unit | None:
        """Whom it is about, None for an outcome of an answer."""
        if self.experiment is None:
            return None
        if self.user:
            return Unit(UnitKind.USER, self.user)
        return Unit(UnitKind.SESSION, self.session)

    def outcome(self, *, unit_hash: str, key: str | None, time_ms: int) -> Outcome:
        """Return the outcome; `unit_hash` is empty for one of an answer."""
        metric = self.metric or COMMENT_METRIC
        kind, number = self._value()
        return Outcome(
            metric=metric,
            kind=kind,
            number=number,
            answer_id=self.answer_id or "",
            experiment=self.experiment or "",
            unit=unit_hash,
            preferred=self.preferred or "",
            comment=self.comment,
            key=key or f"{self.answer_id or f'{self.experiment}/{unit_hash}'}/{metric}",
            time_ms=time_ms,
        )

    def _value(self) -> tuple[OutcomeKind, float | None]:
        if self.preferred is not None:
            return OutcomeKind.PREFERRED, float(self.preferred == self.answer_id)
        if self.rating is not None:
            return OutcomeKind.RATING, float(self.rating)
        if isinstance(self.value, bool):
            return OutcomeKind.BOOLEAN, float(self.value)
        if self.value is not None:
            return OutcomeKind.NUMBER, float(self.value)
        return OutcomeKind.COMMENT, None


class FeedbackReceipt(ResponseModel):
    """Proof that an outcome is kept."""

    key: str
    received_ms: int = Field(description="When it was first taken, in ms of UTC since 1970.")
    repeated: bool = Field(description="Whether it was there already, under the same key.")
    experiment: str | None = Field(description="The experiment that the answer or user is in.")
    counts: bool = Field(description="Whether it is of one of the experiment's metrics.")
    notes: list[str]


class ExperimentSummary(ResponseModel):
    """An experiment in a list."""

    name: str
    state: State
    revision: int
    changed_ms: int = Field(description="When this revision came, in ms of UTC since 1970.")
    hypothesis: str
    primary_metric: str
    arms: list[str]
    cultures: list[str] = Field(description="Alpha-3 codes; none for all.")


class ExperimentsResponse(ResponseModel):
    """All experiments, the first created first."""

    experiments: list[ExperimentSummary]


class RevisionDetail(ResponseModel):
    """One revision of an experiment."""

    revision: int
    state: State
    changed_ms: int
    definition: dict[str, Any]


class ExperimentDetail(ExperimentSummary):
    """An experiment with its definition as the file format has it, and all its revisions."""

    definition: dict[str, Any]
    revisions: list[RevisionDetail]
    notes: list[str] = Field(
        default_factory=list, description="When it has just started: what to know of its arms."
    )


class StartBody(Body):
    """How to start."""

    allow_unsent: bool = Field(
        False, description="Start although nobody has sent one of the metrics yet."
    )


class DecideBody(Body):
    """What came of the experiment."""

    decision: str = Field(min_length=1, max_length=4000, examples=["Ship icl: +6 points helpful."])


class ForgetBody(Body):
    """Whose data is deleted."""

    user: UnitText = ""
    session: UnitText = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.user) == bool(self.session):
            raise ValueError("expected a user or a session, and not both")
        return self

    @property
    def unit(self) -> Unit:
        """Who it is."""
        if self.user:
            return Unit(UnitKind.USER, self.user)
        return Unit(UnitKind.SESSION, self.session)


class ForgottenCounts(ResponseModel):
    """What was deleted."""

    n_exposures: int
    n_outcomes: int
    n_texts: int
    n_assignments: int
