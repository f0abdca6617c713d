"""What is made once and then read: one worker makes it while the others wait."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.settings import Settings
from app.state.retrieval import Retrieval, open_retrieval
from survey_data.library import SurveyLibrary


@contextmanager
def take_turn(file: Path) -> Iterator[None]:
    """Hold `file` for the block: alone if nobody does, else with others after whoever is alone."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def open_retrieval_in_turn(folder: Path, settings: Settings, library: SurveyLibrary) -> Retrieval:
    """Open packs' vectors and estimates; where they have to be made first, one worker does.

    `folder` is that of the workers.

    Raises:
        RetrievalError: as `open_retrieval` does.
    """
    with take_turn(folder / "retrieval.lock"):
        retrieval = open_retrieval(settings, library)
        retrieval.prepare()
    return retrieval
