"""What `milieu serve` does."""

from __future__ import annotations

from app.serving import run_service
from app.settings import read_settings
from cli.console import notes


def serve(host: str | None, port: int | None) -> None:
    """Run the service until it is told to stop.

    Raises:
        SettingsInvalid: the settings do not fit.
        AppError: the service cannot start.
    """
    given = {"host": host, "port": port}
    settings = read_settings(**{key: value for key, value in given.items() if value is not None})
    run_service(settings, notes)
