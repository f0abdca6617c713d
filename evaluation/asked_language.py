"""The names of what a run may ask in; free of imports that a command's help would pay for."""

from __future__ import annotations

from enum import StrEnum


class AskedLanguage(StrEnum):
    """What questions and prompts are in: one language, or each culture's own.

    `own` is the most spoken one of the culture that there are prompts and translations in, else
    English.
    """

    EN = "en"
    DE = "de"
    ES = "es"
    PT = "pt"
    RU = "ru"
    ZH = "zh"
    OWN = "own"
