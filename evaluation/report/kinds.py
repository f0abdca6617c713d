"""The kinds of conditions: their order, titles and looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evaluation.asking import ConditionKind
from evaluation.figures import ConditionFigures

PLAIN = "plain"


class KindLook(NamedTuple):
    """How conditions of one kind are headed and drawn."""

    title: str
    colour: str
    marker: str


# Okabe and Ito's colours, which colour-blind people can tell apart; markers differ as well.
KINDS: dict[ConditionKind, KindLook] = {
    "reference": KindLook("References, without a model", "#6b7280", "s"),
    "estimate": KindLook("From the tables, calibrated and pooled", "#cc79a7", "P"),
    "method": KindLook("Methods", "#0072b2", "o"),
    "control": KindLook("Controls, wrong on purpose", "#d55e00", "^"),
    "recorded": KindLook("Recorded answers", "#009e73", "D"),
}


def sort_by_kind(conditions: Iterable[ConditionFigures]) -> list[ConditionFigures]:
    """Return conditions by kind, as in `KINDS`, and in their own order within."""
    kinds = list(KINDS)
    return sorted(conditions, key=lambda condition: kinds.index(condition.kind))
