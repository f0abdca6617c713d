"""Every benchmark that has a command of its own runs, in a small dose."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOSES = {
    "chats": ("--chats", "1"),
    "cli_start": ("--runs", "1"),
    "elsewhere": ("--questions", "2"),
    "embedded_precision": (
        *("--dtypes", "float32", "--threads", "1", "--repeats", "1", "--prompts", "2"),
    ),
    "encoder": ("--rounds", "1"),
    "estimates": (),
    "evaluation": ("--questions", "2", "--generated", "1", "--rounds", "1"),
    "experiments": ("--quick",),
    "hot_swap": ("--swaps", "10"),
    "idle": ("--seconds", "20"),
    "languages": (),
    "memory": ("--requests", "60"),
    "overhead": ("--requests", "8", "--rounds", "1"),
    "pass_through": ("--requests", "60", "--rounds", "1"),
    "real_models": ("--questions", "4", "--every", "2"),
    "recognition": ("--fit",),
    "recording": ("--seconds", "0.5"),
    "replicas": ("--swaps", "9", "--answers", "90", "--zipf", "60"),
    "restarts": ("--requests", "200", "--units", "50", "--kills", "1", "--wait-s", "20"),
    "soak": ("--requests", "2000", "--most-growth", "0.2"),
    "steering": ("--test",),
    "translations": ("--fit",),
}


def test_every_benchmark_has_a_dose() -> None:
    modules = (REPOSITORY / "benchmarks").glob("*.py")

    assert {path.stem for path in modules if "ArgumentParser(" in path.read_text()} == set(DOSES)


def test_every_benchmark_that_a_page_names_has_a_dose() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    named = {
        name
        for page in pages
        for name in re.findall(r"python -m benchmarks\.([\w.]+)", page.read_text(encoding="utf-8"))
    }

    # The commands of the page on lm-eval are run as they stand, with this one among them.
    assert named - {"lm_eval.compare"} <= set(DOSES)


@pytest.mark.deep
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("vllm_model_dir")
@pytest.mark.parametrize("name", sorted(DOSES))
def test_it_runs_and_prints_what_it_measured(name: str, cache_folder: Path, tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MILIEU_")}
    own = {"MILIEU_CACHE_FOLDER": str(cache_folder), "MILIEU_DATA_FOLDER": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *DOSES[name]],
        cwd=REPOSITORY, env=kept | own, capture_output=True, text=True, timeout=840, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    # One lists seconds and compares the most of them with its limit; all others print a table.
    marks = ("at most",) if name == "cli_start" else ("│", "|", "─")
    assert any(mark in done.stdout for mark in marks)
