"""The sections of a report: all cells, and those that the embedded model never saw."""

from __future__ import annotations

from collections.abc import Sequence

from app.settings import Settings
from evaluation.sections import SectionSpec
from survey_data.split import read_split

HELD_OUT_TITLE = "Held out of the embedded model's training"
HELD_OUT_NOTE = (
    "Cultures and questions that the embedded model never trained on. What exemplars it is shown "
    "are these cultures' answers to other questions."
)
ANY_CULTURE_TITLE = "Held-out questions, as any culture"
ANY_CULTURE_NOTE = (
    "Questions that the embedded model never trained on. Of most of these cultures it did train on "
    "answers to other questions, some of them much like these."
)
UNLIKE_TITLE = "Held-out questions that are like none of training, as any culture"
UNLIKE_NOTE = (
    "Of the former, those that count as the same as no question that is not held out; without the "
    "items of the values surveys, which the embedded model knows in other words."
)


def make_sections(
    settings: Settings,
    cultures: Sequence[str],
    questions: Sequence[str],
    *,
    is_vllm: bool,
    unlike: Sequence[str] | None = None,
) -> tuple[SectionSpec, ...]:
    """Return all cells, and for the embedded model those held out of its training as well.

    `unlike` is given if held-out questions are asked as any culture: those that are like none of
    its training.
    """
    every = SectionSpec(
        title="All questions and cultures", note="", cultures=cultures, questions=questions
    )
    is_embedded = is_vllm and settings.vllm.is_embedded
    if not is_embedded:
        return (every,)
    split = read_split()
    sections = [every]
    if unlike is not None:
        about = {"title": ANY_CULTURE_TITLE, "note": ANY_CULTURE_NOTE}
        sections = [every.model_copy(update=about)]
        if 2 <= len(unlike) < len(questions):
            about = {"title": UNLIKE_TITLE, "note": UNLIKE_NOTE}
            sections.append(every.model_copy(update=about | {"questions": tuple(unlike)}))
    apart = SectionSpec(
        title=HELD_OUT_TITLE,
        note=HELD_OUT_NOTE,
        cultures=tuple(code for code in cultures if code in split.cultures),
        questions=tuple(key for key in questions if key in split.questions),
    )
    if len(apart.questions) < 2 or not apart.cultures:
        return tuple(sections)
    if (apart.questions, apart.cultures) == (every.questions, every.cultures):
        return (apart,)
    return (*sections, apart)
