"""Three adapters, one each for three cultures, from questions to what they change; nothing is fake.

`milieu culturespa run` asks the real vLLM and trains with peft; `milieu evaluate` loads what came
of it in the real vLLM and asks base and adapters the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.culturespa.card import read_card
from adapters.registry import AdapterRegistry
from evaluation.figures import Figures
from mini_model.weights import WEIGHTS
from tests.conftest import ServedVllm

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
CULTURES = ("USA", "CHN", "ZWE")
N_QUESTIONS = 12


@pytest.fixture
def env(real_vllm: ServedVllm, cache_folder: Path, tmp_path: Path) -> dict[str, str]:
    # Named by another path, so that the settings know it for a model of its own servers.
    (tmp_path / "base").symlink_to(WEIGHTS)
    return os.environ | {
        "MILIEU_CACHE_FOLDER": str(cache_folder),
        "MILIEU_DATA_FOLDER": str(tmp_path / "data"),
        "MILIEU_VLLM__URLS": real_vllm.url,
        "MILIEU_VLLM__API_KEY": real_vllm.api_key,
        "MILIEU_VLLM__MODEL": real_vllm.model,
        "MILIEU_VLLM__MODEL_PATH": str(tmp_path / "base"),
        "MILIEU_VLLM__LORA": "true",
        "MILIEU_VLLM__MAX_LORAS": "2",
        "MILIEU_VLLM__MAX_CPU_LORAS": "2",
    }


def milieu(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *arguments],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=400.0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_adapters_of_three_cultures_are_made_and_change_what_is_answered(
    env: dict[str, str], tmp_path: Path
) -> None:
    asked_as = [part for code in CULTURES for part in ("-c", code)]
    milieu(
        env, "culturespa", "run", "--out", str(tmp_path / "run"), "--from-survey", *asked_as,
        "--method", "cross-culture", "--mode", "specific", "--no-train-end",
        "--learning-rate", "1e-3", "--epochs", "2", "--threads", "1",
    )  # fmt: skip

    registry = AdapterRegistry(Path(env["MILIEU_DATA_FOLDER"]) / "adapters")
    made = {entry.cultures: entry for entry in registry.entries()}
    assert set(made) == {(code,) for code in CULTURES}
    for entry in made.values():
        card = read_card(registry.path(entry.version_name))
        assert sum(card.n_examples.values()) > 0
        # It learned what it was shown.
        assert card.label_logprob["after"] > card.label_logprob["before"]

    names = ",".join(entry.version_name for entry in made.values())
    out = tmp_path / "results"
    milieu(
        env, "evaluate", *asked_as, "--questions", str(N_QUESTIONS), "--no-references",
        "--method", "plain", "--method", "persona", "--method", "persona+icl",
        "--method", "adapter", "--method", "adapter+icl",
        "--adapter", f"own={names}", "--out", str(out),
    )  # fmt: skip

    [section] = Figures.model_validate_json((out / "figures.json").read_bytes()).sections
    found = {condition.name: condition for condition in section.conditions}
    cells = len(CULTURES) * N_QUESTIONS
    assert found["adapter, own"].n_cells == found["adapter+icl, own"].n_cells == cells
    assert found["adapter, own"].unreadable == 0.0
    # The prompt is the same, so what differs is the weights.
    assert found["adapter, own"].similarity != found["persona"].similarity
    assert found["adapter+icl, own"].similarity != found["persona+icl"].similarity
