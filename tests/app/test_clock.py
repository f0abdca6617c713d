"""The clock of the machine is set back, or ahead, while the service runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.api.sessions import Role, Sessions
from app.errors import RateExceeded
from app.setting_groups import LimitSettings
from app.state.key_limits import KeyLimits
from app.state.shared import SharedFile
from tests.app.experiments import NAME, experiment_settings, service
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import FakeServer

DAY_S = 86_400.0
SetClock = Callable[[float], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Return what sets the time by so many seconds; what counts spans goes on."""
    read, read_ns = time.time, time.time_ns

    def set_by(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: read() + seconds)
        monkeypatch.setattr(time, "time_ns", lambda: read_ns() + round(seconds * 1e9))

    return set_by


async def test_answers_arms_and_outcomes_go_on_after_the_clock_was_set_back(
    fake_server: FakeServer,
    fake: FakeVllm,
    cache_folder: Path,
    tmp_path: Path,
    set_clock: SetClock,
) -> None:
    settings = experiment_settings(fake_server.url, cache_folder, tmp_path)
    async with service(settings) as milieu:
        await milieu.running()
        before = await milieu.ask("u1")
        set_clock(-DAY_S)
        late = await milieu.feedback(before["id"])
        after = await milieu.ask("u1")
        soon = await milieu.feedback(after["id"], value=False, metric="clear")
        report = await milieu.admin("GET", f"/{NAME}/report")
        set_clock(0.0)
        found = await milieu.admin("GET", f"/{NAME}/report")

    assert before["experiment"]["arm"] == after["experiment"]["arm"]
    assert (late["experiment"], late["counts"]) == (NAME, True)
    assert soon["experiment"] == NAME
    # What lies ahead of the clock counts when that has come there.
    assert (report["progress"]["n_answers"], found["progress"]["n_answers"]) == (1, 2)


@pytest.mark.parametrize("by_s", [-DAY_S, DAY_S])
def test_limits_and_sessions_do_not_see_the_clock(set_clock: SetClock, by_s: float) -> None:
    file = SharedFile(None)
    limits, sessions = KeyLimits(LimitSettings(rate="2/minute"), file), Sessions()
    token = sessions.open(Role.USER)
    with limits.hold("one"):
        set_clock(by_s)

    with limits.hold("one"):
        pass
    with pytest.raises(RateExceeded) as caught, limits.hold("one"):
        pass
    file.close()

    assert 0.0 < caught.value.retry_after_s <= 60.0
    assert sessions.find(token) is Role.USER
