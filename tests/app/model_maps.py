"""The map of a model, as tests make it: of the fake, which is asked as a few peoples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.state.model_maps import MapPlace, ModelMap, save_map
from tests.fakes.vllm import MODEL

PERSONA = {"DEU": (0.0, 0.0), "NGA": (0.3, 0.0), "JPN": (0.0, 0.4), "BRA": (0.1, 0.1)}
PLAIN = {code: (0.1, 0.2) for code in PERSONA}


def make_map(**changes: Any) -> ModelMap:
    """Return the map of the fake, with other fields if wanted."""
    ways = {
        name: {code: MapPlace(x=x, y=y) for code, (x, y) in places.items()}
        for name, places in (("plain", PLAIN), ("persona", PERSONA))
    }
    fields: dict[str, Any] = {
        "model": MODEL,
        "identity": {"model root": MODEL},
        "survey": "World Values Survey, wave 7",
        "n_questions": 13,
        "error": 0.24,
        "ways": ways,
        "settings": {"option orders": "1"},
        "created": "2026-11-29 12:00:00+00:00",
    }
    return ModelMap(**fields | changes)


def write_map(file: Path, **changes: Any) -> Path:
    """Write the map of the fake to `file`, and return that."""
    save_map(file, make_map(**changes))
    return file
