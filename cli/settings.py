"""The settings of a command that says what it does itself."""

from __future__ import annotations

from app.settings import Settings, read_settings
from app.telemetry import configure_logging


def read_quiet_settings() -> Settings:
    """Return the settings of the environment, and log warnings only.

    Raises:
        SettingsInvalid: they do not fit.
    """
    settings = read_settings(log_level="WARNING")
    configure_logging(level=settings.log_level, as_json=False)
    return settings
