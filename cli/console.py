"""What commands share: settings, and consoles: `out` for results, `notes` for the rest."""

from __future__ import annotations

from rich.console import Console

from app.logs import configure_logging
from app.settings import Settings, read_settings

# Questions and options may contain what rich would read as markup.
out = Console(markup=False)
notes = Console(stderr=True)


def read_quiet_settings() -> Settings:
    """Return the settings from the environment, and log only warnings."""
    settings = read_settings(log_level="WARNING")
    configure_logging(level=settings.log_level, as_json=False)
    return settings
