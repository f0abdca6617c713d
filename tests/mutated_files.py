"""Opens packs, adapters, definitions and calibrations as the command line does, damaged or not."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from adapters.base_model import AdapterBase, read_base_model
from adapters.manifest import (
    MANIFEST,
    AdapterFacts,
    AdapterManifest,
    Canary,
    version_of,
    write_manifest,
)
from adapters.registry import AdapterRegistry
from app.answering.calibrated import CalibratedPool, CalibratedRecipe, Reached
from app.state.calibration_files import CalibrationOrigin, read_calibration, save_calibration
from cli.errors import explain_errors
from cli.main import cli
from estimation.calibration import TABLE_ALONE, Calibration
from experiments.definition import draft_four_arms
from files.hashes import hash_fields, hash_file
from prompting.messages import Message
from prompting.recipe import Method, Recipe
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Question, ResponseDistribution, Scale, Wording
from survey_data.packs import read_pack, write_pack
from tests.adapters.loras import BASE_NAME, lora_tensors, write_lora
from tests.experiments.definitions import write_experiment
from tests.experiments.events import PRIMARY
from tests.mutations import mutate
from tests.packs import made_manifest
from tests.tiny_llama import tiny_llama

LIMIT_S = 10.0
MAX_CHARS = 2100
_ORIGIN = CalibrationOrigin(
    model="mini", identity={"files": "abc"}, encoder="hash", packs={"made": "def"}, wording="words"
)


class Hangs(BaseException):
    """Nothing came of it within the time limit."""


class Kind(NamedTuple):
    """A kind of file that users bring.

    Attributes:
        write: writes a sound one into a folder.
        seal: makes the hashes beside what was damaged true again, as whoever damages it on purpose
            would; it is given the name of that file.
        open: opens it.
    """

    name: str
    write: Callable[[Path], None]
    seal: Callable[[Path, str], None]
    open: Callable[[Path], None]


def _write_pack(folder: Path) -> None:
    options = ("always", "often", "seldom", "never")
    questions = tuple(
        Question(f"made:Q{i}", "Life", f"Question number {i}?", options, Scale.ORDINAL)
        for i in range(4)
    )
    cells = tuple(
        ResponseDistribution(q.key, culture, (0.4, 0.3, 0.2, 0.1), 100, 0.05, 80.0)
        for q in questions
        for culture in ("DEU", "NGA")
    )
    german = Wording("de", "Frage?", ("immer", "oft", "selten", "nie"))
    wordings = {"de": {question.key: german for question in questions}}
    write_pack(folder, Pack(made_manifest("made"), questions, cells, wordings))


def _seal_pack(folder: Path, damaged: str) -> None:
    if damaged != "pack.toml":
        manifest = folder / "pack.toml"
        lines = manifest.read_text().splitlines()
        name = f'"{damaged}"'
        true = f'{name} = "{hash_file(folder / damaged)}"'
        lines = [true if line.startswith(name) else line for line in lines]
        manifest.write_text("\n".join(lines))


def _open_pack(folder: Path) -> None:
    SurveyLibrary([read_pack(folder)], read_catalogue())


def _base() -> AdapterBase:
    return read_base_model(tiny_llama(), name=BASE_NAME)


def _write_adapter(folder: Path) -> None:
    write_lora(folder, lora_tensors(_base()))
    sha256 = {file.name: hash_file(file) for file in folder.iterdir()}
    messages = (Message("user", "Is it so?"),)
    _write_adapter_manifest(
        folder, sha256, canaries=(Canary(messages, ("A", "B"), (-0.7, -0.7), (-0.1, -2.4)),)
    )


def _write_adapter_manifest(folder: Path, sha256: dict[str, str], **about: Any) -> None:
    manifest = AdapterManifest(
        schema_version=1,
        name="german",
        version=version_of(sha256),
        base_model=BASE_NAME,
        base_sha256=_base().sha256,
        rank=4,
        alpha=16.0,
        target_modules=("q_proj", "v_proj"),
        cultures=("DEU",),
        about=AdapterFacts(**about),
        sha256=sha256,
    )
    write_manifest(folder, manifest)


def _seal_adapter(folder: Path, damaged: str) -> None:
    if damaged != MANIFEST:
        sha256 = {f.name: hash_file(f) for f in folder.iterdir() if f.name != MANIFEST}
        _write_adapter_manifest(folder, sha256)


def _open_adapter(folder: Path) -> None:
    registry = AdapterRegistry(folder.with_name("registry"))
    added = registry.add(folder, base=_base(), max_rank=16)
    registry.verify(added.version_name)


def _write_definition(folder: Path) -> None:
    write_experiment(draft_four_arms("four-ways", PRIMARY), folder / "experiment.yaml")


def _open_definition(folder: Path) -> None:
    _run("experiments", "create", "--print", "--file", str(folder / "experiment.yaml"))


def _write_calibration(folder: Path) -> None:
    pool = CalibratedPool(TABLE_ALONE, Reached(0.7, 0.72, 0.8, 0.8), n_questions=3, n_answers=12)
    weights = Calibration(0.71, offsets={2: np.array([0.1, -0.1])})
    fitted = CalibratedRecipe(Recipe(Method.ICL), model=weights, near=pool, far=None)
    save_calibration(folder / "mini.json", _ORIGIN, [fitted], created="2026-11-29")


def _seal_calibration(folder: Path, damaged: str) -> None:
    file = folder / damaged
    with suppress(ValueError, RecursionError):
        fields = json.loads(file.read_bytes())
        if isinstance(fields, dict):
            sha256 = hash_fields({k: v for k, v in fields.items() if k != "sha256"})
            file.write_text(json.dumps(fields | {"sha256": sha256}))


def _open_calibration(folder: Path) -> None:
    found = read_calibration(folder / "mini.json", _ORIGIN).find(Recipe(Method.ICL))
    if found is not None:
        found.model.apply(np.array([0.2, 0.8]))


def _write_translation(folder: Path) -> None:
    _write_pack(folder / "pack")
    (folder / "pack" / "questions.de.jsonl").rename(folder / "lunch.jsonl")
    shutil.copy(folder / "lunch.jsonl", folder / "pack" / "questions.de.jsonl")


def _open_translation(folder: Path) -> None:
    arguments = (str(folder / "pack"), str(folder / "lunch.jsonl"), "--language", "es")
    _run("packs", "add-translation", *arguments)


KINDS = (
    Kind("pack", _write_pack, _seal_pack, _open_pack),
    Kind("adapter", _write_adapter, _seal_adapter, _open_adapter),
    Kind("definition", _write_definition, lambda *_: None, _open_definition),
    Kind("calibration", _write_calibration, _seal_calibration, _open_calibration),
    Kind("translation", _write_translation, lambda *_: None, _open_translation),
)


def _run(*arguments: str) -> None:
    """Run `milieu` in this process, and raise what it could not explain."""
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    if result.exit_code:
        assert result.stderr.startswith("milieu: "), result.stderr[:1000]
        assert len(result.stderr) < MAX_CHARS
        raise SystemExit(result.exit_code)


@contextmanager
def _limit(within_s: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hangs(f"nothing came of it within {within_s:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, within_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


class House:
    """A sound file of each kind, copies of which are damaged and opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, list[str]] = {}
        for kind in KINDS:
            sound = folder / kind.name
            sound.mkdir(parents=True)
            kind.write(sound)
            self._files[kind.name] = sorted(f.name for f in sound.iterdir() if f.is_file())
        self._others = [f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()]

    def open_sound(self, kind: Kind) -> None:
        """Open what is not damaged."""
        with _limit(LIMIT_S):
            kind.open(self._folder / kind.name)

    def open_damaged(self, kind: Kind, seed: int, capsys: pytest.CaptureFixture[str]) -> bool:
        """Damage a file of this kind by a seed, open it, and return whether it was refused."""
        copy = self._folder / f"damaged-{kind.name}-{seed}"
        shutil.copytree(self._folder / kind.name, copy)
        names = self._files[kind.name]
        name = names[seed // 11 % len(names)]
        how, data = mutate((copy / name).read_bytes(), self._others, seed)
        (copy / name).write_bytes(data)
        status = None
        try:
            kind.seal(copy, name)
            with _limit(LIMIT_S), explain_errors():
                kind.open(copy)
        except SystemExit as exc:
            status = exc.code
        except BaseException as exc:
            exc.add_note(f"seed {seed}: {how} in {name} of the {kind.name}")
            raise
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        assert status in (None, 2)
        assert "Traceback" not in capsys.readouterr().err
        return status == 2
