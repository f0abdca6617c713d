"""The settings of a replica, which reads them from the environment of its own process."""

from __future__ import annotations

from app.addresses import is_loopback
from app.errors import SettingsInvalid
from app.settings import Settings, read_settings


def read_replica_settings(*, serve_host: str) -> Settings:
    """Return the settings of the environment; `serve_host` is where Ray Serve listens.

    Raises:
        SettingsInvalid: as of `read_settings`; or they suit one process alone.
    """
    settings = read_settings()
    if not settings.api_keys and not is_loopback(serve_host):
        raise SettingsInvalid(
            f"Ray Serve listens on {serve_host}, which can be reached from outside, and no key is "
            "set. Set MILIEU_API_KEYS, or let Serve listen on 127.0.0.1"
        )
    if not settings.experiments.is_off and settings.experiments.postgres_url is None:
        raise SettingsInvalid(
            "replicas have no file in common to keep experiments in. Set MILIEU_EXPERIMENTS__STORE "
            "to postgresql://…, or to none"
        )
    if not settings.vllm.urls:
        raise SettingsInvalid(
            "every replica would start a vLLM of its own. Set MILIEU_VLLM__URLS to servers that "
            "run beside Ray, and MILIEU_VLLM__MODEL to what they serve"
        )
    return settings
