"""The calibration of the served model: which model that is, and what is kept of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from app.answering.calibrated import ModelCalibration
from app.errors import CalibrationRefused, UpstreamError
from app.model_files import ModelFiles
from app.settings import Settings
from app.state.calibration_files import CalibrationOrigin, read_calibration
from app.vllm.client import VllmClient
from survey_data.library import SurveyLibrary

logger = logging.getLogger(__name__)
# Of the embedded model as it is served where nothing is set.
SHIPPED = Path(str(resources.files("embedded_model") / "calibration.json"))
# By which the served model is told from others of its name.
MODEL_FILES, MODEL_ROOT = "model files", "model root"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class OpenedCalibration(NamedTuple):
    """The calibration that answers use, and why one that is there is not used."""

    calibration: ModelCalibration | None = None
    refused_because: str | None = None


NO_CALIBRATION = OpenedCalibration()


async def open_calibration(
    settings: Settings,
    files: ModelFiles,
    vllm: VllmClient,
    *,
    library: SurveyLibrary,
    encoder: str,
) -> OpenedCalibration:
    """Return the calibration of the served model; one that is not its own is refused, and logged.

    A service does without: its answers say so. The embedded model comes with one, which holds for
    the packs and the reader that come with it too.
    """
    has_own = settings.calibration is not None or _has_any(settings.calibrations_folder)
    if not has_own and not files.is_embedded:
        return NO_CALIBRATION
    try:
        identity = await identify_model(settings, files, vllm)
    except UpstreamError as exc:
        return _refuse(f"it is not known what model is served: {exc} Start the service again.")
    origin = CalibrationOrigin.of(settings.model, identity, library=library, encoder=encoder)
    file = calibration_file(settings, identity)
    if settings.calibration is None and not file.exists():
        return await _open_shipped(origin) if files.is_embedded else NO_CALIBRATION
    try:
        calibration = await asyncio.to_thread(read_calibration, file, origin)
    except CalibrationRefused as exc:
        return _refuse(str(exc))
    logger.info("calibration_opened", extra={"fields": {"id": calibration.id, "file": str(file)}})
    return OpenedCalibration(calibration)


async def _open_shipped(origin: CalibrationOrigin) -> OpenedCalibration:
    """Return the calibration that comes with the embedded model, none where it is not for it."""
    try:
        return OpenedCalibration(await asyncio.to_thread(read_calibration, SHIPPED, origin))
    except CalibrationRefused as exc:
        logger.info("shipped_calibration_unused", extra={"fields": {"reason": str(exc)}})
        return NO_CALIBRATION


async def identify_model(settings: Settings, files: ModelFiles, vllm: VllmClient) -> dict[str, str]:
    """Return what tells the served model from others of its name.

    That is the hash of its files, or, where it runs on servers of their own, the root that these
    name.

    Raises:
        UpstreamError: the servers do not say.
    """
    if not settings.vllm.urls:
        return {MODEL_FILES: _digest(await asyncio.to_thread(files.hash_files))}
    cards = {card.id: card for card in await vllm.models()}
    return {MODEL_ROOT: cards[settings.model].root if settings.model in cards else "unknown"}


def calibration_file(settings: Settings, identity: dict[str, str]) -> Path:
    """Return where the calibration of the model of that identity is, or would be."""
    if settings.calibration is not None:
        return settings.calibration
    digest = _digest({"model": settings.model, **identity})
    return settings.calibrations_folder / f"{_UNSAFE.sub('-', settings.model)}-{digest[:8]}.json"


def _has_any(folder: Path) -> bool:
    # Hashing a large model takes a while, and is for nothing where there is no file.
    return folder.is_dir() and any(folder.glob("*.json"))


def _refuse(because: str) -> OpenedCalibration:
    logger.warning("calibration_refused", extra={"fields": {"reason": because}})
    return OpenedCalibration(None, because)


def _digest(value: dict[str, str]) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
