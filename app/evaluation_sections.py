"""The sections of a report: all that was asked, and what the embedded model never saw."""

from __future__ import annotations

from collections.abc import Sequence

from app.settings import Settings
from evaluation.run_spec import SectionSpec
from mini_model.split import read_split
from mini_model.weights import WEIGHTS

HELD_OUT_TITLE = "Held out of the embedded model's training"
HELD_OUT_NOTE = (
    "Cultures and questions that the embedded model never trained on. What exemplars it is shown "
    "are these cultures' answers to other questions."
)


def sections_of(
    settings: Settings, cultures: Sequence[str], questions: Sequence[str], *, is_vllm: bool
) -> tuple[SectionSpec, ...]:
    """Return all cells, and for the embedded model those held out of its training as well."""
    every = SectionSpec(
        title="All questions and cultures", note="", cultures=cultures, questions=questions
    )
    is_embedded = is_vllm and not settings.vllm.urls and settings.vllm.model_path == WEIGHTS
    if not is_embedded:
        return (every,)
    split = read_split()
    apart = SectionSpec(
        title=HELD_OUT_TITLE,
        note=HELD_OUT_NOTE,
        cultures=tuple(code for code in cultures if code in split.cultures),
        questions=tuple(key for key in questions if key in split.questions),
    )
    if len(apart.questions) < 2 or not apart.cultures:
        return (every,)
    if apart.questions == every.questions and apart.cultures == every.cultures:
        return (apart,)
    return (every, apart)
