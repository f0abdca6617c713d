"""Manifests of packs that are made up for a test."""

from __future__ import annotations

from typing import Any

from survey_data.model import PackManifest


def made_manifest(pack_id: str, **fields: Any) -> PackManifest:
    """A manifest with `fields` as given and something harmless in the others."""
    given: dict[str, Any] = {
        "title": pack_id.title(),
        "source": "made up",
        "citation": "none",
        "weighted": False,
        "wording": "own",
        "licence": "CC0",
        "commercial_use": True,
        "fieldwork": {"*": "2020"},
        "questions_sha256": "",
        "shares_sha256": "",
    }
    return PackManifest(id=pack_id, **(given | fields))
