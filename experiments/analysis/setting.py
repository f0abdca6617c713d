"""What an analysis is told beside the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.analysis.result import OfflineAlignment
from experiments.statistics.planning import SamplePlan


@dataclass(frozen=True, slots=True)
class Setting:
    """What an analysis is told beside the events.

    Attributes:
        cultures: alpha-3 code → name, of all cultures that may come; without any, all there are.
        plan: of `plan_sample`, made before the start; None for none.
        offline: arm → alignment with people's answers, measured offline.
    """

    cultures: Mapping[str, str] = field(default_factory=dict)
    plan: SamplePlan | None = None
    offline: Mapping[str, OfflineAlignment] = field(default_factory=dict)
