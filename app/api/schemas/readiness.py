"""The shape of what `/readyz` says."""

from __future__ import annotations

from pydantic import Field

from app.api.schemas.answer import Health
from app.api.schemas.sources import ResponseModel
from prompting.recipe import ExemplarStyle, Method
from retrieval.selector_name import SelectorName


class PoolQuality(ResponseModel):
    """How near shares come to what people said, on questions that nothing was fitted on.

    Each is a mean of 1 minus the Jensen-Shannon distance; higher is nearer.
    """

    n_questions: int
    raw: float = Field(description="The model's own shares.")
    calibrated: float = Field(description="The model's shares, put right.")
    related: float = Field(description="Estimates from like questions alone.")
    pooled: float = Field(description="Both, as an answer gives them.")


class CalibratedMethod(ResponseModel):
    """A way to ask the model that it is calibrated for, and what is reached by it."""

    method: Method
    exemplar_style: ExemplarStyle | None = Field(
        description="Null where the method shows no exemplars."
    )
    k: int | None
    retriever: SelectorName | None
    orders: int
    near: PoolQuality | None = Field(
        description="Where like questions tell much. Null where too few questions were such."
    )
    far: PoolQuality | None = Field(description="Where they tell little.")


class CalibrationStatus(ResponseModel):
    """The calibration that answers use."""

    id: str
    methods: list[CalibratedMethod]


class Readiness(Health):
    """Whether an answer can be given, and whether the model's shares are calibrated."""

    calibration: CalibrationStatus | None = None
    calibration_refused_because: str | None = Field(
        None, description="Why a calibration that is there is not used; `milieu calibrate` renews."
    )
