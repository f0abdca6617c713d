"""A saved fit is opened where it fits, made anew where it does not, refused where altered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from estimation.fit_files import FILE, fit_estimator, open_estimator
from retrieval.errors import IndexInvalid, IndexUnwritable
from retrieval.index_files import library_index
from survey_data.library import SurveyLibrary
from tests.estimation.tables import random_library
from tests.retrieval.conftest import HashEncoder


@pytest.fixture(scope="module")
def library() -> SurveyLibrary:
    return random_library(n_options=4)


@pytest.fixture
def saved(tmp_path: Path, library: SurveyLibrary) -> Path:
    encoder = HashEncoder()
    fit_estimator(tmp_path / "fit", library, encoder, library_index(library, encoder))
    return tmp_path / "fit"


def opened(folder: Path, library: SurveyLibrary, encoder: HashEncoder | None = None) -> bool:
    """Open the estimator and return whether it was fitted for that."""
    encoder = encoder or HashEncoder()
    return open_estimator(folder, library, encoder, library_index(library, encoder)).refitted


def test_what_is_missing_is_fitted_and_saved(tmp_path: Path, library: SurveyLibrary) -> None:
    assert opened(tmp_path / "deep" / "fit", library)
    assert not opened(tmp_path / "deep" / "fit", library)


def test_a_fit_leaves_nothing_in_memory_but_what_estimates(
    tmp_path: Path, library: SurveyLibrary
) -> None:
    encoder = HashEncoder()
    found = open_estimator(tmp_path, library, encoder, library_index(library, encoder))
    assert found.refitted
    assert found.estimator.transfer_model.n_fits == 0


def test_what_is_opened_estimates_as_what_was_saved(saved: Path, library: SurveyLibrary) -> None:
    encoder = HashEncoder()
    index = library_index(library, encoder)
    fitted = fit_estimator(saved, library, encoder, index)
    reopened = open_estimator(saved, library, encoder, index).estimator
    vectors = encoder.encode(["What?", *"abcd"]).astype(np.float64)

    question = next(iter(library.questions.values()))
    assert reopened.transfer(question, "DEU") == fitted.transfer(question, "DEU")
    assert reopened.relate(vectors[0], vectors[1:], "DEU") == fitted.relate(
        vectors[0], vectors[1:], "DEU"
    )


def test_other_answers_are_fitted_anew(saved: Path) -> None:
    assert opened(saved, random_library(n_options=4, seed=8))


def test_another_encoder_is_fitted_anew(saved: Path, library: SurveyLibrary) -> None:
    assert opened(saved, library, HashEncoder(model_id="other"))


def test_another_format_is_fitted_anew(saved: Path, library: SurveyLibrary) -> None:
    manifest = json.loads((saved / FILE).read_text())
    (saved / FILE).write_text(json.dumps(manifest | {"schema_version": 99}))
    assert opened(saved, library)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 1}', b"\xff"])
def test_a_damaged_manifest_is_refused(saved: Path, library: SurveyLibrary, content: bytes) -> None:
    (saved / FILE).write_bytes(content)
    with pytest.raises(IndexInvalid, match="milieu index"):
        opened(saved, library)


def test_altered_widths_are_refused(saved: Path, library: SurveyLibrary) -> None:
    fit = json.loads((saved / FILE).read_text())
    fit["transfer"]["scales"][0] *= 0.5
    (saved / FILE).write_text(json.dumps(fit))
    with pytest.raises(IndexInvalid, match="altered"):
        opened(saved, library)


def test_altered_wordings_are_refused(saved: Path, library: SurveyLibrary) -> None:
    (file,) = saved.glob("wordings-*.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(IndexInvalid, match="wordings"):
        opened(saved, library)


def test_wordings_are_encoded_once(saved: Path, library: SurveyLibrary) -> None:
    encoder = HashEncoder()
    index = library_index(library, encoder)
    encoder.encoded.clear()
    open_estimator(saved, library, encoder, index)
    assert encoder.encoded == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, library: SurveyLibrary) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexUnwritable, match="file"):
        opened(tmp_path / "file" / "fit", library)
