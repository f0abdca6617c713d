"""Read what was saved beside the vectors, and tell what does not fit from what is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from files.json_text import load_json
from retrieval.errors import IndexInvalid, IndexMissing, IndexOutdated

Saved = TypeVar("Saved", bound=BaseModel)


def read_saved(path: Path, model: type[Saved], *, origin: BaseModel) -> Saved:
    """Return what is saved in `path`, a `model` whose first fields are those of `origin`.

    Raises:
        IndexMissing: there is no such file.
        IndexOutdated: it has another schema version, or was made from something else.
        IndexInvalid: it cannot be read.
    """
    saved = _read(path, model, version=getattr(origin, "schema_version", 0))
    for field in type(origin).model_fields:
        found, expected = getattr(saved, field), getattr(origin, field)
        if found != expected:
            raise IndexOutdated(path.parent, found=f"{field} {found}", expected=f"{expected}")
    return saved


def _read(path: Path, model: type[Saved], *, version: int) -> Saved:
    folder = path.parent
    try:
        data = load_json(path.read_bytes())
        found = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(found, int) and found != version:
            raise IndexOutdated(folder, found=f"schema_version {found}", expected=f"{version}")
        return model.model_validate(data)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise IndexMissing(folder, found=f"no {path.name}", expected="a saved index") from exc
    except (OSError, ValueError, ValidationError) as exc:
        unreadable = f"{path.name}, which cannot be read ({exc})"
        raise IndexInvalid(folder, found=unreadable, expected="a whole one") from exc
