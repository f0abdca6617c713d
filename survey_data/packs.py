"""Read and write pack folders. A pack is validated whole when it is read."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from survey_data.errors import PackInvalid
from survey_data.json_lines import read_json_lines
from survey_data.model import Pack, PackManifest
from survey_data.questions_file import parse_questions, write_question_lines
from survey_data.shares_file import read_distributions, write_distributions

SCHEMA_VERSION = 1
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class _ManifestFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    id: str
    title: str = Field(min_length=1)
    source: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    weighted: bool
    wording: str = Field(pattern="^(own|official)$")
    licence: str = Field(min_length=1)
    commercial_use: bool
    notes: str = ""
    population: str = ""
    fieldwork: dict[str, str] = Field(min_length=1)
    sha256: dict[str, str]


def is_pack_id(text: str) -> bool:
    """Return whether `text` may be the id of a pack: lower-case letters, digits and '-'."""
    return _ID.fullmatch(text) is not None


def read_pack(folder: Path) -> Pack:
    """Return the pack in `folder`, checked against its manifest and its format.

    Raises:
        PackInvalid: a file is missing or altered, or a value breaks the format; file, row and
            column are named.
    """
    manifest = _read_manifest(folder / "pack.toml")
    for name, expected in (
        ("questions.jsonl", manifest.questions_sha256),
        ("shares.csv", manifest.shares_sha256),
    ):
        path = folder / name
        found = _sha256(path)
        if found != expected:
            raise PackInvalid(
                f"sha256 is {found}, but pack.toml records {expected}. Import the survey again, "
                "or restore the file.",
                file=path,
            )
    path = folder / "questions.jsonl"
    questions = tuple(parse_questions(read_json_lines(path), file=path, pack=manifest.id))
    by_key = {question.key: question for question in questions}
    shares = tuple(read_distributions(folder / "shares.csv", pack=manifest.id, questions=by_key))
    return Pack(manifest=manifest, questions=questions, distributions=shares)


def write_pack(folder: Path, pack: Pack) -> Pack:
    """Write `pack` as a pack folder, its manifest last, and return it with the hashes filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    write_question_lines(folder / "questions.jsonl", pack.questions)
    write_distributions(folder / "shares.csv", pack.distributions)
    hashes = {name: _sha256(folder / name) for name in ("questions.jsonl", "shares.csv")}
    text = _write_manifest(pack.manifest, hashes)
    (folder / "pack.toml").write_text(text, encoding="utf-8")
    return read_pack(folder)


def find_packs(roots: Iterable[Path]) -> Iterator[Path]:
    """Yield every folder with a `pack.toml` directly below one of `roots`, sorted by name."""
    for root in roots:
        if root.is_dir():
            yield from sorted(path.parent for path in root.glob("*/pack.toml"))


def _read_manifest(path: Path) -> PackManifest:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        file = _ManifestFile.model_validate(data)
    except FileNotFoundError as exc:
        raise PackInvalid("the file is missing; a pack folder needs it", file=path) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise PackInvalid(f"not valid TOML: {exc}", file=path) from exc
    except ValidationError as exc:
        raise PackInvalid.from_validation(exc, file=path) from exc
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
    )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as exc:
        raise PackInvalid("the file is missing; a pack folder needs it", file=path) from exc


def _write_manifest(manifest: PackManifest, hashes: Mapping[str, str]) -> str:
    fields = ["schema_version", "id", "title", "source", "citation", "weighted", "wording",
              "licence", "commercial_use"]  # fmt: skip
    fields += [name for name in ("population", "notes") if getattr(manifest, name)]
    # JSON of a number, a truth or printable text is TOML too.
    quote = partial(json.dumps, ensure_ascii=False)
    lines = [f"{name} = {quote(getattr(manifest, name))}" for name in fields]
    lines += ["", "[fieldwork]"]
    lines += [f"{quote(key)} = {quote(year)}" for key, year in sorted(manifest.fieldwork.items())]
    lines += ["", "[sha256]", *(f"{quote(name)} = {quote(of)}" for name, of in hashes.items()), ""]
    return "\n".join(lines)
