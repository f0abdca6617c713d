"""The settings of a replica, which reads them from the environment of its own process."""

from __future__ import annotations

from app.addresses import is_loopback
from app.errors import SettingsInvalid
from app.settings import Settings, read_settings


def read_replica_settings(*, serve_host: str, has_engine: bool = False) -> Settings:
    """Return the settings of a gateway; `serve_host` is where Ray Serve listens.

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
    if bool(settings.vllm.urls) is has_engine:
        here, there = ("set", "not set") if has_engine else ("not set", "set")
        raise SettingsInvalid(
            f"MILIEU_VLLM__URLS is {here} here, and was {there} where the application was started. "
            "Give it one value in the environment of all of Ray's processes"
        )
    return _without_adapters(settings) if has_engine else settings


def read_engine_settings() -> Settings:
    """Return the settings of an engine.

    Raises:
        SettingsInvalid: as of `read_settings`; or adapters are wanted.
    """
    return _without_adapters(read_settings())


def _without_adapters(settings: Settings) -> Settings:
    """Return the settings of a vLLM that is one of several behind one address."""
    if settings.vllm.lora:
        raise SettingsInvalid(
            "adapters are loaded on each server by its URL, and engines of Ray Serve have none. "
            "Set MILIEU_VLLM__URLS to servers of your own, or leave MILIEU_VLLM__LORA out"
        )
    return settings.model_copy(update={"vllm": settings.vllm.model_copy(update={"lora": False})})
