"""Without adapters the base model answers for every culture."""

from __future__ import annotations

import pytest

from adapters.errors import AdaptersOff
from adapters.pool import Lease, ServedWeights, WeightsPool
from survey_data.cultures import read_catalogue

BASE = ServedWeights("base", adapter=None, base_model="base")


@pytest.mark.parametrize("code", ["DEU", "KEN", None])
async def test_the_base_model_answers_for_every_culture(code: str | None) -> None:
    culture = None if code is None else read_catalogue()[code]

    async with WeightsPool("base").lease(culture, "none") as leased:
        assert leased == Lease(BASE)


async def test_where_no_adapter_can_be_had_it_is_said() -> None:
    async with WeightsPool("base").lease(read_catalogue()["DEU"], "auto") as leased:
        assert leased == Lease(BASE, unavailable_because="the servers take no adapters")
    with pytest.raises(AdaptersOff):
        async with WeightsPool("base").lease(None, "a@12345678"):
            pass
