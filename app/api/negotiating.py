"""What form of a response its client prefers."""

from __future__ import annotations

from reports.csv_rows import CSV


def prefers_csv(accept: str) -> bool:
    """Return whether a header `Accept` wants CSV rather than JSON; JSON where it leaves it open."""
    return _weigh(accept, CSV) > max(
        _weigh(accept, each) for each in ("application/json", "application/x-ndjson")
    )


def _weigh(accept: str, wanted: str) -> float:
    """Return the quality of `wanted`, in [0, 1], by the most specific range that has it."""
    ranges = {"*/*": 0, wanted.partition("/")[0] + "/*": 1, wanted: 2}
    best, weight = -1, 0.0
    for part in accept.split(","):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        if ranges.get(name, -1) > best:
            best, weight = ranges[name], _read_quality(parameters)
    return weight


def _read_quality(parameters: list[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
