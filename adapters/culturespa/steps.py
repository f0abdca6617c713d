"""The folder of a step: what it was made from, what it made, and nothing twice.

step.json       step, settings and the inputs' hashes; written first, so that a step that was
                begun with something else is noticed
…               the step's own files
manifest.json   the same with the outputs' hashes and the counts; written last, so that a step
                that has one is done
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.culturespa.errors import StepBusy, StepChanged, StepFileInvalid
from files.hashes import hash_file
from files.journal import Journal, JournalBusy, LinesInvalid, read_lines
from files.whole import write_text

SCHEMA_VERSION = 1
STEP, MANIFEST = "step.json", "manifest.json"
# Called with what is done and what there is to do.
OnProgress: TypeAlias = Callable[[int, int], None]
Form = TypeVar("Form", bound=BaseModel)
Line = TypeVar("Line")
# How the dataclasses of lines are read.
STRICT = ConfigDict(extra="forbid")


class StepManifest(BaseModel):
    """What a step was made from and what it made; `inputs` and `outputs` are sha256 by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    step: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str] = {}
    counts: dict[str, Any] = {}


class StepFolder:
    """Claims a folder for one step, with one set of settings and inputs.

    Attributes:
        path: the folder.
        manifest: what the step made, None while it is not done.
    """

    def __init__(
        self, folder: Path, *, step: str, settings: Mapping[str, Any], inputs: Mapping[str, str]
    ) -> None:
        """Claim `folder`, which is new, empty, or this step's own.

        `settings` is everything besides the inputs that decides the outputs, as JSON holds it;
        `inputs` is the sha256 of each input, by a name.

        Raises:
            StepChanged: the folder was filled from other inputs or with other settings.
            StepFileInvalid: `step.json`, `manifest.json` or an output is not as it was written.
        """
        self.path = folder
        plain = json.loads(json.dumps(dict(settings)))
        self._own = StepManifest(step=step, settings=plain, inputs=dict(inputs))
        if (folder / STEP).exists():
            there = read_step_form(folder / STEP, StepManifest)
            if there != self._own:
                raise StepChanged(folder, _list_differences(there, self._own))
        else:
            if folder.is_dir() and any(folder.iterdir()):
                raise StepChanged(folder, "files, and no step.json")
            write_text(folder / STEP, _dump(self._own))
        self.manifest = self._read_finished()

    def finish(self, *, outputs: Sequence[str], counts: Mapping[str, Any]) -> StepManifest:
        """Write the manifest, the last thing a step does, and return it."""
        self.manifest = self._own.model_copy(
            update={
                "outputs": {name: hash_step_file(self.path / name) for name in outputs},
                "counts": json.loads(json.dumps(dict(counts))),
            }
        )
        write_text(self.path / MANIFEST, _dump(self.manifest))
        return self.manifest

    def _read_finished(self) -> StepManifest | None:
        if not (self.path / MANIFEST).exists():
            return None
        manifest = read_step_form(self.path / MANIFEST, StepManifest)
        for name, digest in manifest.outputs.items():
            check_step_file(self.path / name, digest)
        return manifest


def read_step_form(file: Path, form: type[Form]) -> Form:
    """Return the content of `file`, such as a step's manifest.

    Raises:
        StepFileInvalid: the file is missing or has another form.
    """
    try:
        return form.model_validate_json(file.read_bytes())
    except FileNotFoundError as exc:
        raise StepFileInvalid("no file", file=file) from exc
    except ValidationError as exc:
        raise StepFileInvalid(exc.errors(include_url=False)[0]["msg"], file=file) from exc


def check_step_file(file: Path, digest: str | None) -> None:
    """Check a file against its recorded sha256.

    Raises:
        StepFileInvalid: there is no such file, or it has other content.
    """
    if hash_step_file(file) != digest:
        raise StepFileInvalid("other content", file=file)


def hash_step_file(file: Path) -> str:
    """Return the sha256 of a file, in hex.

    Raises:
        StepFileInvalid: there is no such file.
    """
    try:
        return hash_file(file)
    except FileNotFoundError as exc:
        raise StepFileInvalid("no file", file=file) from exc


def hash_seed(*parts: object) -> int:
    """Return a seed in [0, 2^31) that is a pure hash of `parts`, the same in every process."""
    text = json.dumps([str(part) for part in parts], ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@contextmanager
def open_journal(file: Path, form: type[Line]) -> Iterator[Journal[Line]]:
    """Open the journal of a step during the block.

    Raises:
        StepBusy: another process has it open.
        StepFileInvalid: a whole line is not of the form.
    """
    try:
        with Journal(file, form) as opened:
            yield opened
    except JournalBusy as exc:
        raise StepBusy(file) from exc
    except LinesInvalid as exc:
        raise _name_fault(exc) from exc


def read_step_lines(file: Path, form: type[Line]) -> tuple[Line, ...]:
    """Return the lines of `file`, in their order.

    Raises:
        StepFileInvalid: the file is missing, or a line is not of the form.
    """
    try:
        return tuple(read_lines(file, form))
    except LinesInvalid as exc:
        raise _name_fault(exc) from exc


def _name_fault(error: LinesInvalid) -> StepFileInvalid:
    return StepFileInvalid(error.fault, file=error.file, row=error.row or None)


@contextmanager
def raise_first_error() -> Iterator[None]:
    """Raise the first error of a group of errors that leaves the block, however deep it lies."""
    try:
        yield
    except ExceptionGroup as group:
        first = group.exceptions[0]
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from group


def _dump(manifest: StepManifest) -> str:
    return json.dumps(manifest.model_dump(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _list_differences(there: StepManifest, own: StepManifest) -> str:
    """Return the names of what two steps do not share."""
    names = [
        f"{kind} {name}"
        for kind, a, b in (
            ("setting", there.settings, own.settings),
            ("input", there.inputs, own.inputs),
        )
        for name in sorted({*a, *b})
        if a.get(name) != b.get(name)
    ]
    return ", ".join(names) or "name or schema"
