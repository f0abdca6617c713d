"""An adapter's manifest: what it is, for whom, made of what, and what it does to canary prompts.

`manifest.json` is written last, so a folder without one is unfinished.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from adapters.errors import ManifestInvalid
from files.whole import write_text
from prompting.messages import Message

MANIFEST = "manifest.json"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CARD = "README.md"
# What a training of `adapters.culturespa` says of itself.
TRAINING = "card.json"
SCHEMA_VERSION: Literal[1] = 1
MAX_CANARIES, MAX_MESSAGE_CHARS = 200, 20_000
N_VERSION_DIGITS = 8
_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_VERSION = rf"[0-9a-f]{{{N_VERSION_DIGITS}}}"
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Culture = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
_Words = Annotated[str, StringConstraints(max_length=200)]
# What decides an adapter's answers, and so its version; the card does not.
_DECISIVE = (CONFIG, WEIGHTS)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Canary:
    """One prompt, and the log-probabilities of its labels with and without the adapter."""

    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=10)]
    labels: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    base_logprobs: tuple[FiniteFloat, ...]
    adapter_logprobs: tuple[FiniteFloat, ...]


def _check_canary(canary: Canary) -> Canary:
    if not len(canary.labels) == len(canary.base_logprobs) == len(canary.adapter_logprobs):
        raise ValueError("one log-probability per label, with and without the adapter")
    if any(len(message.content) > MAX_MESSAGE_CHARS for message in canary.messages):
        raise ValueError(f"at most {MAX_MESSAGE_CHARS} characters in a message")
    return canary


_SoundCanary = Annotated[Canary, AfterValidator(_check_canary)]


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What its maker says of an adapter.

    Attributes:
        method: how it was made, such as `culturespa-joint`.
        data: what it was trained on, in words.
        licence: SPDX id or words, empty if none is stated.
        metrics: figures by name, as its maker measured them.
        canaries: its effect as its maker measured it.
        source: where it was taken from, such as a hub id with a commit.
    """

    method: _Words = ""
    data: Annotated[str, StringConstraints(max_length=20_000)] = ""
    licence: _Words = ""
    metrics: Mapping[str, FiniteFloat] = field(default_factory=dict)
    canaries: Annotated[tuple[_SoundCanary, ...], Field(max_length=MAX_CANARIES)] = ()
    source: Annotated[str, StringConstraints(max_length=500)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterManifest:
    """What `manifest.json` says of an adapter.

    `version` is `version_of` its files. `cultures` are alpha-3 codes, empty if it serves any
    culture. `base_sha256` is None if the base model's weights were not at hand. `sha256` holds the
    hash of every file but the manifest.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=rf"^{_NAME}$")]
    version: Annotated[str, Field(pattern=rf"^{_VERSION}$")]
    base_model: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    base_sha256: _Hash | None
    rank: Annotated[int, Field(gt=0)]
    alpha: Annotated[FiniteFloat, Field(gt=0)]
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)]
    cultures: tuple[_Culture, ...]
    about: AdapterFacts = field(default_factory=AdapterFacts)
    sha256: Annotated[Mapping[str, _Hash], Field(max_length=10)]

    @property
    def version_name(self) -> str:
        """The name of this version, which a server knows it by: `name@version`."""
        return f"{self.name}@{self.version}"

    def serves(self, culture: str) -> bool:
        """Return whether the adapter is for `culture`, an alpha-3 code."""
        return not self.cultures or culture in self.cultures


@dataclass(frozen=True, slots=True)
class _CanariesFile:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    schema_version: Literal[1]
    canaries: Annotated[tuple[_SoundCanary, ...], Field(min_length=1, max_length=MAX_CANARIES)]


_MANIFEST_FORM, _CANARIES_FORM = TypeAdapter(AdapterManifest), TypeAdapter(_CanariesFile)


def is_name(text: str) -> bool:
    """Return whether `text` may name an adapter: lower-case letters, digits and '-'."""
    return re.fullmatch(_NAME, text) is not None


def is_version_name(text: str) -> bool:
    """Return whether `text` may name a version of an adapter, such as `german@0a1b2c3d`."""
    return re.fullmatch(f"{_NAME}@{_VERSION}", text) is not None


def version_of(sha256: Mapping[str, str]) -> str:
    """Return the version of an adapter with these files: eight hex digits of a sha256.

    It is taken over the names and hashes of config and weights, which decide the answers.

    Raises:
        KeyError: one of them has no hash.
    """
    lines = "".join(f"{name} {sha256[name]}\n" for name in _DECISIVE)
    return hashlib.sha256(lines.encode()).hexdigest()[:N_VERSION_DIGITS]


def read_manifest(file: Path) -> AdapterManifest:
    """Return the manifest in `file`. Whether it is true of the files beside it is not checked.

    Raises:
        ManifestInvalid: it cannot be read, or a value breaks the format; the field is named.
    """
    return _read(file, _MANIFEST_FORM)


def write_manifest(folder: Path, manifest: AdapterManifest) -> None:
    """Write `manifest` into `folder`, onto the disk, whole or not at all.

    Raises:
        ManifestInvalid: a value breaks the format; nothing is written.
    """
    _write(folder / MANIFEST, asdict(manifest), form=_MANIFEST_FORM)


def read_canaries(file: Path) -> tuple[Canary, ...]:
    """Return the canaries in `file`, as `write_canaries` wrote them.

    Raises:
        ManifestInvalid: it cannot be read, or a value breaks the format; the field is named.
    """
    return _read(file, _CANARIES_FORM).canaries


def write_canaries(file: Path, canaries: tuple[Canary, ...]) -> None:
    """Write `canaries` to `file`, whole or not at all.

    Raises:
        ManifestInvalid: there are none or too many, or a value breaks the format.
    """
    content = asdict(_CanariesFile(SCHEMA_VERSION, canaries))
    _write(file, content, form=_CANARIES_FORM)


def _read(file: Path, form: TypeAdapter[T]) -> T:
    try:
        return form.validate_json(file.read_bytes())
    except OSError as exc:
        raise ManifestInvalid(
            file, found=f"a file that cannot be read ({exc})", expected="JSON"
        ) from exc
    except ValidationError as exc:
        raise _refuse(file, exc) from exc


def _write(file: Path, content: object, *, form: TypeAdapter[T]) -> None:
    try:
        entry = form.validate_python(content)
    except ValidationError as exc:
        raise _refuse(file, exc) from exc
    write_text(file, form.dump_json(entry, indent=2).decode() + "\n")


def _refuse(file: Path, exc: ValidationError) -> ManifestInvalid:
    fault = exc.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, fault["loc"])) or "the file"
    found = f"{str(fault['input'])[:60]!r} in {where}"
    return ManifestInvalid(file, found=found, expected=fault["msg"])
