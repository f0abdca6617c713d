"""The Compose files: valid by the published schema, and in accord with images and settings."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from app.settings import Settings, read_settings
from tests.deploy.manifests import ROOT

COMPOSE = ("compose.yaml", "compose.cpu.yaml")
# The Compose specification's own, kept in check-jsonschema.
SCHEMA = json.loads(
    (files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text()
)
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def read_compose(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


def filled(value: str) -> str:
    """A value as Compose makes it: a variable's default, and some text where one is demanded."""
    return VARIABLE.sub(lambda m: m["rest"] if m["kind"] == "-" else "some-secret", str(value))


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the gateway in a Compose file, on top of those of its image."""
    given = read_compose(name)["services"]["gateway"]["environment"]
    monkeypatch.setenv("MILIEU_HOST", "0.0.0.0")
    for variable, value in given.items():
        monkeypatch.setenv(variable, filled(value))
    return read_settings()


def dockerfile(name: str) -> str:
    build = read_compose(name)["services"]["gateway"]["build"]
    path = "Dockerfile" if isinstance(build, str) else build["dockerfile"]
    return (ROOT / path).read_text()


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_is_valid_by_the_published_schema(name: str) -> None:
    validator = Draft202012Validator(SCHEMA)
    assert [each.message for each in validator.iter_errors(read_compose(name))] == []


def test_the_schema_refuses_a_key_that_does_not_exist() -> None:
    compose = read_compose("compose.cpu.yaml")
    compose["services"]["gateway"]["read_olny"] = True
    (fault,) = Draft202012Validator(SCHEMA).iter_errors(compose)
    assert "read_olny" in fault.message


@pytest.mark.parametrize("name", COMPOSE)
def test_the_settings_are_real_and_their_values_fit(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(name, monkeypatch)
    assert settings.vllm.is_embedded is (name == "compose.cpu.yaml")


@pytest.mark.parametrize("name", COMPOSE)
def test_the_gateway_is_published_on_loopback_alone_and_by_the_port_of_its_image(name: str) -> None:
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", dockerfile(name), flags=re.MULTILINE)
    for service in read_compose(name)["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
            assert port.endswith(f":{exposed}")


@pytest.mark.parametrize("name", COMPOSE)
def test_the_gateway_writes_to_its_volume_alone(name: str) -> None:
    gateway = read_compose(name)["services"]["gateway"]
    (volume,) = re.findall(r"^VOLUME (\S+)$", dockerfile(name), flags=re.MULTILINE)
    assert gateway["read_only"] is True
    assert gateway["tmpfs"] == ["/tmp"]
    assert gateway["cap_drop"] == ["ALL"]
    assert [each.split(":")[1] for each in gateway["volumes"]] == [volume]
    assert {each.split(":")[0] for each in gateway["volumes"]} <= set(read_compose(name)["volumes"])


@pytest.mark.parametrize("name", COMPOSE)
def test_the_gateway_demands_keys(name: str) -> None:
    given = read_compose(name)["services"]["gateway"]["environment"]
    assert given["MILIEU_API_KEYS"].startswith("${MILIEU_API_KEYS:?")


def test_the_image_for_cpus_is_that_of_the_gateway_with_vllm_in_it() -> None:
    gateway, cpu = (dockerfile(name) for name in COMPOSE)
    second = "FROM python:3.11-slim\n"
    shared = ("useradd ", "COPY ", "    HOME=", "    HF_HOME=", "    MILIEU_", "WORKDIR ", "USER ")
    kept = [line for line in gateway.split(second)[1].splitlines() if line.startswith(shared)]
    assert kept
    assert set(kept) <= set(cpu.split(second)[1].splitlines())
    (torch,) = re.findall(r"torch==[0-9.]+", (ROOT / "Makefile").read_text())
    assert f"ARG TORCH={torch}+cpu\n" in cpu
    assert "pip install --no-deps -r requirements/cpu.lock" in cpu


@pytest.mark.parametrize("name", COMPOSE)
def test_what_an_image_copies_is_in_the_build_context(name: str) -> None:
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(name), flags=re.MULTILINE)
    assert {path for line in copied for path in line.split()} - {"."} <= kept
