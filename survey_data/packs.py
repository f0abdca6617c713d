"""Read and write pack folders. A pack is validated whole when it is read."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from survey_data.errors import PackInvalid
from survey_data.model import Pack, PackManifest, Question, Scale
from survey_data.shares_file import read_shares, write_shares

SCHEMA_VERSION = 1
MIN_OPTIONS, MAX_OPTIONS = 2, 20
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


class _QuestionLine(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    topic: str = Field(min_length=1)
    text: str = Field(min_length=1, max_length=2000)
    options: list[str] = Field(min_length=MIN_OPTIONS, max_length=MAX_OPTIONS)
    scale: Scale
    language: str = "en"
    source_item: str = ""
    first_number: int = Field(default=1, ge=0, le=1)


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
    questions = tuple(_read_questions(folder / "questions.jsonl", pack=manifest.id))
    by_key = {question.key: question for question in questions}
    shares = tuple(read_shares(folder / "shares.csv", pack=manifest.id, questions=by_key))
    return Pack(manifest=manifest, questions=questions, distributions=shares)


def write_pack(folder: Path, pack: Pack) -> Pack:
    """Write `pack` as a pack folder, its manifest last, and return it with the hashes filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "questions.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for question in pack.questions:
            file.write(json.dumps(_question_line(question), ensure_ascii=False) + "\n")
    write_shares(folder / "shares.csv", pack.distributions)
    (folder / "pack.toml").write_text(
        _manifest_toml(
            pack.manifest,
            questions_sha256=_sha256(folder / "questions.jsonl"),
            shares_sha256=_sha256(folder / "shares.csv"),
        ),
        encoding="utf-8",
    )
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
        column, message = _first_fault(exc)
        raise PackInvalid(message, file=path, column=column) from exc
    if file.schema_version != SCHEMA_VERSION:
        raise PackInvalid(
            f"found {file.schema_version}, expected {SCHEMA_VERSION}",
            file=path,
            column="schema_version",
        )
    if not is_pack_id(file.id):
        raise PackInvalid(
            f"'{file.id}' is no id: lower-case letters, digits and '-'", file=path, column="id"
        )
    missing = {"questions.jsonl", "shares.csv"} - file.sha256.keys()
    if missing:
        raise PackInvalid(f"no hash of {sorted(missing)[0]}", file=path, column="sha256")
    return PackManifest(
        **file.model_dump(exclude={"sha256"}),
        questions_sha256=file.sha256["questions.jsonl"],
        shares_sha256=file.sha256["shares.csv"],
    )


def _read_questions(path: Path, *, pack: str) -> Iterator[Question]:
    seen: set[str] = set()
    for row, text in enumerate(_lines(path), start=1):
        try:
            line = _QuestionLine.model_validate_json(text)
        except ValidationError as exc:
            column, message = _first_fault(exc)
            raise PackInvalid(message, file=path, row=row, column=column) from exc
        if line.id in seen:
            raise PackInvalid(f"'{line.id}' stands twice", file=path, row=row, column="id")
        if len(set(line.options)) != len(line.options) or not all(o.strip() for o in line.options):
            raise PackInvalid(
                "options must differ and none may be blank", file=path, row=row, column="options"
            )
        if line.scale is Scale.BINARY and len(line.options) != 2:
            raise PackInvalid(
                f"binary with {len(line.options)} options", file=path, row=row, column="scale"
            )
        seen.add(line.id)
        yield Question(
            key=f"{pack}:{line.id}",
            options=tuple(line.options),
            **line.model_dump(exclude={"id", "options"}),
        )
    if not seen:
        raise PackInvalid("no question in the file", file=path)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from (line for line in file if line.strip())
    except UnicodeDecodeError as exc:
        raise PackInvalid(f"not UTF-8: {exc}", file=path) from exc


def _first_fault(exc: ValidationError) -> tuple[str | None, str]:
    fault = exc.errors(include_url=False, include_context=False)[0]
    column = ".".join(str(part) for part in fault["loc"]) or None
    found = "" if fault["type"] == "missing" else f" (found {str(fault['input'])[:60]!r})"
    return column, f"{fault['msg']}{found}"


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as exc:
        raise PackInvalid("the file is missing; a pack folder needs it", file=path) from exc


def _question_line(question: Question) -> dict[str, object]:
    line: dict[str, object] = {
        "id": question.id,
        "topic": question.topic,
        "text": question.text,
        "options": list(question.options),
        "scale": question.scale.value,
        "language": question.language,
        "source_item": question.source_item,
    }
    if question.first_number != 1:
        line["first_number"] = question.first_number
    return line


def _manifest_toml(manifest: PackManifest, *, questions_sha256: str, shares_sha256: str) -> str:
    def quoted(value: object) -> str:
        # A JSON string of printable text is a TOML basic string.
        return json.dumps(value, ensure_ascii=False)

    fields = ("id", "title", "source", "citation", "weighted", "wording", "licence")
    lines = [f"schema_version = {manifest.schema_version}"]
    lines += [f"{name} = {quoted(getattr(manifest, name))}" for name in fields]
    lines += [f"commercial_use = {quoted(manifest.commercial_use)}"]
    for name in ("population", "notes"):
        if value := getattr(manifest, name):
            lines.append(f"{name} = {quoted(value)}")
    lines += ["", "[fieldwork]"]
    lines += [f"{quoted(key)} = {quoted(year)}" for key, year in sorted(manifest.fieldwork.items())]
    lines += ["", "[sha256]", f'"questions.jsonl" = "{questions_sha256}"']
    lines += [f'"shares.csv" = "{shares_sha256}"', ""]
    return "\n".join(lines)
