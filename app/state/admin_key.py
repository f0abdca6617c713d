"""The admin key of a service whose settings name none: made once, kept in the data folder."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import SecretStr

from app.settings import Settings
from app.state.secret_files import MIN_CHARS, keep_secret, read_secret

logger = logging.getLogger(__name__)

FILE = "admin-key"
_REMEDY = "Delete it, and a new key is made when the service starts."


def add_admin_key(settings: Settings) -> Settings:
    """Return `settings` with an admin key: theirs, else that of the data folder, made if need be.

    Where none can be written there is none, which closes the admin routes; the log says so.

    Raises:
        SecretFileInvalid: the file can be read by others, or holds no key.
    """
    if settings.admin_keys:
        # How long a key is does not show in its digest, which is longer.
        if min(len(key.get_secret_value()) for key in settings.admin_keys) < MIN_CHARS:
            fields = {"remedy": f"use {MIN_CHARS} characters or more"}
            logger.warning("admin_key_is_short", extra={"fields": fields})
        return settings
    try:
        key = keep_admin_key(settings.data_folder)
    except OSError as exc:
        remedy = "set MILIEU_ADMIN_KEYS, or a MILIEU_DATA_FOLDER that can be written"
        fields = {"reason": str(exc), "remedy": remedy}
        logger.warning("admin_key_not_made", extra={"fields": fields})
        return settings
    return settings.model_copy(update={"admin_keys": (SecretStr(key),)})


def keep_admin_key(data_folder: Path) -> str:
    """Return the key in `data_folder`, made if there is none.

    Raises:
        SecretFileInvalid: the file can be read by others, or holds no key.
        OSError: it cannot be read, or a new one not written.
    """
    return keep_secret(data_folder / FILE, remedy=_REMEDY)


def read_admin_key(data_folder: Path) -> str | None:
    """Return the key in `data_folder`, None where there is none.

    Raises:
        SecretFileInvalid: the file can be read by others, or holds no key.
        OSError: it cannot be read.
    """
    return read_secret(data_folder / FILE, remedy=_REMEDY)
