"""What does not fit in a request, field by field, each of bounded length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

MAX_FAULTS = 10
MAX_SHOWN_CHARS = 80


class Faults(NamedTuple):
    """What pydantic found, in words and by field."""

    detail: str
    faults: list[dict[str, Any]]
    is_json: bool


def describe_faults(found: Sequence[Mapping[str, Any]]) -> Faults:
    """Return what was found where and expected instead, the first faults of all."""
    faults = [_fault(fault) for fault in found[:MAX_FAULTS]]
    parts = [f"{fault['where']}: {fault['expected']} (found {fault['found']})" for fault in faults]
    if n_more := len(found) - len(faults):
        parts.append(f"and {n_more} more")
    is_json = all(fault["type"] != "json_invalid" for fault in found)
    return Faults("; ".join(parts), [dict(fault) for fault in faults], is_json)


def place_in_body(error: ValidationError) -> list[dict[str, Any]]:
    """Return what does not fit in a body that was read without FastAPI, placed as it would."""
    return [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]


def _fault(fault: Mapping[str, Any]) -> dict[str, str]:
    """Return what was found where and expected instead, each of bounded length."""
    where = clip(".".join(str(part) for part in fault["loc"]))
    match fault["type"]:
        case "missing":
            return {"where": where, "found": "nothing", "expected": "Field required"}
        case "json_invalid":
            found, expected = fault["ctx"]["error"], "Input should be JSON"
        case "model_attributes_type" | "model_type":
            found, expected = repr(fault.get("input")), "Input should be a JSON object"
        case _:
            found, expected = repr(fault.get("input")), fault["msg"].removeprefix("Value error, ")
    return {"where": where, "found": clip(found), "expected": expected}


def clip(text: str) -> str:
    """Return `text`, cut where it is long."""
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"
