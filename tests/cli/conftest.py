"""Fixtures of the commands' tests."""

from __future__ import annotations

import pytest

from tests.app.service import open_for_run, share_library, share_retrieval

# Where a command that a test runs in this process opens what all of them may share.
OPENED = {
    "cli.calibrate.run.open_resources": open_for_run,
    "cli.evaluate.run.open_resources": open_for_run,
    "cli.evaluate.run.read_library": share_library,
    "cli.evaluate.run.open_retrieval": share_retrieval,
    "cli.culturespa.served_model.open_resources": open_for_run,
    "cli.culturespa.inputs.read_library": share_library,
    "cli.culturespa.jobs.read_library": share_library,
    "cli.experiments.jobs.read_library": share_library,
    "cli.experiments.store.read_library": share_library,
}


@pytest.fixture(autouse=True)
def opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands share packs and index, which are opened once for all tests."""
    for name, opener in OPENED.items():
        monkeypatch.setattr(name, opener)
