"""How the `milieu` command ends on an error that Milieu knows: one message, exit status 2.

A job of a command may raise any of these, so its docstring does not list them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from adapters.errors import AdapterError
from app.errors import AppError
from embedded_model.errors import EmbeddedModelError
from evaluation.errors import EvaluationError
from experiments.errors import ExperimentError
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
    EmbeddedModelError,
    # A file or folder that a command was given; the message names it.
    OSError,
)

MAX_MESSAGE_CHARS = 2000
# A terminal would obey them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn an error that Milieu knows into one message and exit status 2."""
    try:
        yield
    except Exception as exc:
        if not isinstance(exc, _list_known()):
            raise
        typer.secho(f"milieu: {tidy_message(str(exc))}", fg="red", err=True)
        sys.exit(2)


def tidy_message(text: str) -> str:
    """Return a message that may quote a file: of bounded length, its control characters spelt."""
    if len(text) > MAX_MESSAGE_CHARS:
        # What is expected, and what to do, stand last.
        half = MAX_MESSAGE_CHARS // 2
        text = f"{text[:half]} … {text[-half:]}"
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _list_known() -> tuple[type[Exception], ...]:
    # Where the client raised something, it is imported; `--help` must not be what imports it.
    client = sys.modules.get("milieu_client.errors")
    return KNOWN if client is None else (*KNOWN, client.MilieuError)
