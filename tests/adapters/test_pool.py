"""Without adapters the base model answers for every culture."""

from __future__ import annotations

import pytest

from adapters.pool import ServedWeights, WeightsPool
from survey_data.cultures import read_catalogue


@pytest.mark.parametrize("code", ["DEU", "KEN", None])
def test_the_base_model_answers_for_every_culture(code: str | None) -> None:
    culture = None if code is None else read_catalogue()[code]

    assert WeightsPool("base").weights_for(culture) == ServedWeights("base", adapter=None)
