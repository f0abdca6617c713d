"""An adapter's manifest: what it is, for whom, made of what, and what it does to canary prompts.

`manifest.json` is written last, so a folder without one is unfinished.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from adapters.errors import ManifestInvalid
from files.whole import write_text
from prompting.messages import Message

MANIFEST = "manifest.json"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CARD = "README.md"
# What a training of `adapters.culturespa` says of itself.
TRAINING = "card.json"
SCHEMA_VERSION = 1
MAX_CANARIES = 200
N_VERSION_DIGITS = 8
_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_IS_NAME = re.compile(_NAME)
_IS_VERSION_NAME = re.compile(rf"{_NAME}@[0-9a-f]{{{N_VERSION_DIGITS}}}")
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Culture = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
# What decides an adapter's answers, and so its version; the card does not.
_DECISIVE = (CONFIG, WEIGHTS)
_Form = TypeVar("_Form", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Canary:
    """One prompt, and the log-probabilities of its labels with and without the adapter."""

    messages: tuple[Message, ...]
    labels: tuple[str, ...]
    base_logprobs: tuple[float, ...]
    adapter_logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What its maker says of an adapter.

    Attributes:
        method: how it was made, such as `culturespa-joint`.
        data: what it was trained on, in words.
        licence: SPDX id or words, empty where none is stated.
        metrics: figures by name, as its maker measured them.
        canaries: its effect as its maker measured it.
        source: where it was taken from, such as a hub id with a commit.
    """

    method: str = ""
    data: str = ""
    licence: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    canaries: tuple[Canary, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """What `manifest.json` says of an adapter.

    `version` is `version_of` its files. `cultures` are alpha-3 codes, none of them where it
    serves any culture. `base_sha256` is None where the base model's weights were not at hand.
    `sha256` holds the hash of every file but the manifest.
    """

    name: str
    version: str
    base_model: str
    base_sha256: str | None
    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    cultures: tuple[str, ...]
    about: AdapterFacts
    sha256: Mapping[str, str]
    schema_version: int = SCHEMA_VERSION

    @property
    def version_name(self) -> str:
        """The name of this version, which a server knows it by: `name@version`."""
        return f"{self.name}@{self.version}"

    def serves(self, culture: str) -> bool:
        """Return whether the adapter is for `culture`, an alpha-3 code."""
        return not self.cultures or culture in self.cultures


class _MessageEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=20_000)


class _CanaryEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    messages: tuple[_MessageEntry, ...] = Field(min_length=1, max_length=10)
    labels: tuple[str, ...] = Field(min_length=1, max_length=50)
    base_logprobs: tuple[FiniteFloat, ...]
    adapter_logprobs: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _one_logprob_per_label(self) -> Self:
        if not len(self.labels) == len(self.base_logprobs) == len(self.adapter_logprobs):
            raise ValueError("one log-probability per label, with and without the adapter")
        return self


class _AboutEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(default="", max_length=200)
    data: str = Field(default="", max_length=20_000)
    licence: str = Field(default="", max_length=200)
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    canaries: tuple[_CanaryEntry, ...] = Field(default=(), max_length=MAX_CANARIES)
    source: str = Field(default="", max_length=500)


class _ManifestFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1]
    name: str = Field(pattern=rf"^{_NAME}$")
    version: str = Field(pattern=rf"^[0-9a-f]{{{N_VERSION_DIGITS}}}$")
    base_model: str = Field(min_length=1, max_length=500)
    base_sha256: _Hash | None
    rank: int = Field(gt=0)
    alpha: FiniteFloat = Field(gt=0)
    target_modules: tuple[str, ...] = Field(min_length=1)
    cultures: tuple[_Culture, ...]
    about: _AboutEntry = _AboutEntry()
    sha256: dict[str, _Hash] = Field(max_length=10)


class _CanariesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1]
    canaries: tuple[_CanaryEntry, ...] = Field(min_length=1, max_length=MAX_CANARIES)


def is_name(text: str) -> bool:
    """Return whether `text` may name an adapter: lower-case letters, digits and '-'."""
    return _IS_NAME.fullmatch(text) is not None


def is_version_name(text: str) -> bool:
    """Return whether `text` may name a version of an adapter, such as `german@0a1b2c3d`."""
    return _IS_VERSION_NAME.fullmatch(text) is not None


def version_of(sha256: Mapping[str, str]) -> str:
    """Return the version of an adapter with these files: eight hex digits of a sha256.

    It is taken over the names and hashes of the config and the weights, which decide the answers.
    A `KeyError` where one of them has no hash.
    """
    lines = "".join(f"{name} {sha256[name]}\n" for name in _DECISIVE)
    return hashlib.sha256(lines.encode()).hexdigest()[:N_VERSION_DIGITS]


def read_manifest(file: Path) -> AdapterManifest:
    """Return the manifest in `file`. Whether it is true of the files beside it is not checked.

    Raises:
        ManifestInvalid: it cannot be read, or a value breaks the format; the field is named.
    """
    entry = _read(file, _ManifestFile)
    fields = {name: getattr(entry, name) for name in _ManifestFile.model_fields}
    return AdapterManifest(**fields | {"about": _about(entry.about)})


def write_manifest(folder: Path, manifest: AdapterManifest) -> None:
    """Write `manifest` into `folder`, onto the disk, whole or not at all.

    Raises:
        ManifestInvalid: a value breaks the format; nothing is written.
    """
    _write(folder / MANIFEST, asdict(manifest), form=_ManifestFile)


def read_canaries(file: Path) -> tuple[Canary, ...]:
    """Return the canaries in `file`, as `write_canaries` wrote them.

    Raises:
        ManifestInvalid: it cannot be read, or a value breaks the format; the field is named.
    """
    return tuple(map(_canary, _read(file, _CanariesFile).canaries))


def write_canaries(file: Path, canaries: tuple[Canary, ...]) -> None:
    """Write `canaries` to `file`, whole or not at all.

    Raises:
        ManifestInvalid: there are none or too many, or a value breaks the format.
    """
    content = {"schema_version": SCHEMA_VERSION, "canaries": [asdict(c) for c in canaries]}
    _write(file, content, form=_CanariesFile)


def _read(file: Path, form: type[_Form]) -> _Form:
    try:
        return form.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise ManifestInvalid(
            file, found=f"a file that cannot be read ({exc})", expected="JSON"
        ) from exc
    except ValidationError as exc:
        raise _invalid(file, exc) from exc


def _write(file: Path, content: Mapping[str, object], *, form: type[BaseModel]) -> None:
    try:
        entry = form.model_validate(content)
    except ValidationError as exc:
        raise _invalid(file, exc) from exc
    write_text(file, entry.model_dump_json(indent=2) + "\n")


def _invalid(file: Path, exc: ValidationError) -> ManifestInvalid:
    fault = exc.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, fault["loc"])) or "the file"
    found = f"{str(fault['input'])[:60]!r} in {where}"
    return ManifestInvalid(file, found=found, expected=fault["msg"])


def _about(entry: _AboutEntry) -> AdapterFacts:
    fields = {name: getattr(entry, name) for name in _AboutEntry.model_fields}
    return AdapterFacts(**fields | {"canaries": tuple(map(_canary, entry.canaries))})


def _canary(entry: _CanaryEntry) -> Canary:
    return Canary(
        tuple(Message(message.role, message.content) for message in entry.messages),
        entry.labels,
        entry.base_logprobs,
        entry.adapter_logprobs,
    )
