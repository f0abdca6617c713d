"""Where a model's answers as peoples stand on the cultural map: a file, and which one is served.

`milieu evaluate` writes it, and the page shows it with the places of the peoples themselves. It is
refused where it was altered, or made of another model than the one that is served.
"""

from __future__ import annotations

import asyncio
import json
import logging
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ModelMapRefused, UpstreamError
from app.model_files import ModelFiles
from app.settings import Settings
from app.state.calibration import identify_model
from app.vllm.client import VllmClient
from files.hashes import hash_fields
from files.whole import write_text

logger = logging.getLogger(__name__)
SCHEMA_VERSION = 1
# Of the embedded model as it is served where nothing is set; there may be none.
SHIPPED = Path(str(resources.files("embedded_model") / "cultural_map.json"))


class MapPlace(BaseModel):
    """A place: x survival to self-expression, y traditional to secular-rational."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    x: float
    y: float


class ModelMap(BaseModel):
    """Where a model's answers as peoples stand.

    Attributes:
        model: the name that it was served under.
        identity: what it is known by besides, see `app.state.calibration.identify_model`.
        survey: title of the survey that was asked.
        n_questions: how many of its questions were asked.
        error: root mean square distance, in units of the map and 0 at best, between the published
            place of a country and the one estimated from its own people's answers.
        ways: by the name of how the model was asked, the place of its answers as each culture.
        settings: how it was asked, for the reader: label to value.
        created: when.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: int = SCHEMA_VERSION
    model: str
    identity: dict[str, str]
    survey: str
    n_questions: int = Field(ge=1)
    error: float = Field(ge=0.0)
    ways: dict[str, dict[str, MapPlace]] = Field(min_length=1)
    settings: dict[str, str]
    created: str
    sha256: str = ""

    def digest(self) -> str:
        """Return the sha256 of everything else."""
        return hash_fields(self.model_dump(mode="json", exclude={"sha256"}))


class OpenedMap(NamedTuple):
    """The map that the page shows, and why one that is there is not shown."""

    map: ModelMap | None = None
    refused_because: str | None = None


NO_MAP = OpenedMap()


def save_map(file: Path, of: ModelMap) -> None:
    """Write a map to `file`, in place of one that is there.

    Raises:
        OSError: it cannot be written.
    """
    saved = of.model_copy(update={"sha256": of.digest()})
    write_text(file, saved.model_dump_json(indent=1) + "\n")


def read_map(file: Path, *, model: str, identity: dict[str, str]) -> ModelMap:
    """Return the map in `file`, if it was made of the model of that name and identity.

    Raises:
        ModelMapRefused: there is no such file, it was altered or cannot be read, or it is another
            version's or another model's.
    """
    found = _read(file)
    for ours, theirs in ((model, found.model), (identity, found.identity)):
        if ours != theirs:
            raise ModelMapRefused(file, found=f"that of {_show(theirs)}", expected=_show(ours))
    return found


async def open_map(settings: Settings, files: ModelFiles, vllm: VllmClient) -> OpenedMap:
    """Return the map of the served model; one that is not its own is refused, and logged."""
    file = settings.model_map or (_find_shipped() if files.is_embedded else None)
    if file is None:
        return NO_MAP
    try:
        identity = await identify_model(settings, files, vllm)
        found = await asyncio.to_thread(read_map, file, model=settings.model, identity=identity)
    except UpstreamError as exc:
        because = f"it is not known what model is served: {exc} Start the service again."
    except ModelMapRefused as exc:
        because = str(exc)
    else:
        return OpenedMap(found)
    if settings.model_map is None:
        logger.info("shipped_model_map_unused", extra={"fields": {"reason": because}})
        return NO_MAP
    logger.warning("model_map_refused", extra={"fields": {"reason": because}})
    return OpenedMap(None, because)


def _find_shipped() -> Path | None:
    return SHIPPED if SHIPPED.is_file() else None


def _read(file: Path) -> ModelMap:
    whole = "it as `milieu evaluate` wrote it"
    try:
        data = json.loads(file.read_bytes())
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            found = f"schema_version {version}"
            raise ModelMapRefused(file, found=found, expected=f"{SCHEMA_VERSION}")
        saved = ModelMap.model_validate(data)
    except FileNotFoundError as exc:
        raise ModelMapRefused(file, found="no file", expected="a model's map") from exc
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise ModelMapRefused(file, found=f"{where}: {fault['msg']}", expected=whole) from exc
    except (OSError, ValueError) as exc:
        found = f"what cannot be read ({exc})"
        raise ModelMapRefused(file, found=found, expected=whole) from exc
    if saved.digest() != saved.sha256:
        raise ModelMapRefused(file, found="an altered file", expected=whole)
    return saved


def _show(value: str | dict[str, str]) -> str:
    """Return a name, or names with the first digits of their hashes."""
    if isinstance(value, str):
        return value
    return ", ".join(f"{name} {of[:12]}" for name, of in value.items()) or "nothing"
