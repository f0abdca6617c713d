"""What commands share: their settings, and where they print: a result to `out`, else `notes`."""

from __future__ import annotations

from rich.console import Console

from app.logs import configure_logging
from app.settings import Settings, read_settings

# Questions and options may hold what rich would take for its markup.
out = Console(markup=False)
notes = Console(stderr=True)


def read_quiet_settings() -> Settings:
    """Return the settings of the environment, and log warnings only.

    Raises:
        SettingsInvalid: they do not fit.
    """
    settings = read_settings(log_level="WARNING")
    configure_logging(level=settings.log_level, as_json=False)
    return settings
