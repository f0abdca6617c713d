"""Settings: environment variables `MILIEU_…`, read once and passed down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from app.addresses import check_origins, is_loopback
from app.errors import SettingsInvalid
from app.keys import check_key
from app.model_name import name_model
from app.setting_groups import (
    AUTO,
    EMBEDDED_MODEL,
    AnswerSettings,
    BatchSettings,
    EncoderSettings,
    ExperimentSettings,
    LimitSettings,
    Strings,
    TraceSettings,
    VllmSettings,
    split_list,
)

__all__ = [
    "EMBEDDED_MODEL",
    "AnswerSettings",
    "BatchSettings",
    "EncoderSettings",
    "ExperimentSettings",
    "Settings",
    "VllmSettings",
    "read_settings",
]
PREFIX = "MILIEU_"


def _check_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in keys:
        check_key(key.get_secret_value())
    return keys


# Each in clear, or as its digest.
Keys = Annotated[tuple[SecretStr, ...], NoDecode, AfterValidator(_check_keys)]


class Settings(BaseSettings):
    """All settings. A variable that starts with `MILIEU_` and is none of them is refused."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    api_keys: Keys = ()
    admin_keys: Keys = ()
    cors_origins: Annotated[Strings, AfterValidator(check_origins)] = ()
    packs: Strings = ()
    pack_folders: Strings = ()
    commercial_use: bool = False
    cache_folder: Path = Field(default_factory=lambda: Path.home() / ".cache" / "milieu")
    data_folder: Path = Field(default_factory=lambda: Path.home() / ".local" / "share" / "milieu")
    calibration: Path | None = None
    model_map: Path | None = None
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: str = Field(default="keyvalue", pattern="^(keyvalue|json)$")
    vllm: VllmSettings = Field(default_factory=VllmSettings)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    answer: AnswerSettings = Field(default_factory=AnswerSettings)
    batch: BatchSettings = Field(default_factory=BatchSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    traces: TraceSettings = Field(default_factory=TraceSettings)
    experiments: ExperimentSettings = Field(default_factory=ExperimentSettings)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        lists = {name: split_list(data[name]) for name in _LISTS if isinstance(data.get(name), str)}
        return {**data, **lists}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.api_keys and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from outside, and no key is set. Set "
                "MILIEU_API_KEYS, or leave MILIEU_HOST at 127.0.0.1"
            )
        return self

    @property
    def url(self) -> str:
        """Where the service is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def index_folder(self) -> Path:
        """Where question indexes are kept, one folder for the packs of each."""
        return self.cache_folder / "index"

    @property
    def models_folder(self) -> Path:
        """Where the embedded model is unpacked."""
        return self.cache_folder / "models"

    @property
    def adapters_folder(self) -> Path:
        """Where the registry of adapters is kept."""
        return self.data_folder / "adapters"

    @property
    def claims_folder(self) -> Path:
        """Where processes tell each other which adapters they have loaded."""
        return self.data_folder / "adapter-claims"

    @property
    def calibrations_folder(self) -> Path:
        """Where calibrations are kept, a file for each served model."""
        return self.data_folder / "calibrations"

    @property
    def events_file(self) -> Path:
        """Where experiments and events are kept, unless in PostgreSQL."""
        return self.data_folder / "experiments.db"

    @property
    def unit_secret_file(self) -> Path:
        """Where the secret is kept that units are hashed with, unless it is set."""
        return self.data_folder / "unit-secret"

    @property
    def model(self) -> str:
        """The name of the base model, of its folder where it has no other."""
        return self.vllm.model or name_model(self.vllm.model_path, EMBEDDED_MODEL)

    @property
    def uses_reader(self) -> bool:
        """Whether the embedded model has its reader, which is for non-commercial use."""
        return self.vllm.is_embedded and self.vllm.reader == AUTO and not self.commercial_use

    @property
    def pack_roots(self) -> tuple[Path, ...]:
        """The folders that packs are looked for in: Milieu's own, then those of the settings."""
        own = Path(str(files("survey_data") / "packs"))
        return (own, *(Path(folder) for folder in self.pack_folders))


_LISTS = ("api_keys", "admin_keys", "cors_origins", "packs", "pack_folders")


def read_settings(**overrides: object) -> Settings:
    """Return the settings of the environment, with `overrides` on top.

    Raises:
        SettingsInvalid: an unknown `MILIEU_` variable, or a value that does not fit; all faults
            are named.
    """
    known, given = _variables(), (n for n in os.environ if n.upper().startswith(PREFIX))
    if unknown := sorted(name for name in given if name.upper() not in known):
        meant = get_close_matches(unknown[0].upper(), known, n=1)
        hint = f" Did you mean {meant[0]}?" if meant else ""
        raise SettingsInvalid(
            f"unknown variable {', '.join(unknown)}; known are {', '.join(sorted(known))}.{hint}"
        )
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as exc:
        faults = []
        for fault in exc.errors(include_url=False):
            name = (PREFIX + "__".join(str(part).upper() for part in fault["loc"])).rstrip("_")
            # Groups and lists may hold a key, and a key is not shown.
            is_secret = any(part in name for part in ("KEY", "SECRET", "STORE"))
            is_shown = isinstance(fault["input"], str) and not is_secret
            found = f", found '{fault['input'][:80]}'" if is_shown else ""
            faults.append(f"{name}: {fault['msg'].removeprefix('Value error, ')}{found}")
        raise SettingsInvalid("; ".join(faults)) from exc
    except SettingsError as exc:
        raise SettingsInvalid(f"{exc}: {exc.__cause__}") from exc


def _variables() -> set[str]:
    """Return the name of every variable: of each setting, and of each group as JSON."""
    names = set()
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        names.add(variable)
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            names |= {f"{variable}__{leaf.upper()}" for leaf in group.model_fields}
    return names
