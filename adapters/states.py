"""What there is to say of an adapter: its manifest, for whom it is active, and its effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from adapters.canary import measure_difference_nat
from adapters.manifest import AdapterManifest, Canary


class AdapterState(NamedTuple):
    """An adapter in the registry, the cultures that it is active for, and its state on the servers.

    `effect_nat` is the largest change of a canary's log-probability, None if none was measured.
    """

    manifest: AdapterManifest
    cultures: tuple[str, ...]
    is_loaded: bool
    effect_nat: float | None


def measure_effect_nat(canaries: Sequence[Canary]) -> float | None:
    """Return the largest change of a label's log-probability in nat, None without canaries."""
    if not canaries:
        return None
    base = [canary.base_logprobs for canary in canaries]
    return measure_difference_nat(base, [canary.adapter_logprobs for canary in canaries])
