"""Read and write pack folders. A pack is validated whole when it is read."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from files.hashes import hash_file
from files.whole import replacing
from survey_data.errors import PackInvalid
from survey_data.json_lines import read_json_lines
from survey_data.manifest_file import read_manifest, write_manifest
from survey_data.model import Pack, PackManifest, Question, Wording
from survey_data.questions_file import parse_questions, write_question_lines
from survey_data.shares_file import read_distributions, write_distributions
from survey_data.translation_files import (
    LANGUAGE_FORM,
    is_language,
    name_translation,
    read_wordings,
    translation_language,
    write_wordings,
)

_MANIFEST, _QUESTIONS, _SHARES = "pack.toml", "questions.jsonl", "shares.csv"
_IMPORT_AGAIN = "Import the survey again, or restore the file."


class NewTranslation(NamedTuple):
    """A translation as it was added to a pack, and the ids of the questions that it leaves out."""

    file: Path
    wordings: dict[str, Wording]
    left_out: tuple[str, ...]


def read_pack(folder: Path) -> Pack:
    """Return the pack in `folder`, checked against its manifest and its format.

    Raises:
        PackInvalid: a file is missing or altered, or a value breaks the format; file, row and
            column are named.
    """
    manifest = read_manifest(folder / _MANIFEST)
    questions = _read_questions(folder, manifest)
    shares = folder / _SHARES
    _check_hash(shares, manifest.shares_sha256, remedy=_IMPORT_AGAIN)
    by_key = {question.key: question for question in questions}
    distributions = tuple(read_distributions(shares, pack=manifest.id, questions=by_key))
    translations = dict(_read_translations(folder, manifest, questions))
    return Pack(manifest, questions, distributions, translations)


def write_pack(folder: Path, pack: Pack) -> Pack:
    """Write `pack` as a pack folder, its manifest last, and return it with the hashes filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    write_question_lines(folder / _QUESTIONS, pack.questions)
    write_distributions(folder / _SHARES, pack.distributions)
    for language, wordings in pack.translations.items():
        path = folder / name_translation(language)
        write_wordings(path, wordings, questions=pack.questions)
    manifest = replace(
        pack.manifest,
        questions_sha256=hash_file(folder / _QUESTIONS),
        shares_sha256=hash_file(folder / _SHARES),
        translations_sha256={
            language: hash_file(folder / name_translation(language))
            for language in pack.translations
        },
    )
    write_manifest(folder / _MANIFEST, manifest)
    return read_pack(folder)


def add_translation(folder: Path, file: Path, *, language: str) -> NewTranslation:
    """Copy the translation `file` into the pack in `folder`, record its hash, and return it.

    It takes the place of one in the same language. `pack.toml` is written anew, without comments.
    Shares and other translations are neither read nor changed.

    Raises:
        PackInvalid: `language` is no tag of a language, or manifest, questions or `file` break the
            format; nothing is changed then.
    """
    if not is_language(language):
        raise PackInvalid(f"'{language}' is not {LANGUAGE_FORM}", file=file, column="language")
    manifest = read_manifest(folder / _MANIFEST)
    questions = _read_questions(folder, manifest)
    wordings = read_wordings(file, language=language, questions=questions)
    path = folder / name_translation(language)
    with replacing(path) as part:
        write_wordings(part, wordings, questions=questions)
    hashes = {**manifest.translations_sha256, language: hash_file(path)}
    write_manifest(folder / _MANIFEST, replace(manifest, translations_sha256=hashes))
    left_out = tuple(question.id for question in questions if question.key not in wordings)
    return NewTranslation(path, wordings, left_out)


def find_packs(roots: Iterable[Path]) -> Iterator[Path]:
    """Yield every folder with a `pack.toml` directly below one of `roots`, sorted by name."""
    for root in roots:
        if root.is_dir():
            yield from sorted(path.parent for path in root.glob("*/pack.toml"))


def _read_questions(folder: Path, manifest: PackManifest) -> tuple[Question, ...]:
    path = folder / _QUESTIONS
    _check_hash(path, manifest.questions_sha256, remedy=_IMPORT_AGAIN)
    return tuple(parse_questions(read_json_lines(path), file=path, pack=manifest.id))


def _read_translations(
    folder: Path, manifest: PackManifest, questions: Sequence[Question]
) -> Iterator[tuple[str, dict[str, Wording]]]:
    """Yield each language that the manifest names, with its wordings."""
    for path in sorted(folder.glob(name_translation("*"))):
        language = translation_language(path.name) or ""
        if language not in manifest.translations_sha256:
            message = f"pack.toml records no sha256 of it. {_explain_adding(path, language)}"
            raise PackInvalid(f"{message}, or remove the file.", file=path)
    for language, digest in sorted(manifest.translations_sha256.items()):
        path = folder / name_translation(language)
        if not path.is_file():
            message = "the file is missing, but pack.toml records its sha256. Restore the file, or"
            raise PackInvalid(f"{message} remove its line from pack.toml.", file=path)
        remedy = f"{_explain_adding(path, language)}, or restore the file."
        _check_hash(path, digest, remedy=remedy)
        yield language, read_wordings(path, language=language, questions=questions)


def _explain_adding(path: Path, language: str) -> str:
    if not is_language(language):
        return f"'{language}' is not {LANGUAGE_FORM}: name the file after its language"
    command = ["milieu", "packs", "add-translation", str(path.parent), str(path)]
    return f"To use it as it is, run `{shlex.join([*command, '--language', language])}`"


def _check_hash(path: Path, expected: str, *, remedy: str) -> None:
    try:
        found = hash_file(path)
    except FileNotFoundError as exc:
        raise PackInvalid("the file is missing; a pack folder needs it", file=path) from exc
    if found != expected:
        message = f"sha256 is {found}, but pack.toml records {expected}. {remedy}"
        raise PackInvalid(message, file=path)
