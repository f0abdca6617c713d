"""What the options of a question are labelled with, so that a model can name one in one token."""

from __future__ import annotations

import string
from enum import StrEnum


class LabelScheme(StrEnum):
    """How options are labelled; in order of preference.

    Numbers are what surveys show. Letters take their place for a model that writes a number of two
    digits in two tokens, as those do whose tokenizers split digits.
    """

    NUMBERS = "numbers"
    LETTERS = "letters"

    def can_label(self, n_options: int) -> bool:
        """Return whether there are as many labels: of numbers always, of letters 26."""
        return self is LabelScheme.NUMBERS or n_options <= len(string.ascii_uppercase)

    def list_labels(self, n_options: int, *, first_number: int = 1) -> tuple[str, ...]:
        """Return one label per option, in option order; letters begin at A whatever the number.

        Raises:
            ValueError: there are not as many letters.
        """
        if not self.can_label(n_options):
            raise ValueError(f"{n_options} options for 26 letters; expected at most 26")
        if self is LabelScheme.LETTERS:
            return tuple(string.ascii_uppercase[:n_options])
        return tuple(str(first_number + i) for i in range(n_options))
