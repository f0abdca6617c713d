"""What the `milieu` command says besides its result: warnings, and one message of what failed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from adapters.errors import AdapterError
from app.errors import AppError
from app.settings import Settings, read_settings
from app.telemetry import configure_logging
from evaluation.errors import EvaluationError
from experiments.errors import ExperimentError
from mini_model.weights import WeightsInvalid
from prompting.errors import PromptingError
from retrieval.errors import RetrievalError
from survey_data.errors import SurveyDataError

KNOWN = (
    AppError,
    AdapterError,
    SurveyDataError,
    RetrievalError,
    PromptingError,
    EvaluationError,
    ExperimentError,
    WeightsInvalid,
    # A file or folder that a command was given; the message names it.
    OSError,
)
notes = Console(stderr=True)


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error that Milieu knows into one message and exit status 2."""
    try:
        yield
    except KNOWN as exc:
        notes.print(f"milieu: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


def quiet_settings() -> Settings:
    """Return the settings of the environment, for a command that logs warnings only.

    Raises:
        SettingsInvalid: they do not fit.
    """
    settings = read_settings(log_level="WARNING")
    configure_logging(level=settings.log_level, as_json=False)
    return settings
