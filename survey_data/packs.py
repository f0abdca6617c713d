"""Read and write pack folders. A pack is validated whole when it is read."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from survey_data.errors import PackInvalid
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution, Scale

SCHEMA_VERSION = 1
MIN_OPTIONS, MAX_OPTIONS = 2, 20
# Shares are published rounded to four digits at best, so a cell of twenty options may miss 1.
SHARE_SUM_TOLERANCE = 0.005
_SHARE_COLUMNS = ("question", "culture", "option", "share", "n_respondents", "non_response")
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
    shares = tuple(_read_shares(folder / "shares.csv", pack=manifest.id, questions=by_key))
    return Pack(manifest=manifest, questions=questions, distributions=shares)


def write_pack(folder: Path, pack: Pack) -> Pack:
    """Write `pack` as a pack folder, its manifest last, and return it with the hashes filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "questions.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for question in pack.questions:
            file.write(json.dumps(_question_line(question), ensure_ascii=False) + "\n")
    with (folder / "shares.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_SHARE_COLUMNS)
        for cell in pack.distributions:
            n = "" if cell.n_respondents is None else cell.n_respondents
            missing = "" if cell.non_response is None else f"{cell.non_response:.6f}"
            for index, share in enumerate(cell.shares):
                row = (_id_of(cell.question), cell.culture, index, f"{share:.6f}", n, missing)
                writer.writerow(row)
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
    if not _ID.fullmatch(file.id):
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


def _read_shares(
    path: Path, *, pack: str, questions: dict[str, Question]
) -> Iterator[ResponseDistribution]:
    cell: list[tuple[int, list[str]]] = []
    done: set[tuple[str, str]] = set()
    for row, values in _share_rows(path):
        if cell and cell[0][1][:2] != values[:2]:
            yield _cell(cell, path=path, pack=pack, questions=questions, done=done)
            cell = []
        cell.append((row, values))
    if not cell:
        raise PackInvalid("no share in the file", file=path)
    yield _cell(cell, path=path, pack=pack, questions=questions, done=done)


def _share_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row of `shares.csv` with its number; the header is row 1 and checked."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if tuple(header or ()) != _SHARE_COLUMNS:
                raise PackInvalid(
                    f"found header {header}, expected {list(_SHARE_COLUMNS)}", file=path, row=1
                )
            for row, values in enumerate(reader, start=2):
                if len(values) != len(_SHARE_COLUMNS):
                    raise PackInvalid(
                        f"{len(values)} values, expected {len(_SHARE_COLUMNS)}", file=path, row=row
                    )
                yield row, values
    except (UnicodeDecodeError, csv.Error) as exc:
        raise PackInvalid(f"not UTF-8 or no CSV: {exc}", file=path) from exc


def _cell(
    rows: list[tuple[int, list[str]]],
    *,
    path: Path,
    pack: str,
    questions: dict[str, Question],
    done: set[tuple[str, str]],
) -> ResponseDistribution:
    """Return one (question, culture) cell from its consecutive rows, one per option."""
    first_row, (question_id, culture, _, _, n_text, missing_text) = rows[0]
    key = f"{pack}:{question_id}"
    if key not in questions:
        raise PackInvalid(
            f"'{question_id}' is not in questions.jsonl",
            file=path,
            row=first_row,
            column="question",
        )
    if not re.fullmatch("[A-Z]{3}", culture):
        raise PackInvalid(
            f"'{culture}' is no ISO 3166-1 alpha-3 code",
            file=path,
            row=first_row,
            column="culture",
        )
    if (key, culture) in done:
        raise PackInvalid(
            f"the cell {question_id}, {culture} stands twice", file=path, row=first_row
        )
    done.add((key, culture))
    n_options = len(questions[key].options)
    indexes = [row[1][2] for row in rows]
    if indexes != [str(index) for index in range(n_options)]:
        raise PackInvalid(
            f"options {indexes}, expected 0 to {n_options - 1} in order",
            file=path,
            row=first_row,
            column="option",
        )
    shares = tuple(
        _number(values[3], high=1.0, path=path, row=row, column="share") for row, values in rows
    )
    if abs(sum(shares) - 1.0) > SHARE_SUM_TOLERANCE:
        raise PackInvalid(
            f"the shares of {question_id}, {culture} sum to {sum(shares):.4f}, expected 1",
            file=path,
            row=first_row,
            column="share",
        )
    n = None
    if n_text:
        n = int(_number(n_text, high=1e9, path=path, row=first_row, column="n_respondents"))
    missing = None
    if missing_text:
        missing = _number(missing_text, high=1.0, path=path, row=first_row, column="non_response")
    total = sum(shares)
    return ResponseDistribution(
        question=key,
        culture=culture,
        shares=tuple(share / total for share in shares),
        n_respondents=n,
        non_response=missing,
    )


def _number(text: str, *, high: float, path: Path, row: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError as exc:
        raise PackInvalid(f"'{text}' is no number", file=path, row=row, column=column) from exc
    if not math.isfinite(value) or not 0.0 <= value <= high:
        raise PackInvalid(f"{text} is not in [0, {high:g}]", file=path, row=row, column=column)
    return value


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


def _id_of(key: str) -> str:
    return key.rpartition(":")[2]


def _question_line(question: Question) -> dict[str, object]:
    line: dict[str, object] = {
        "id": _id_of(question.key),
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
    if manifest.notes:
        lines += [f"notes = {quoted(manifest.notes)}"]
    lines += ["", "[fieldwork]"]
    lines += [f"{quoted(key)} = {quoted(year)}" for key, year in sorted(manifest.fieldwork.items())]
    lines += ["", "[sha256]", f'"questions.jsonl" = "{questions_sha256}"']
    lines += [f'"shares.csv" = "{shares_sha256}"', ""]
    return "\n".join(lines)
