"""A gate for releases: no culture may fall below what an earlier run found for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from evaluation.errors import BaselineInvalid
from evaluation.figures import SCHEMA_VERSION, BootstrapInterval, ConditionFigures, Figures


class Fall(NamedTuple):
    """A culture that fell below its interval; `found` is None if it is no longer measured."""

    condition: str
    culture: str
    metric: str
    found: float | None
    baseline: BootstrapInterval


def check_coverage(
    baseline: Figures, *, conditions: Collection[str], cultures: Collection[str]
) -> None:
    """Return if a run will measure all methods and cultures that `baseline` has.

    Raises:
        BaselineInvalid: it will not; what is missing is named.
    """
    methods = _methods(baseline)
    wanted = [of.name for of in methods] + sorted({c for of in methods for c in of.by_culture})
    missing = [name for name in wanted if name not in {*conditions, *cultures}]
    if missing:
        raise BaselineInvalid(
            f"this run does not measure {', '.join(missing)}, as the baseline did"
        )


def check_baseline(baseline: Figures, *, pack: str, compared: str) -> None:
    """Return if a run that asks `compared` can be compared with `baseline`.

    Raises:
        BaselineInvalid: the baseline is of another pack, of other questions or figures of it, of
            another form, or of no method, so that nothing could fall.
    """
    if baseline.schema_version != SCHEMA_VERSION:
        raise BaselineInvalid(
            f"its schema_version is {baseline.schema_version}, this version's {SCHEMA_VERSION}"
        )
    if baseline.pack != pack:
        raise BaselineInvalid(f"the baseline is of pack '{baseline.pack}', this run of '{pack}'")
    if baseline.compared != compared:
        raise BaselineInvalid(
            "the baseline asked other questions of the pack, in other option orders, with other "
            "seeds, or the pack had other figures"
        )
    if not any(of.by_culture for of in _methods(baseline)):
        raise BaselineInvalid("the baseline has figures of no method")


def find_falls(figures: Figures, baseline: Figures) -> tuple[Fall, ...]:
    """Return every culture of `baseline` that is now below its interval there.

    Compared are the distribution similarity and the alignment score of every method, over all
    cells (the first section), each against the lower end of the baseline's 95 % interval. What the
    baseline measured and the new run did not is a fall too.

    Raises:
        BaselineInvalid: as for `check_baseline`.
    """
    check_baseline(baseline, pack=figures.pack, compared=figures.compared)
    now = {of.name: of for of in _methods(figures)}
    found: list[Fall] = []
    for then in _methods(baseline):
        for culture, wanted in then.by_culture.items():
            own = now[then.name].by_culture.get(culture) if then.name in now else None
            for metric in ("similarity", "alignment"):
                interval: BootstrapInterval | None = getattr(wanted, metric)
                value: BootstrapInterval | None = getattr(own, metric, None)
                if interval is None:
                    continue
                # NaN is neither below nor above.
                if value is None or not value.value >= interval.low:
                    is_value = None if value is None else value.value
                    found.append(Fall(then.name, culture, metric, is_value, interval))
    return tuple(found)


def _methods(figures: Figures) -> list[ConditionFigures]:
    first = figures.sections[0].conditions if figures.sections else ()
    return [of for of in first if of.kind in ("method", "estimate")]
