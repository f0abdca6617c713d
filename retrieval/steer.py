"""Which texts are answered for a culture."""

from __future__ import annotations

from enum import StrEnum


class Steer(StrEnum):
    """When evidence of a culture is used.

    `auto`: where a text is a survey's question, or asks for a value and is near to what a survey
    asked. `always`: whatever it is. `never`: for nothing.
    """

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
