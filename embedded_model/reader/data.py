"""The stream of examples that the adapter is trained on, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from embedded_model.reader.conversations import Conversation, draw_told, draw_untold
from embedded_model.reader.labels import LabelRequest, draw_labels
from embedded_model.reader.material import Material

Example: TypeAlias = Conversation | LabelRequest

# How many of a hundred examples are of each kind.
KINDS = {"told": 62, "untold": 16, "labels": 22}


@dataclass(frozen=True)
class ExampleStream:
    """Draws examples of every kind.

    Attributes:
        material: what they are made of.
        seed: decides every draw.
    """

    material: Material
    seed: int = 0

    def draw(self, step: int, n: int) -> list[Example]:
        """Return the `n` examples of a step; they are its own, whatever was drawn before."""
        rng = np.random.default_rng((self.seed, step))
        kinds = rng.choice(list(KINDS), size=n, p=[share / 100 for share in KINDS.values()])
        return [self._draw(rng, str(kind)) for kind in kinds]

    def _draw(self, rng: np.random.Generator, kind: str) -> Example:
        match kind:
            case "told":
                return draw_told(rng, self.material)
            case "untold":
                return draw_untold(rng, self.material)
        return draw_labels(rng, self.material)
