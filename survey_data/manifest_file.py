"""Read and write `pack.toml`: what a pack says of itself, and the hashes of its files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from files.whole import write_text
from survey_data.errors import PackInvalid
from survey_data.model import PackManifest
from survey_data.translation_files import (
    LANGUAGE_FORM,
    is_language,
    name_translation,
    translation_language,
)

SCHEMA_VERSION = 1
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class _ManifestFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    id: str
    title: str = Field(min_length=1)
    short_title: str = ""
    source: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    weighted: bool
    wording: str = Field(pattern="^(own|official)$")
    licence: str = Field(min_length=1)
    commercial_use: bool
    redistribution: bool = False
    notes: str = ""
    population: str = ""
    fieldwork: dict[str, str] = Field(min_length=1)
    sha256: dict[str, str]


def is_pack_id(text: str) -> bool:
    """Return whether `text` may be the id of a pack: lower-case letters, digits and '-'."""
    return _ID.fullmatch(text) is not None


def read_manifest(path: Path) -> PackManifest:
    """Return what `path` says.

    Raises:
        PackInvalid: the file is missing, a field is missing or breaks the format, or a hash is
            missing or of a translation without a language tag.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        file = _ManifestFile.model_validate(data)
    except FileNotFoundError as exc:
        raise PackInvalid("the file is missing; a pack folder needs it", file=path) from exc
    except ValidationError as exc:
        raise PackInvalid.from_validation(exc, file=path) from exc
    except (ValueError, RecursionError) as exc:
        # Not all that tomllib refuses, such as a number of 5,000 digits, has an error of its own.
        raise PackInvalid(f"not valid TOML: {exc}", file=path) from exc
    if file.schema_version != SCHEMA_VERSION:
        message = f"found {file.schema_version}, expected {SCHEMA_VERSION}"
        raise PackInvalid(message, file=path, column="schema_version")
    if not is_pack_id(file.id):
        message = f"'{file.id}' is no id: lower-case letters, digits and '-'"
        raise PackInvalid(message, file=path, column="id")
    missing = {"questions.jsonl", "shares.csv"} - file.sha256.keys()
    if missing:
        raise PackInvalid(f"no hash of {sorted(missing)[0]}", file=path, column="sha256")
    return PackManifest(
        **file.model_dump(exclude={"sha256"}),
        questions_sha256=file.sha256["questions.jsonl"],
        shares_sha256=file.sha256["shares.csv"],
        translations_sha256=dict(_pick_translations(file.sha256, path)),
    )


def write_manifest(path: Path, manifest: PackManifest) -> None:
    """Write `manifest` to `path`, whole or not at all."""
    fields = ["schema_version", "id", "title", "short_title", "source", "citation", "weighted",
              "wording", "licence", "commercial_use", "redistribution", "population",
              "notes"]  # fmt: skip
    optional = ("short_title", "redistribution", "population", "notes")
    fields = [name for name in fields if name not in optional or getattr(manifest, name)]
    translations = sorted(manifest.translations_sha256)
    hashes = {
        "questions.jsonl": manifest.questions_sha256,
        "shares.csv": manifest.shares_sha256,
        **{name_translation(tag): manifest.translations_sha256[tag] for tag in translations},
    }
    # JSON of a number, a truth or printable text is TOML too.
    quote = partial(json.dumps, ensure_ascii=False)
    lines = [f"{name} = {quote(getattr(manifest, name))}" for name in fields]
    lines += ["", "[fieldwork]"]
    lines += [f"{quote(key)} = {quote(year)}" for key, year in sorted(manifest.fieldwork.items())]
    lines += ["", "[sha256]", *(f"{quote(name)} = {quote(of)}" for name, of in hashes.items()), ""]
    write_text(path, "\n".join(lines))


def _pick_translations(hashes: Mapping[str, str], path: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the hash of each translation."""
    for name, digest in hashes.items():
        language = translation_language(name)
        if language is None:
            continue
        if not is_language(language):
            message = f"{name}: '{language}' is not {LANGUAGE_FORM}"
            raise PackInvalid(message, file=path, column="sha256")
        yield language, digest
