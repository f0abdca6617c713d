"""A gate for releases: no culture may fall below what an earlier run found for it."""

from __future__ import annotations

from typing import NamedTuple

from evaluation.errors import BaselineInvalid
from evaluation.figures import Figures, Interval


class Fall(NamedTuple):
    """A culture that fell below its interval; `found` is None where it is measured no more."""

    condition: str
    culture: str
    metric: str
    found: float | None
    baseline: Interval


def falls(figures: Figures, baseline: Figures) -> tuple[Fall, ...]:
    """Return every culture of `baseline` that is now below its interval there.

    Compared are the distribution similarity and the alignment score of every method, over all
    cells (the first section), each against the lower end of the baseline's 95 % interval. What the
    baseline measured and the new run did not is a fall too.

    Raises:
        BaselineInvalid: the baseline is of another pack or of no method, so that nothing could
            fall.
    """
    if baseline.pack != figures.pack:
        raise BaselineInvalid(
            f"the baseline is of pack '{baseline.pack}', this run of '{figures.pack}'"
        )
    now = {of.name: of for of in figures.sections[0].conditions}
    found: list[Fall] = []
    methods = [of for of in baseline.sections[0].conditions if of.kind == "method"]
    if not any(of.by_culture for of in methods):
        raise BaselineInvalid("the baseline has figures of no method")
    for then in methods:
        for culture, wanted in then.by_culture.items():
            own = now[then.name].by_culture.get(culture) if then.name in now else None
            for metric in ("similarity", "alignment"):
                interval: Interval | None = getattr(wanted, metric)
                value: Interval | None = getattr(own, metric, None)
                if interval is None:
                    continue
                if value is None or value.value < interval.low:
                    is_value = None if value is None else value.value
                    found.append(Fall(then.name, culture, metric, is_value, interval))
    return tuple(found)
