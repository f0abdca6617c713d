"""A saved index is loaded where it fits, made anew where it does not, refused where altered."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.errors import (
    IndexInvalid,
    IndexMissing,
    IndexOutdated,
    IndexUnwritable,
    VectorsInvalid,
)
from retrieval.index_files import MANIFEST, load_index, open_index
from survey_data.cultures import CultureCatalogue
from survey_data.library import SurveyLibrary

MakeLibrary = Callable[..., SurveyLibrary]
MakeEncoder = Callable[..., Any]


@pytest.fixture
def library(make_library: MakeLibrary) -> SurveyLibrary:
    return make_library(["Why?", "When?", "Who?"], not_asked={"KEN": [1]})


@pytest.fixture
def saved(tmp_path: Path, library: SurveyLibrary, hash_encoder: MakeEncoder) -> Path:
    open_index(tmp_path / "index", library, hash_encoder())
    return tmp_path / "index"


def vectors_file(folder: Path) -> Path:
    (path,) = folder.glob("vectors-*.npy")
    return path


def test_a_missing_index_is_made_and_saved(
    tmp_path: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    index, rebuilt = open_index(tmp_path / "deep" / "index", library, hash_encoder())
    assert (len(index), rebuilt) == (3, True)
    assert (tmp_path / "deep" / "index" / MANIFEST).is_file()


def test_a_fitting_index_is_loaded_without_encoding(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    encoder = hash_encoder()
    index, rebuilt = open_index(saved, library, encoder)
    assert (rebuilt, encoder.encoded) == (False, [])
    expected = hash_encoder().encode(["Why?", "When?", "Who?"])
    np.testing.assert_array_equal(index.vectors, expected)
    assert [hit.key for hit in index.search(expected[1], "KEN", 3)].count("p:Q1") == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"texts": ["Why?", "When?", "How?"]},
        {"texts": ["When?", "Why?", "Who?"]},
        {"texts": ["Why?", "When?"]},
        {"questions_sha256": "other"},
    ],
)
def test_changed_questions_make_the_index_anew(
    saved: Path, make_library: MakeLibrary, hash_encoder: MakeEncoder, changed: dict[str, Any]
) -> None:
    library = make_library(**{"texts": ["Why?", "When?", "Who?"], **changed})
    with pytest.raises(IndexOutdated, match="milieu index"):
        load_index(saved, library, hash_encoder())
    assert open_index(saved, library, hash_encoder()).rebuilt
    assert not open_index(saved, library, hash_encoder()).rebuilt


@pytest.mark.parametrize("other", [{"model_id": "other"}, {"dim": 16}])
def test_another_encoder_makes_the_index_anew(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder, other: dict[str, Any]
) -> None:
    encoder = hash_encoder(**other)
    with pytest.raises(IndexOutdated):
        load_index(saved, library, encoder)
    index, rebuilt = open_index(saved, library, encoder)
    assert (index.model_id, index.dim, rebuilt) == (encoder.model_id, encoder.dim, True)


def test_only_the_vectors_in_use_are_kept(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    open_index(saved, library, hash_encoder(dim=16))
    manifest = json.loads((saved / MANIFEST).read_bytes())
    assert sorted(path.name for path in saved.iterdir()) == [MANIFEST, manifest["vectors_file"]]


def test_new_answers_need_no_new_vectors(
    saved: Path, make_library: MakeLibrary, hash_encoder: MakeEncoder
) -> None:
    library = make_library(["Why?", "When?", "Who?"], not_asked={"KEN": [0, 1]})
    index, rebuilt = open_index(saved, library, hash_encoder())
    assert not rebuilt
    assert [hit.key for hit in index.search(index.vectors[0], "KEN", 3)] == ["p:Q2"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 1}', b"\xff"])
def test_an_unreadable_manifest_is_refused(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder, content: bytes
) -> None:
    (saved / MANIFEST).write_bytes(content)
    with pytest.raises(IndexInvalid, match="milieu index") as caught:
        open_index(saved, library, hash_encoder())
    assert type(caught.value) is IndexInvalid


def test_another_schema_is_outdated(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    (saved / MANIFEST).write_text('{"schema_version": 0, "older": true}')
    with pytest.raises(IndexOutdated, match="found schema_version 0, expected 1"):
        load_index(saved, library, hash_encoder())


def test_altered_vectors_are_refused(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    path = vectors_file(saved)
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(IndexInvalid, match="sha256"):
        open_index(saved, library, hash_encoder())


def test_missing_vectors_are_made_anew(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    vectors_file(saved).unlink()
    with pytest.raises(IndexMissing):
        load_index(saved, library, hash_encoder())
    assert open_index(saved, library, hash_encoder()).rebuilt


def test_a_manifest_does_not_reach_out_of_its_folder(
    saved: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    vectors_file(saved).rename(saved.parent / "elsewhere.npy")
    manifest = json.loads((saved / MANIFEST).read_bytes())
    manifest["vectors_file"] = "../elsewhere.npy"
    (saved / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(IndexMissing):
        load_index(saved, library, hash_encoder())


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IndexUnwritable, match="milieu index"):
        open_index(tmp_path / "file" / "index", library, hash_encoder())


def test_an_empty_library_is_never_indexed(
    tmp_path: Path, catalogue: CultureCatalogue, hash_encoder: MakeEncoder
) -> None:
    with pytest.raises(VectorsInvalid, match="load a pack"):
        open_index(tmp_path, SurveyLibrary([], catalogue), hash_encoder())


def _open_often(folder: Path, library: SurveyLibrary, encoder: Any) -> None:
    for _ in range(20):
        (folder / MANIFEST).unlink(missing_ok=True)
        index, _ = open_index(folder, library, encoder)
        assert len(index) == 3


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_two_processes_may_write_at_once(
    tmp_path: Path, library: SurveyLibrary, hash_encoder: MakeEncoder
) -> None:
    # Forked, since a spawned process would import everything again; it only computes and writes.
    context = multiprocessing.get_context("fork")
    others = [
        context.Process(target=_open_often, args=(tmp_path, library, hash_encoder(dim=dim)))
        for dim in (8, 16)
    ]
    for process in others:
        process.start()
    for process in others:
        process.join(timeout=60)
    assert [process.exitcode for process in others] == [0, 0]
    assert not list(tmp_path.glob(".*"))
