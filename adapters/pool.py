"""Which weights answer for a culture."""

from __future__ import annotations

from typing import NamedTuple

from survey_data.cultures import Culture


class ServedWeights(NamedTuple):
    """A model name that the server knows, and the adapter in it, if it is not the base model."""

    model: str
    adapter: str | None


class WeightsPool:
    """Maps a culture to the weights that answer for it. Without adapters that is the base model."""

    def __init__(self, base_model: str) -> None:
        self.base_model = base_model

    def weights_for(self, culture: Culture | None) -> ServedWeights:
        """Return the weights for `culture`; None is a request without one."""
        return ServedWeights(self.base_model, None)
