"""The default encoder needs no torch; every other one is read by sentence-transformers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.opening import open_encoder
from retrieval.errors import EncoderUnavailable
from tests.retrieval.encoders.small_bert import write_small_bert

HEAVY = ("torch", "transformers", "sentence_transformers", "sklearn")


def test_another_encoder_is_a_folder(tmp_path: Path) -> None:
    encoder = open_encoder(str(write_small_bert(tmp_path / "small", pooling="cls")))
    vectors = encoder.encode(["How important is family?", "Taxes", ""])
    assert encoder.model_id.startswith("small@")
    assert (encoder.dim, vectors.shape) == (24, (3, 24))
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert encoder.encode([]).shape == (0, 24)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="safetensors"):
        open_encoder(str(tmp_path))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="not found"):
        open_encoder(str(tmp_path / "gone"))


def test_retrieval_with_the_default_encoder_loads_no_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from app.state.retrieval import open_retrieval, read_library
from app.settings import read_settings
from survey_data.cultures import read_catalogue

settings = read_settings()
retrieval = open_retrieval(settings, read_library(settings, read_catalogue()))
assert retrieval.encoder.encode(["How important is family?"]).shape == (1, 384)
print(*(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        env={"MILIEU_CACHE_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""
