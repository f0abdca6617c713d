"""What a training run is set to."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Hyper-parameters.

    Attributes:
        minutes: of training, checkpoints and resumed parts among them.
        n_steps: that end it before, None for no such end.
        rank, alpha: of the LoRA; what it adds is multiplied by alpha / rank.
        learning_rate: at its peak, after `n_warmup` steps; it falls in a cosine over the run.
        batch_size: examples of a step.
        micro_tokens: that are computed at once, padding among them.
        max_tokens: of an example; longer ones are left out.
        reply_weight, label_weight: of the two losses.
        told, untold, labels: how often each kind of example is drawn.
        starts_from: the sha256 of the adapter's weights that training goes on from, "" from none.
        seed: of data and weights.
    """

    minutes: float = 180.0
    n_steps: int | None = None
    rank: int = 16
    alpha: int = 32
    learning_rate: float = 1e-3
    n_warmup: int = 20
    batch_size: int = 8
    micro_tokens: int = 2048
    max_tokens: int = 1200
    max_norm: float = 1.0
    reply_weight: float = 1.0
    label_weight: float = 0.3
    told: float = 62.0
    untold: float = 16.0
    labels: float = 22.0
    starts_from: str = ""
    seed: int = 0

    @property
    def kinds(self) -> dict[str, float]:
        """How often each kind of example is drawn, by its name."""
        return {"told": self.told, "untold": self.untold, "labels": self.labels}

    def measure_progress(self, step: int, elapsed_s: float) -> float:
        """Return how much of a run is done, in [0, 1]."""
        done = elapsed_s / (60.0 * self.minutes)
        if self.n_steps is not None:
            done = max(done, step / self.n_steps)
        return min(1.0, done)

    def choose_rate(self, step: int, progress: float) -> float:
        """Return the learning rate of a step, from 0."""
        warm = min(1.0, (step + 1) / self.n_warmup)
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * progress))
