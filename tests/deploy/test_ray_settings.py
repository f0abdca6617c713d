"""The settings that replicas of Ray Serve take. Needs no Ray."""

from __future__ import annotations

import pytest

from app.errors import SettingsInvalid
from deploy.ray.settings import read_engine_settings, read_replica_settings

LOOPBACK = "127.0.0.1"


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILIEU_EXPERIMENTS__STORE", "none")
    monkeypatch.setenv("MILIEU_VLLM__URLS", "http://10.0.0.5:8000")
    monkeypatch.setenv("MILIEU_VLLM__MODEL", "some-model")


def test_a_proxy_that_can_be_reached_from_outside_needs_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsInvalid, match=r"0\.0\.0\.0.*MILIEU_API_KEYS"):
        read_replica_settings(serve_host="0.0.0.0")
    monkeypatch.setenv("MILIEU_API_KEYS", "some-key")
    assert len(read_replica_settings(serve_host="0.0.0.0").api_keys) == 1


def test_replicas_keep_experiments_in_a_database_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MILIEU_EXPERIMENTS__STORE", "")
    with pytest.raises(SettingsInvalid, match="postgresql"):
        read_replica_settings(serve_host=LOOPBACK)
    monkeypatch.setenv("MILIEU_EXPERIMENTS__STORE", "postgresql://somewhere/milieu")
    monkeypatch.setenv("MILIEU_EXPERIMENTS__UNIT_SECRET", "0123456789abcdef")
    assert read_replica_settings(serve_host=LOOPBACK).experiments.postgres_url is not None


def test_gateways_and_engines_agree_on_who_has_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match="MILIEU_VLLM__URLS is set here, and was not set"):
        read_replica_settings(serve_host=LOOPBACK, has_engine=True)
    monkeypatch.delenv("MILIEU_VLLM__URLS")
    monkeypatch.delenv("MILIEU_VLLM__MODEL")
    with pytest.raises(SettingsInvalid, match="MILIEU_VLLM__URLS is not set here, and was set"):
        read_replica_settings(serve_host=LOOPBACK)


def test_engines_take_no_adapters_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILIEU_VLLM__URLS")
    monkeypatch.delenv("MILIEU_VLLM__MODEL")
    assert not read_engine_settings().vllm.takes_adapters
    assert not read_replica_settings(serve_host=LOOPBACK, has_engine=True).vllm.takes_adapters
    monkeypatch.setenv("MILIEU_VLLM__LORA", "true")
    with pytest.raises(SettingsInvalid, match="MILIEU_VLLM__URLS"):
        read_engine_settings()


def test_servers_may_take_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILIEU_VLLM__LORA", "true")
    monkeypatch.setenv("MILIEU_VLLM__MODEL_PATH", "/models/some-model")
    assert read_replica_settings(serve_host=LOOPBACK).vllm.takes_adapters
