"""What training sees, and when: the kinds of requests, and the stages of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

# Steps at which the second, the third and the last stage begin.
SECOND_STAGE_STEP, THIRD_STAGE_STEP, LAST_STAGE_STEP = 60, 800, 1200


class Kind(StrEnum):
    """What a request wants: an option, a sentence, a new question, or what can't be given."""

    OPEN = "open"
    OTHER = "other"
    JSON = "json"
    FREE = "free"
    SURVEY = "survey"


@dataclass(frozen=True)
class Mixture:
    """What a stage of training sees; the shares of the kinds of population sum to 1."""

    style: float
    smooth: float
    survey: float
    # Share of the surveyed peoples that get a response style of their own on top.
    tilted: float = 0.4
    # Shares of `STRAYING`: how far exemplars are from the nearest ones, which the service shows.
    straying: tuple[float, ...] = (0.6, 0.2, 0.1, 0.1)
    # Numbers of exemplars that are drawn from; the service's default is the most frequent.
    n_exemplars: tuple[int, ...] = (0, 0, 0, 0, 1, 2, 3, 5, 5, 5, 5, 10)
    # What the asked question counts for, if each answer among the exemplars counts for 1.
    asked_weight: float = 2.0
    # What answers count for, if replies count for `losses.REPLY_WEIGHT`.
    answer_weight: float = 1.0
    # Shares of requests that are open questions, are about something else, want a new question as
    # JSON, or put a closed question in a user's own layout; the rest are survey questions.
    open: float = 0.12
    other: float = 0.05
    json: float = 0.18
    free: float = 0.07

    def draw_kind(self, rng: np.random.Generator) -> Kind:
        """Return the kind of the next request."""
        shares = [self.open, self.other, self.json, self.free]
        return list(Kind)[int(rng.choice(len(Kind), p=[*shares, 1.0 - sum(shares)]))]


def mix(step: int) -> Mixture:
    """Return the mixture at `step`: the simplest populations first, real ones last."""
    if step < SECOND_STAGE_STEP:
        return Mixture(0.3, 0.3, 0.4)
    if step < THIRD_STAGE_STEP:
        return Mixture(0.08, 0.17, 0.75)
    # The service's requests, as they are: now it counts how far exemplars can be trusted.
    as_served = Mixture(
        style=0.03,
        smooth=0.05,
        survey=0.92,
        tilted=0.25,
        straying=(0.9, 0.06, 0.02, 0.02),
        n_exemplars=(0, 0, 0, 0, 1, 3, 5, 5, 5, 5, 10),
        asked_weight=8.0,
    )
    if step < LAST_STAGE_STEP:
        return as_served
    # Words need more examples than answers do, which are held in place: on all kinds of questions.
    return replace(
        as_served,
        style=0.05,
        smooth=0.35,
        survey=0.6,
        n_exemplars=(0, 0, 0, 1, 1, 2, 3, 5, 5, 5),
        answer_weight=4.0,
        open=0.42,
        other=0.12,
        json=0.22,
        free=0.03,
    )
