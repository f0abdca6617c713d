"""The stream of examples that the adapter is trained on, the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from embedded_model.reader.conversations import Conversation, draw_told, draw_untold
from embedded_model.reader.labels import LabelRequest, draw_labels
from embedded_model.reader.material import Material

Example: TypeAlias = Conversation | LabelRequest


@dataclass(frozen=True)
class ExampleStream:
    """Draws examples of every kind.

    Attributes:
        material: what they are made of.
        kinds: how often each kind is drawn, of `told`, `untold` and `labels`.
        seed: decides every draw.
    """

    material: Material
    kinds: Mapping[str, float]
    seed: int = 0

    def draw(self, step: int, n: int) -> list[Example]:
        """Return the `n` examples of a step; they are its own, whatever was drawn before."""
        rng = np.random.default_rng((self.seed, step))
        shares = [share / sum(self.kinds.values()) for share in self.kinds.values()]
        kinds = rng.choice(list(self.kinds), size=n, p=shares)
        return [self._draw(rng, str(kind)) for kind in kinds]

    def _draw(self, rng: np.random.Generator, kind: str) -> Example:
        match kind:
            case "told":
                return draw_told(rng, self.material)
            case "untold":
                return draw_untold(rng, self.material)
        return draw_labels(rng, self.material)
