"""What an answer stands on, and what it may be wanted from."""

from __future__ import annotations

from enum import StrEnum


class Source(StrEnum):
    """What an answer stands on, the surest first.

    `survey`: the question was asked of this culture. `transfer`: it was asked elsewhere.
    `related`: it was asked nowhere, but questions like it were. `model`: the model alone.
    """

    SURVEY = "survey"
    TRANSFER = "transfer"
    RELATED = "related"
    MODEL = "model"


class AnswerFrom(StrEnum):
    """What an answer with options may stand on.

    `auto`: the best source. `survey`: what the people themselves said. `tables`: estimated from
    the surveys, as if the people had not been asked. `model`: what the model says.
    """

    AUTO = "auto"
    SURVEY = "survey"
    TABLES = "tables"
    MODEL = "model"

    def find_first(self, sources: tuple[Source, ...]) -> Source | None:
        """Return the first of `sources` that the answer may stand on; None where it may on none."""
        return next((source for source in sources if source in _ALLOWED[self]), None)


_ALLOWED = {
    AnswerFrom.AUTO: frozenset(Source),
    AnswerFrom.SURVEY: frozenset({Source.SURVEY}),
    AnswerFrom.TABLES: frozenset({Source.TRANSFER, Source.RELATED}),
    AnswerFrom.MODEL: frozenset({Source.MODEL}),
}
