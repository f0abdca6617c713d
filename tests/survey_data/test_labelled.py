"""Tables of SPSS and Stata: codes, labels, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.importers import table, wvs7
from survey_data.importers.report import ImportedPack
from survey_data.importers.subset import read_condition
from survey_data.importers.wvs7_respondents import CountingRules
from survey_data.model import ResponseDistribution
from tests.packs import made_manifest

Labels = dict[str, dict[int | float, str]]
MISSING: dict[int | float, str] = {-1: "Don't know", -2: "No answer", -4: "Not asked in survey"}
LABELS: Labels = {"Q1": {1: "Very important", 2: "Rather important", **MISSING}}
PEOPLE = {
    "B_COUNTRY_ALPHA": ["DEU"] * 6,
    "A_YEAR": [2018] * 6,
    "W_WEIGHT": [1.0, 1.0, 1.0, 0.5, 0.5, 2.0],
    "Q1": [1, 2, 2, -1, -2, -4],
    "Q260": [1, 2, 2, 2, 1, 1],
}


def read_people(file: Path, catalogue: CultureCatalogue, *conditions: str) -> ImportedPack:
    where = tuple(map(read_condition, conditions))
    return wvs7.import_survey(file, catalogue, choice=CountingRules(min_size=0, where=where))


def only_cell(imported: ImportedPack) -> ResponseDistribution:
    [cell] = imported.pack.distributions
    return cell


@pytest.fixture(params=[".sav", ".zsav", ".dta"])
def people(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / f"wave7{request.param}"
    frame = pd.DataFrame(PEOPLE)
    if file.suffix == ".dta":
        pyreadstat.write_dta(frame, file, variable_value_labels=LABELS)
    else:
        pyreadstat.write_sav(
            frame,
            file,
            row_compress=file.suffix == ".zsav",
            variable_value_labels=LABELS,
            missing_ranges={"Q1": [{"lo": -5, "hi": -1}]},
        )
    return file


def test_codes_of_a_labelled_file_are_counted(people: Path, catalogue: CultureCatalogue) -> None:
    # Weights 1 on the first option, 2 on the second, 0.5 and 0.5 on none; 2 were not asked.
    imported = read_people(people, catalogue)
    cell = only_cell(imported)
    assert cell.shares == pytest.approx((1 / 3, 2 / 3, 0.0, 0.0))
    assert (cell.non_response, cell.n_respondents) == (0.25, 5)
    assert imported.report.notes[0] in ("Read as SPSS file", "Read as Stata file")
    assert "1 don't know, 1 no answer or refused, 1 not asked" in imported.report.notes[1]


def test_conditions_hold_for_labelled_files(people: Path, catalogue: CultureCatalogue) -> None:
    assert only_cell(read_people(people, catalogue, "Q260 == 2")).n_respondents == 3


def test_missing_codes_go_by_their_labels(tmp_path: Path, catalogue: CultureCatalogue) -> None:
    file = tmp_path / "wave7.sav"
    codes = [1, 2, 97, 98, 99, None]
    labels: Labels = {"Q1": {97: "Not applicable", 98: "DK", 99: "Refused"}}
    pyreadstat.write_sav(
        pd.DataFrame({**PEOPLE, "Q1": codes, "W_WEIGHT": [1.0] * 6}),
        file,
        variable_value_labels=labels,
        missing_ranges={"Q1": [97, 98, 99]},
    )
    cell = only_cell(read_people(file, catalogue))
    # Without the one to whom it does not apply; a blank may be anything, so it counts as asked.
    assert cell.non_response == pytest.approx(3 / 5)
    assert cell.n_respondents == 5


def test_missing_letters_of_stata_go_by_their_labels(
    tmp_path: Path, catalogue: CultureCatalogue
) -> None:
    file = tmp_path / "wave7.dta"
    pyreadstat.write_dta(
        pd.DataFrame({**PEOPLE, "Q1": [1, 2, 2, "a", "b", "d"], "W_WEIGHT": [1.0] * 6}),
        file,
        # Letters are annotated as numbers.
        variable_value_labels={
            "Q1": {"a": "Don't know", "b": "No answer", "d": "Not asked"}  # type: ignore[dict-item]
        },
        missing_user_values={"Q1": ["a", "b", "d"]},
    )
    cell = only_cell(read_people(file, catalogue))
    assert cell.shares == pytest.approx((1 / 3, 2 / 3, 0.0, 0.0))
    assert (cell.non_response, cell.n_respondents) == (0.4, 5)


@pytest.mark.parametrize("suffix", [".sav", ".dta"])
def test_a_table_has_labels_for_values(
    tmp_path: Path, catalogue: CultureCatalogue, suffix: str
) -> None:
    questions, shares = tmp_path / "questions.csv", tmp_path / f"shares{suffix}"
    questions.write_text("id,topic,text,options,scale\ntea,Taste,Tea?,Yes|No,binary\n")
    write = pyreadstat.write_sav if suffix == ".sav" else pyreadstat.write_dta
    columns = {"question": ["tea"] * 2, "culture": [276.0] * 2, "option": [5, 6], "count": [30, 10]}
    labels: Labels = {"culture": {276.0: "Germany"}, "option": {5: "Yes", 6: "No"}}
    write(pd.DataFrame(columns), shares, variable_value_labels=labels)
    pack, report = table.import_survey(
        questions, shares, catalogue, manifest=made_manifest("own", fieldwork={"*": "2024"})
    )
    [cell] = pack.distributions
    assert (cell.culture, cell.shares, cell.n_respondents) == ("DEU", (0.75, 0.25), 40)
    assert report.n_rows_used == 2


@pytest.mark.parametrize("suffix", [".sav", ".dta"])
def test_a_file_that_is_none_is_named(
    tmp_path: Path, catalogue: CultureCatalogue, suffix: str
) -> None:
    file = tmp_path / f"wave7{suffix}"
    with pytest.raises(PackInvalid, match="no such file"):
        read_people(file, catalogue)
    file.write_text("A_YEAR,Q1\n2018,1\n")
    with pytest.raises(PackInvalid, match=r"cannot be read as a (SPSS|Stata) file") as caught:
        read_people(file, catalogue)
    assert caught.value.file == file
