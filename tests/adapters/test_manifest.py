from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import ManifestInvalid
from adapters.manifest import (
    CONFIG,
    MANIFEST,
    WEIGHTS,
    AdapterFacts,
    AdapterManifest,
    Canary,
    is_name,
    is_version_name,
    read_canaries,
    read_manifest,
    version_of,
    write_canaries,
    write_manifest,
)
from prompting.messages import Message

CANARY = Canary((Message("user", "1 or 2?"),), ("1", "2"), (-0.5, -1.0), (-1.25, -0.25))
MANIFEST_OF_ONE = AdapterManifest(
    schema_version=1,
    name="german",
    version="0a1b2c3d",
    base_model="base",
    base_sha256="a" * 64,
    rank=8,
    alpha=16.0,
    target_modules=("q_proj",),
    cultures=("DEU", "AUT"),
    about=AdapterFacts(
        "culturespa-joint", "1,000 questions", "Apache-2.0", {"score": 0.7}, (CANARY,)
    ),
    sha256={CONFIG: "b" * 64, WEIGHTS: "c" * 64},
)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST_OF_ONE)

    assert read_manifest(tmp_path / MANIFEST) == MANIFEST_OF_ONE
    assert [file.name for file in tmp_path.iterdir()] == [MANIFEST]


def test_the_version_name_joins_name_and_version() -> None:
    assert MANIFEST_OF_ONE.version_name == "german@0a1b2c3d"


def test_an_adapter_without_cultures_serves_all() -> None:
    assert MANIFEST_OF_ONE.serves("AUT")
    assert not MANIFEST_OF_ONE.serves("JPN")
    assert replace(MANIFEST_OF_ONE, cultures=()).serves("JPN")


def test_config_and_weights_decide_the_version() -> None:
    hashes = {CONFIG: "b" * 64, WEIGHTS: "c" * 64}

    assert version_of(hashes) == version_of(hashes | {"README.md": "d" * 64})
    assert version_of(hashes) != version_of(hashes | {CONFIG: "d" * 64})
    assert len(version_of(hashes)) == 8


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"name": "../etc"}, "name"),
        ({"name": "german\n"}, "name"),
        ({"version": "0A1B2C3D"}, "version"),
        ({"cultures": ["DE"]}, "cultures.0"),
        ({"rank": 0}, "rank"),
        ({"alpha": 1e999}, "alpha"),
        ({"sha256": {"a": "b"}}, "sha256.a"),
        ({"more": 1}, "more"),
        ({"about": {"metrics": {"x": "high"}}}, "about.metrics.x"),
        ({"about": {"canaries": [{}]}}, "about.canaries.0.messages"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    write_manifest(tmp_path, MANIFEST_OF_ONE)
    file = tmp_path / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    with pytest.raises(ManifestInvalid, match=rf"in {field}"):
        read_manifest(file)


@pytest.mark.parametrize("text", ["", "[]", "nothing", "\0"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)

    with pytest.raises(ManifestInvalid):
        read_manifest(tmp_path / MANIFEST)


def test_no_file_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        read_manifest(tmp_path / MANIFEST)


def test_a_wrong_manifest_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid):
        write_manifest(tmp_path, replace(MANIFEST_OF_ONE, cultures=("Germany",)))

    assert not list(tmp_path.iterdir())


def test_canaries_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_canaries(tmp_path / "c.json", (CANARY, CANARY))

    assert read_canaries(tmp_path / "c.json") == (CANARY, CANARY)


def test_each_label_of_a_canary_has_its_log_probabilities(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="per label"):
        write_canaries(tmp_path / "c.json", (replace(CANARY, labels=("1",)),))


@pytest.mark.parametrize("text", ["a", "0", "german-2", "a" * 63])
def test_names(text: str) -> None:
    assert is_name(text)
    assert is_version_name(f"{text}@0123abcd")


@pytest.mark.parametrize(
    "text", ["", "-a", "A", "a.b", "a/b", "..", "a" * 64, "a b", "a\n", "ä", "a@0123abcd", "a\0"]
)
def test_other_texts_are_no_names(text: str) -> None:
    assert not is_name(text)
    assert not is_version_name(f"{text}@0123abcd")


@pytest.mark.parametrize("version", ["", "0123abc", "0123abcde", "0123ABCD", "0123abcd\n", "../.."])
def test_other_texts_are_no_versions(version: str) -> None:
    assert not is_version_name(f"a@{version}")
