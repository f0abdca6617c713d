"""Any survey from a file of questions and a long table of shares or counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.importers import table
from survey_data.importers.report import ImportedPack
from tests.packs import made_manifest

QUESTIONS = """id,topic,text,options,scale
tea,Taste,Do you drink tea?,Yes|No,binary
how,Taste,How often?,"[""Daily"", ""Weekly"", ""Never""]",ordinal
"""
SHARES = """question,culture,option,share
tea,Germany,Yes,0.6
how,KEN,1,20
tea,Germany,No,0.4
how,KEN,Never,30
how,KEN,Weekly,50
"""


class Tables:
    """Writes the two files and imports them."""

    def __init__(self, folder: Path, catalogue: CultureCatalogue) -> None:
        self.questions, self.shares = folder / "questions.csv", folder / "shares.csv"
        self._catalogue = catalogue
        self.questions.write_text(QUESTIONS)
        self.shares.write_text(SHARES)

    def read(self) -> ImportedPack:
        manifest = made_manifest("own", title="Own", fieldwork={"*": "2024"})
        return table.import_survey(self.questions, self.shares, self._catalogue, manifest=manifest)


@pytest.fixture
def tables(tmp_path: Path, catalogue: CultureCatalogue) -> Tables:
    return Tables(tmp_path, catalogue)


def test_shares_and_percentages_in_any_order(tables: Tables) -> None:
    pack, report = tables.read()
    assert [(d.question, d.culture, d.shares) for d in pack.distributions] == [
        ("own:tea", "DEU", (0.6, 0.4)),
        ("own:how", "KEN", (0.2, 0.5, 0.3)),
    ]
    assert (report.n_rows_read, report.n_rows_used, report.n_cells_written) == (5, 5, 2)


@pytest.mark.parametrize("sign", ["%", " %", "\u00a0%"])
def test_shares_may_be_followed_by_a_sign_for_percent(tables: Tables, sign: str) -> None:
    rows = (f"tea,DE,Yes,44.5{sign},5{sign}\ntea,DE,No,55.5{sign},5{sign}\n", "tea,KE,1,1,\n")
    tables.shares.write_text("question,culture,option,share,non_response\n" + "".join(rows))

    german, kenyan = tables.read().pack.distributions

    assert german.shares == pytest.approx((0.445, 0.555))
    assert german.non_response == pytest.approx(0.05)
    assert kenyan.shares == (1.0, 0.0)


def test_one_percent_is_not_everybody(tables: Tables) -> None:
    tables.shares.write_text("question,culture,option,share\ntea,DE,Yes,1%\n")
    with pytest.raises(PackInvalid, match=r"the shares of tea, DEU sum to 0\.01"):
        tables.read()


def test_a_count_has_no_percent(tables: Tables) -> None:
    tables.shares.write_text("question,culture,option,count\ntea,DE,Yes,5%\n")
    with pytest.raises(PackInvalid, match="'5%' is no number"):
        tables.read()


def test_the_codes_of_namibia_and_norway_are_no_missing_values(tables: Tables) -> None:
    tables.shares.write_text("question,culture,option,share\ntea,NA,Yes,1\ntea,NO,Yes,1\n")
    assert [cell.culture for cell in tables.read().pack.distributions] == ["NAM", "NOR"]


def test_counts_are_shares_of_their_sum(tables: Tables) -> None:
    tables.shares.write_text("question,culture,option,count\ntea,de-DE,Yes,30\ntea,DE,2,10\n")
    [cell] = tables.read().pack.distributions
    assert (cell.shares, cell.n_respondents) == ((0.75, 0.25), 40)


def test_an_option_without_a_row_has_no_share(tables: Tables) -> None:
    tables.shares.write_text("question,culture,option,share\nhow,DE,Never,1\n")
    [cell] = tables.read().pack.distributions
    assert cell.shares == (0.0, 0.0, 1.0)


def test_a_question_without_shares_is_dropped_and_said(tables: Tables) -> None:
    tables.shares.write_text("question,culture,option,share\nhow,DE,Never,1\n")
    pack, report = tables.read()
    assert [question.id for question in pack.questions] == ["how"]
    assert report.questions_dropped == (("tea", "no row in shares.csv"),)


def test_what_a_cell_says_of_its_people_is_kept(tables: Tables) -> None:
    tables.shares.write_text(
        "question,culture,option,share,n_respondents,non_response\n"
        "tea,DE,Yes,1,900,0.1\ntea,DE,No,0,900,0.1\n"
    )
    [cell] = tables.read().pack.distributions
    assert (cell.n_respondents, cell.non_response) == (900, 0.1)


def test_questions_may_be_json_lines(tables: Tables, tmp_path: Path) -> None:
    line = {"id": "tea", "topic": "T", "text": "Tea?", "options": ["0", "1"], "scale": "binary"}
    tables.questions = tmp_path / "questions.jsonl"
    tables.questions.write_text(json.dumps({**line, "first_number": 0}) + "\n\n")
    # Both are texts of options and numbers of others: the text counts.
    tables.shares.write_text("question,culture,option,share\ntea,DE,1,1\n")
    [cell] = tables.read().pack.distributions
    assert cell.shares == (0.0, 1.0)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_read_and_said(tables: Tables, separator: str) -> None:
    lines = SHARES.replace(",", separator).replace("0.6", "0,6").replace("0.4", "0,4")
    tables.shares.write_text(f"sep={separator}\n{lines}")
    pack, report = tables.read()
    assert [d.shares for d in pack.distributions] == [(0.6, 0.4), (0.2, 0.5, 0.3)]
    assert "decimal commas" in report.notes[0]


def test_two_decimal_signs_are_refused_where_the_second_stands(tables: Tables) -> None:
    tables.shares.write_text(SHARES.replace("0.4", '"0,4"'))
    with pytest.raises(PackInvalid, match=r"'0,4', but row 2 has '0\.6'") as caught:
        tables.read()
    assert (caught.value.row, caught.value.column) == (4, "share")


def test_a_count_with_a_mark_may_be_two_numbers(tables: Tables) -> None:
    tables.shares.write_text('question,culture,option,count\ntea,DE,Yes,"1,200"\n')
    with pytest.raises(PackInvalid, match=r"may be 1200 or 1\.200"):
        tables.read()


@pytest.mark.parametrize("option", ["YES", "yes", " Yes\u00a0", "Yes\u200b"])
def test_an_option_is_known_however_it_is_set(tables: Tables, option: str) -> None:
    tables.shares.write_text(f"question,culture,option,share\ntea,DE,{option},1\n")
    [cell] = tables.read().pack.distributions
    assert cell.shares == (1.0, 0.0)


@pytest.mark.parametrize(
    "options",
    ["Caf\u00e9|Cafe\u0301", "A lot|A\u00a0lot", "A lot|A  lot", "Some|Some\u200b", "\u200b|Some"],
)
def test_options_that_look_alike_are_no_two(tables: Tables, options: str) -> None:
    tables.questions.write_text(QUESTIONS.replace("Yes|No", options))
    with pytest.raises(PackInvalid, match="differ") as caught:
        tables.read()
    assert (caught.value.row, caught.value.column) == (2, "options")


def test_an_option_is_one_line(tables: Tables) -> None:
    tables.questions.write_text(QUESTIONS.replace("Yes|No", '"Yes,\nI do|No"'))
    tables.shares.write_text('question,culture,option,share\ntea,DE,"Yes, I do",1\n')
    assert tables.read().pack.questions[0].options == ("Yes, I do", "No")


def test_options_that_may_be_no_answer_are_said(tables: Tables) -> None:
    tables.questions.write_text(QUESTIONS.replace("Yes|No", "Yes|Hard to say"))
    tables.shares.write_text("question,culture,option,share\ntea,DE,1,1\n")
    assert any("'Hard to say' (1 x)" in note for note in tables.read().report.notes)


@pytest.mark.parametrize("form", ["semicolon", "BOM", "CRLF", "CR", "UTF-16"])
def test_forms_of_the_files(tables: Tables, form: str) -> None:
    for path in (tables.questions, tables.shares):
        text = path.read_text()
        if form == "CRLF":
            text = text.replace("\n", "\r\n")
        if form == "semicolon" and path is tables.shares:
            text = text.replace(",", ";")
        if form == "CR":
            text = text.replace("\n", "\r")
        if form == "UTF-16":
            path.write_bytes(text.encode("utf-16"))
            continue
        path.write_bytes((b"\xef\xbb\xbf" if form == "BOM" else b"") + text.encode())
    assert len(tables.read().pack.distributions) == 2


@pytest.mark.parametrize(
    ("old", "new", "row", "column", "message"),
    [
        ("tea,Germany,No", "tee,Germany,No", 4, "question", "none of the questions"),
        ("tea,Germany,No", "tea,Germny,No", 4, "culture", "Did you mean Germany"),
        ("tea,Germany,No", "tea,Germany,Maybe", 4, "option", "expected 1 to 2"),
        ("tea,Germany,No", "tea,Germany,3", 4, "option", "expected 1 to 2"),
        ("tea,Germany,No", "tea,Germany,Yes", 4, "option", "stands twice"),
        ("No,0.4", "No,x", 4, "share", "no number"),
        ("No,0.4", "No,-0.4", 4, "share", "negative"),
        ("No,0.4", "No,nan", 4, "share", "not finite"),
        ("No,0.4", "No,0.2", 2, "share", r"sum to 0\.8, expected 1 or 100"),
        ("No,0.4", "No,0.4,1", 4, None, "5 values"),
        ("No,0.4", "No", 4, None, "3 values"),
        ("culture", "country", None, "culture", "no such column"),
        (",share", ",amount", 1, "share", "neither share nor count"),
        (SHARES, "", 1, None, "no header"),
        (SHARES[30:], "\n", 1, None, "no row"),
    ],
)
def test_a_fault_of_the_shares_names_its_place(
    tables: Tables, old: str, new: str, row: int | None, column: str | None, message: str
) -> None:
    assert old in SHARES
    tables.shares.write_text(SHARES.replace(old, new))
    with pytest.raises(PackInvalid, match=message) as caught:
        tables.read()
    error = caught.value
    assert (error.file, error.row, error.column) == (tables.shares, row, column)


@pytest.mark.parametrize(
    ("old", "new", "row", "column", "message"),
    [
        ("Yes|No", "Yes", 2, "options", "at least 2"),
        ("Yes|No", "Yes|Yes", 2, "options", "differ"),
        ("Yes|No", "Yes|No|Maybe", 2, "scale", "binary with 3"),
        ("Yes|No", "[Yes", 2, "options", "JSON list"),
        ("ordinal", "round", 3, "scale", "ordinal"),
        ("how,", "tea,", 3, "id", "stands twice"),
        ("how,", ",", 3, "id", "required"),
        ("how,", "h w,", 3, "id", "pattern"),
        ("topic,", "theme,", None, "topic", "no such column"),
        (QUESTIONS[28:], "", None, None, "no question"),
    ],
)
def test_a_fault_of_the_questions_names_its_place(
    tables: Tables, old: str, new: str, row: int | None, column: str | None, message: str
) -> None:
    assert old in QUESTIONS
    tables.questions.write_text(QUESTIONS.replace(old, new))
    with pytest.raises(PackInvalid, match=message) as caught:
        tables.read()
    error = caught.value
    assert (error.file, error.row, error.column) == (tables.questions, row, column)
