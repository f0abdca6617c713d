"""The client can be installed and imported by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "milieu_client"
PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
import milieu_client
print(milieu_client.__file__)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
NEVER = {"aiohttp", "app", "cli", "fastapi", "numpy", "pandas", "polars", "survey_data", "vllm"}


def test_it_is_installed_without_the_service(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    run(sys.executable, "-m", "pip", "install", "--quiet", *options, str(source), cwd=tmp_path)

    # `-I`: nothing of the folder that this runs in, or of the environment.
    said = run(sys.executable, "-I", "-c", PROBE, str(target), cwd=tmp_path)

    file, names = said.splitlines()
    assert Path(file).parent == target / "milieu_client"
    assert NEVER.isdisjoint(names.split())
    installed = {path.name for path in (target / "milieu_client").iterdir()}
    assert installed >= {path.name for path in CLIENT.glob("*.py")} | {"py.typed"}
    assert "pyproject.toml" not in installed


def run(*words: str, cwd: Path) -> str:
    return subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, check=True, timeout=120.0
    ).stdout
