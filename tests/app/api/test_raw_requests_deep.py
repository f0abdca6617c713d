"""Ten thousand damaged requests find no fault."""

from __future__ import annotations

import pytest

from tests.app.api.test_raw_requests import check_damaged, service_url

__all__ = ["service_url"]

N_PARTS, N_EACH = 10, 1_000


@pytest.mark.deep
@pytest.mark.parametrize("part", range(1, N_PARTS + 1))
def test_many_damaged_requests_find_no_fault(
    part: int, service_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = check_damaged(range(part * N_EACH, (part + 1) * N_EACH), service_url, caplog)

    print(f"{N_EACH} requests by status: {found}")
    assert found.get(200, 0) > N_EACH / 10
