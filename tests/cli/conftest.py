"""Fixtures of the commands' tests."""

from __future__ import annotations

from functools import cache

import pytest

from app.settings import Settings
from app.state.retrieval import load_encoder
from retrieval.encoder import CachedEncoder, Encoder
from tests.app.service import open_for_run, share_library, share_retrieval


@cache
def load_encoder_once(settings: Settings) -> Encoder:
    """Return the encoder, which encodes a text once for all tests."""
    return CachedEncoder(load_encoder(settings), max_entries=20_000)


def share_encoder(settings: Settings) -> Encoder:
    """Return the encoder that all tests share; it depends on nothing but these settings."""
    return load_encoder_once(Settings(encoder=settings.encoder))


# Where a command that a test runs in this process opens what all of them may share.
OPENED = {
    "app.state.retrieval.load_encoder": share_encoder,
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
