"""The kinds of conditions: their order, titles and looks."""

from __future__ import annotations

from collections.abc import Iterable

from evaluation.asking import ConditionKind
from evaluation.figures import ConditionFigures

PLAIN = "plain"
KIND_TITLES: dict[ConditionKind, str] = {
    "reference": "References, without a model",
    "method": "Methods",
    "control": "Controls, wrong on purpose",
    "recorded": "Recorded answers",
}
# Okabe and Ito's colours, told apart by colour-blind people too; each kind also has its marker.
KIND_COLOURS: dict[ConditionKind, str] = {
    "reference": "#6b7280",
    "method": "#0072b2",
    "control": "#d55e00",
    "recorded": "#009e73",
}
KIND_MARKERS: dict[ConditionKind, str] = {
    "reference": "s",
    "method": "o",
    "control": "^",
    "recorded": "D",
}


def sort_by_kind(conditions: Iterable[ConditionFigures]) -> list[ConditionFigures]:
    """Return conditions by kind, as in `KIND_TITLES`, and in their own order within."""
    kinds = list(KIND_TITLES)
    return sorted(conditions, key=lambda condition: kinds.index(condition.kind))
