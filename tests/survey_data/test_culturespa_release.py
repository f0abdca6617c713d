"""The CultureSPA release as a pack: whole, with the release's modal answers and similarities."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.importers import culturespa_release, wvs7
from survey_data.importers.pack_folder import place_pack
from survey_data.importers.report import ImportedPack
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Scale
from survey_data.similarity import CultureSimilarity

FILES = (culturespa_release.QUESTIONS, culturespa_release.PROPORTIONS)


@pytest.fixture(scope="module")
def imported(shared: Path, catalogue: CultureCatalogue) -> ImportedPack:
    return culturespa_release.import_survey(shared / "data" / "culturespa", catalogue)


@pytest.fixture(scope="module")
def written(imported: ImportedPack, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return place_pack(tmp_path_factory.mktemp("packs") / "out", imported.pack)


def test_the_release_is_counted(imported: ImportedPack) -> None:
    report = imported.report
    assert (report.n_rows_read, report.n_rows_used, report.n_rows_left_out) == (291, 259, 32)
    assert (report.n_cells_written, report.n_cells_empty) == (4861, 60)
    assert {q.question for q in report.questions_dropped} == {
        "Q223",
        *(f"Q{n}" for n in range(260, 291)),
    }


def test_the_report_says_what_it_was_checked_with(imported: ImportedPack) -> None:
    assert "306 of 306" in imported.report.checks[1]
    assert "291 of 291" in imported.report.checks[2]


def test_modal_answers_are_the_releases_once_written(written: Pack, shared: Path) -> None:
    file = shared / "data" / "culturespa" / culturespa_release.PROPORTIONS
    released = json.loads(file.read_bytes())
    questions = {question.key: question for question in written.questions}
    assert len(questions) == 259
    for cell in written.distributions:
        question = questions[cell.question]
        first = next(iter(released[cell.culture][question.id]))
        assert str(cell.mode + question.first_number) == first


def test_similarities_are_the_releases_once_written(
    written: Pack, shared: Path, catalogue: CultureCatalogue
) -> None:
    file = shared / "data" / "culturespa" / culturespa_release.SIMILARITY
    released = json.loads(file.read_bytes())
    similarity = CultureSimilarity(SurveyLibrary([written], catalogue))
    computed = {
        country: {
            other: round(score, 1)
            for other, score in similarity.scores(country).items()
            if other != "MEX"
        }
        for country in released
    }
    assert computed == released


def test_shares_are_the_releases_but_for_ties(written: Pack, shared: Path) -> None:
    file = shared / "data" / "culturespa" / culturespa_release.PROPORTIONS
    released = json.loads(file.read_bytes())
    questions = {question.key: question for question in written.questions}
    for cell in written.distributions:
        question = questions[cell.question]
        raw = [released[cell.culture][question.id].get(str(n), 0.0) for n in question.numbers]
        assert cell.shares == pytest.approx([share / sum(raw) for share in raw], abs=3e-6)


def test_topics_are_those_of_the_shipped_pack(written: Pack) -> None:
    shipped = {question.source_item: question.topic for question in wvs7.read_shipped().questions}
    assert all(q.topic == shipped.get(q.id, q.topic) for q in written.questions)
    assert len({q.topic for q in written.questions}) == 13


def test_options_off_the_scale_stay_and_make_an_item_nominal(written: Pack) -> None:
    questions = {question.id: question for question in written.questions}
    assert questions["Q119"].options[0] == "Hard to say"
    assert (questions["Q119"].scale, questions["Q119"].first_number) == (Scale.NOMINAL, 0)
    assert questions["Q1"].scale is Scale.ORDINAL


def release(folder: Path, cells: object, items: object = None) -> Path:
    default = [{"Q_id": "Q1", "question": "Why?", "option_lst": ["a", "b", "c"]}]
    (folder / FILES[0]).write_text(json.dumps(default if items is None else items))
    (folder / FILES[1]).write_text(json.dumps(cells))
    return folder


def test_of_equal_shares_the_releases_first_is_the_mode(
    tmp_path: Path, catalogue: CultureCatalogue
) -> None:
    folder = release(tmp_path, {"DEU": {"Q1": {"3": 0.4, "1": 0.4, "2": 0.1}}})
    pack, report = culturespa_release.import_survey(folder, catalogue)
    assert place_pack(tmp_path / "out", pack).distributions[0].mode == 2
    assert "1 of them between equal shares" in report.checks[0]


def test_without_the_other_files_nothing_is_said_to_be_checked(
    tmp_path: Path, catalogue: CultureCatalogue
) -> None:
    folder = release(tmp_path, {"DEU": {"Q1": {"1": 0.9}}})
    report = culturespa_release.import_survey(folder, catalogue).report
    assert all("not checked" in check for check in report.checks[1:])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"DEU": {"Q1": {"4": 1.0}}}, "codes .'4'."),
        ({"DEU": {"Q2": {"1": 1.0}}}, "DEU has no item"),
        ({"DEU": {"Q1": {"1": 0.0}}}, "nobody in DEU"),
        ({"DEU": {"Q1": {"2": 0.1, "1": 0.9}}}, "expected largest first"),
        ({"DEU": {"Q1": "x"}}, "not as released"),
        ([], "not as released"),
    ],
)
def test_what_is_not_as_released_is_refused(
    tmp_path: Path, catalogue: CultureCatalogue, cells: object, message: str
) -> None:
    with pytest.raises(PackInvalid, match=message):
        culturespa_release.import_survey(release(tmp_path, cells), catalogue)


def test_a_missing_file_is_refused(tmp_path: Path, catalogue: CultureCatalogue) -> None:
    with pytest.raises(PackInvalid, match="cannot be read"):
        culturespa_release.import_survey(tmp_path, catalogue)
