"""The record of what was answered how: append-only exposures."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Protocol

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exposure:
    """One answer that a unit was given by an arm; no text of the question or the answer.

    Attributes:
        answer_id: the id under which the answer was returned.
        unit: who was answered, as the client named them, empty where it did not.
        culture: alpha-3 code, empty for an unsteered request.
        steered: whether evidence or a persona of the culture was in the prompt.
    """

    answer_id: str
    arm: str
    unit: str
    culture: str
    model: str
    steered: bool


class ExposureStore(Protocol):
    """Where exposures are appended."""

    def append(self, exposure: Exposure) -> None:
        """Record `exposure`, without blocking the event loop."""
        ...


class ExposureLog:
    """Writes exposures to the log, as the event `exposure_recorded`; units are left out of it."""

    def append(self, exposure: Exposure) -> None:
        """Log `exposure` at INFO."""
        fields = asdict(exposure)
        del fields["unit"]
        logger.info("exposure_recorded", extra={"fields": fields})
