"""Says of a request that does not fit what was found where, and what is expected instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

MAX_FAULTS = 10
MAX_SHOWN_CHARS = 80
# Of two names, how alike they are where one is taken for a slip of the other, up to 1.
LIKE = 0.7


class Fault(TypedDict):
    """What was found where, and what is expected there, each of bounded length."""

    where: str
    found: str
    expected: str


class Faults(NamedTuple):
    """What does not fit, in words and by place."""

    detail: str
    faults: list[Fault]
    is_json: bool


def describe_faults(
    found: Sequence[Any], body: object = None, *, names: Sequence[str] = ()
) -> Faults:
    """Return what was found where and expected instead, each place once.

    Args:
        found: the errors of pydantic, placed as FastAPI does.
        body: the body of the request, if it was JSON.
        names: the fields that are known.
    """
    faults: dict[str, Fault] = {}
    for raw in _leave_out_other_shapes(found, body):
        fault = _describe(raw, body, names)
        # Several shapes are allowed there, and each says what it takes.
        known = faults.setdefault(fault["where"], fault)
        if fault["expected"] not in known["expected"]:
            known["expected"] += f", or {_lower_first(fault['expected'])}"
    is_json = all(raw["type"] != "json_invalid" for raw in found)
    shown = list(faults.values())[:MAX_FAULTS]
    return Faults(_write(shown, n_more=len(faults) - len(shown)), shown, is_json)


def place_in_body(error: ValidationError) -> list[dict[str, Any]]:
    """Return what does not fit in a body that was read without FastAPI, placed as it would."""
    return [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]


def list_fields(route: APIRoute) -> Iterator[str]:
    """Yield the names of the fields that a route takes, in its body and its query."""
    fields = [*route.dependant.query_params, *([route.body_field] if route.body_field else [])]
    for field in fields:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from annotation.model_fields
        else:
            yield field.alias


def suggest_name(name: str, known: Sequence[str]) -> str:
    """Return a question whether one of `known` is meant by `name`, empty where none is like it."""
    near = difflib.get_close_matches(name[:MAX_SHOWN_CHARS], known, n=1, cutoff=LIKE)
    return f". Did you mean '{near[0]}'?" if near else ""


def clip(text: str) -> str:
    """Return `text`, cut where it is long."""
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"


def _describe(raw: Any, body: object, names: Sequence[str]) -> Fault:
    path = _find_path(raw, body)
    found, expected = repr(raw.get("input")), raw["msg"].removeprefix("Value error, ")
    match raw["type"]:
        case "missing":
            found, expected = "nothing", "Field required"
        case "json_invalid":
            found, expected = (
                f"{raw['ctx']['error']} at character {raw['loc'][-1]}",
                "Input should be JSON",
            )
            path = ["body"]
        case "model_attributes_type" | "model_type":
            expected = "Input should be a JSON object"
        case "extra_forbidden":
            expected += suggest_name(path[-1], names)
    return Fault(where=clip(".".join(path)), found=clip(found), expected=expected)


def _leave_out_other_shapes(raw: Sequence[Any], body: object) -> Iterator[Any]:
    """Yield the faults, but for those of a shape that the value has not at all.

    Where a list or a text is allowed, a fault inside a list comes with one that it is no text.
    """
    paths = [tuple(_find_path(fault, body)) for fault in raw]
    around = {path[:n] for path in paths for n in range(1, len(path))}
    for fault, path in zip(raw, paths, strict=True):
        if path not in around:
            yield fault


def _find_path(raw: Any, body: object) -> list[str]:
    """Return the place of a fault as the client knows it, without the names of our types."""
    source, *rest = raw["loc"]
    if source != "body" or body is None:
        return [str(part) for part in raw["loc"]]
    path, value = [str(source)], body
    for i, part in enumerate(rest):
        if _has(value, part):
            value = value[part]  # type: ignore[index]  # it is there
        elif not (raw["type"] == "missing" and i == len(rest) - 1):
            continue
        path.append(str(part))
    return path


def _has(value: object, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _write(faults: Sequence[Fault], *, n_more: int) -> str:
    parts = [f"{fault['where']}: {fault['expected']} (found {fault['found']})" for fault in faults]
    return "; ".join((*parts, f"and {n_more} more") if n_more else parts)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
