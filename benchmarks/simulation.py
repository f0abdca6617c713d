"""What the simulations of experiments share: how much is simulated, and what was broken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rich.console import Console
from scipy.stats import binom

CHANCE = 0.001
out = Console(width=120)


@dataclass
class Bench:
    """How much is simulated, and which bounds were broken."""

    n_runs: int
    n_events: int
    broken: list[str] = field(default_factory=list)

    def held(self, name: str, n_errors: int, n_runs: int, bound: float) -> str:
        """Return the share of errors as shown, and note it where the bound is broken."""
        holds = float(binom.sf(n_errors - 1, n_runs, bound)) >= CHANCE
        if not holds:
            self.broken.append(f"{name}: {n_errors} of {n_runs}, bound {bound:.1%}")
        return f"{n_errors / n_runs:.2%}{'' if holds else ' BROKEN'}"


def shown_units(n: float) -> str:
    """Return a number of units as shown."""
    return "later" if math.isinf(n) else f"{n:,.0f}"
