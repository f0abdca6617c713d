"""The splits of a run, by name; without what draws them, so that help is quick."""

from __future__ import annotations

from enum import StrEnum


class SplitName(StrEnum):
    """Which questions count as unknown together.

    `held-out`: all that the embedded model was not trained on. `like`: tenths of the questions.
    `battery`: tenths made of whole batteries, questions of one topic with the same options.
    """

    HELD_OUT = "held-out"
    LIKE = "like"
    BATTERY = "battery"
