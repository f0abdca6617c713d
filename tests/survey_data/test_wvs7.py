"""The importer of the official World Values Survey file: who is counted, how, and what is said."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from survey_data.cultures import CultureCatalogue
from survey_data.errors import ConditionInvalid, PackInvalid
from survey_data.importers import wvs7
from survey_data.importers.culturespa import OFF_SCALE, option_codes
from survey_data.importers.pack_folder import place_pack
from survey_data.importers.report import ImportReport
from survey_data.importers.subset import read_condition
from survey_data.importers.wvs7_respondents import CountingRules
from survey_data.model import Pack, ResponseDistribution
from survey_data.packs import read_pack

COLUMNS = ("A_YEAR", "B_COUNTRY_ALPHA", "W_WEIGHT", "Q1", "Q119", "Q260", "Q262")
Row = Sequence[object]


def everyone(**fields: object) -> CountingRules:
    """A choice without a smallest size, for files of a few rows."""
    return CountingRules(**({"min_size": 0.0} | fields))  # type: ignore[arg-type]  # as given


def where(*conditions: str) -> tuple[object, ...]:
    return tuple(read_condition(text) for text in conditions)


def person(
    country: str = "DEU",
    weight: object = 1,
    q1: object = 1,
    *,
    q119: object = 1,
    sex: object = 1,
    age: object = 30,
    year: object = 2018,
) -> Row:
    return (year, country, weight, q1, q119, sex, age)


class Survey:
    """Writes a file of respondents and imports it."""

    def __init__(self, folder: Path, catalogue: CultureCatalogue) -> None:
        self.file = folder / "wave7.csv"
        self._catalogue = catalogue

    def write(self, *rows: Row, separator: str = ",", columns: Sequence[str] = COLUMNS) -> None:
        with self.file.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=separator, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)

    def read(self, choice: CountingRules | None = None) -> tuple[Pack, ImportReport]:
        return wvs7.import_survey(self.file, self._catalogue, choice=choice or everyone())


@pytest.fixture
def survey(tmp_path: Path, catalogue: CultureCatalogue) -> Survey:
    return Survey(tmp_path, catalogue)


def cell(pack: Pack, item: str, culture: str = "DEU") -> ResponseDistribution:
    key = f"{pack.manifest.id}:{item}"
    [found] = [d for d in pack.distributions if (d.question, d.culture) == (key, culture)]
    return found


def test_shares_are_weighted(survey: Survey) -> None:
    # Weights 2, 1, 1 on options 1, 2, 2 and 4 on a missing code:
    # shares 2/4, 2/4; non-response 4/8; effective (2 + 1 + 1)^2 / (4 + 1 + 1) = 16/6.
    survey.write(
        person("DEU", 2, 1), person("DEU", 1, 2), person("DEU", 1, 2), person("DEU", 4, -2)
    )
    pack, report = survey.read()
    found = cell(pack, "Q1")
    assert found.shares == (0.5, 0.5, 0.0, 0.0)
    assert found.non_response == 0.5
    assert found.n_effective == pytest.approx(16 / 6)
    assert found.n_respondents == 4
    assert (report.n_rows_read, report.n_rows_used, report.n_rows_dropped) == (4, 4, 0)


def test_shipped_translations_are_those_of_the_questions_that_were_asked(survey: Survey) -> None:
    survey.write(person("DEU", 1, 1))
    pack, _ = survey.read()
    shipped = wvs7.read_shipped()
    assert pack.languages == shipped.languages
    keys = [question.key for question in pack.questions]
    assert len(keys) < len(shipped.questions)
    for language, wordings in pack.translations.items():
        assert list(wordings) == keys
        of_first = shipped.translations[language]["wvs7:Q1"]
        assert wordings[f"{pack.manifest.id}:Q1"] == of_first


def test_unweighted_everyone_counts_alike(survey: Survey) -> None:
    survey.write(person("DEU", 9, 1), person("DEU", 1, 2), person("DEU", "x", 2))
    pack, _ = survey.read(everyone(weighted=False))
    assert cell(pack, "Q1").shares == pytest.approx((1 / 3, 2 / 3, 0.0, 0.0))
    assert cell(pack, "Q1").n_effective == 3
    assert not pack.manifest.weighted
    assert "unweighted" in pack.manifest.title


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(answers=st.lists(st.sampled_from([1, 2, 3, 4, -1]), min_size=1, max_size=30))
def test_weights_of_one_are_no_weights(survey: Survey, answers: list[int]) -> None:
    survey.write(*(person("DEU", 1, answer) for answer in answers))
    weighted, _ = survey.read(everyone())
    unweighted, _ = survey.read(everyone(weighted=False))
    assert weighted.distributions == unweighted.distributions


def test_codes_off_the_scale_are_non_response(survey: Survey) -> None:
    survey.write(person(q119=0), person(q119=1), person(q119=4), person(q119=4))
    found = cell(survey.read()[0], "Q119")
    assert found.shares == pytest.approx((1 / 3, 0.0, 0.0, 2 / 3))
    assert found.non_response == 0.25


def test_a_bad_code_counts_as_non_response_and_is_named(survey: Survey) -> None:
    survey.write(person(), person(q1="x"), person(q1=7), person(q1=1.5), person(q1=""))
    pack, report = survey.read()
    assert cell(pack, "Q1").non_response == 0.8
    assert report.n_rows_used == 5
    assert [(bad.row, bad.column) for bad in report.examples] == [(3, "Q1"), (4, "Q1"), (5, "Q1")]
    assert dict(report.faults) == {
        "no number": 1,
        "code that the question has no option for": 2,
    }


@pytest.mark.parametrize("weight", ["", "x", "-1", "nan", "inf", "-0.5"])
def test_a_row_without_a_sound_weight_is_dropped(survey: Survey, weight: str) -> None:
    survey.write(person(), person(weight=weight, q1=2))
    pack, report = survey.read()
    assert cell(pack, "Q1").n_respondents == 1
    assert (report.n_rows_used, report.n_rows_dropped) == (1, 1)
    [bad] = report.examples
    assert (bad.row, bad.column, bad.file) == (3, "W_WEIGHT", survey.file)


def test_a_row_of_no_known_country_is_dropped(survey: Survey) -> None:
    survey.write(person(), person("NIR"), person("NIR"), person("MOR"))
    pack, report = survey.read()
    assert pack.cultures == ("DEU", "MAR")
    assert dict(report.faults) == {"unknown country code": 2}
    assert "NIR" in report.examples[0].message
    [refused] = report.populations_refused
    assert (refused.name, refused.n_rows) == ("NIR", 2)
    assert "part of the United Kingdom" in refused.reason


@pytest.mark.parametrize(
    ("bad", "column"),
    [(person(q1="x"), "Q1"), (person(weight=-1), "W_WEIGHT"), (person("XXX"), "B_COUNTRY_ALPHA")],
)
def test_strict_ends_at_the_first_bad_value(survey: Survey, bad: Row, column: str) -> None:
    survey.write(person(), bad, person(q1="y"))
    with pytest.raises(PackInvalid) as caught:
        survey.read(everyone(strict=True))
    assert (caught.value.file, caught.value.row, caught.value.column) == (survey.file, 3, column)


def test_more_faults_than_are_shown_are_counted(survey: Survey) -> None:
    survey.write(person(), *(person(q1="x") for _ in range(500)))
    _, report = survey.read()
    assert dict(report.faults) == {"no number": 500}
    assert [bad.row for bad in report.examples] == list(range(3, 13))


def test_a_subset_is_a_population_of_its_own(survey: Survey) -> None:
    survey.write(
        person(sex=2, age=60, q1=2), person(sex=2, age=40), person(age=70), person(sex=-2, age=60)
    )
    choice = everyone(where=where("Q260==2", " Q262 >= 50 "))
    pack, report = survey.read(choice)
    assert pack.manifest.population == "Q260 == 2 and Q262 >= 50"
    assert pack.manifest.id == "wvs7-official-q260-eq-2-and-q262-ge-50"
    assert "Q262 >= 50" in pack.manifest.title
    assert cell(pack, "Q1").shares[1] == 1.0
    assert (report.n_rows_used, report.n_rows_left_out, report.n_rows_dropped) == (1, 3, 0)


@pytest.mark.parametrize(
    ("condition", "ages"),
    [
        ("Q262 == 50", [50]),
        ("Q262 != 50", [49, 51]),
        ("Q262 < 50", [49]),
        ("Q262 <= 50", [49, 50]),
        ("Q262 > 50", [51]),
        ("Q262 in [49, 51.0]", [49, 51]),
        ("B_COUNTRY_ALPHA == DEU", [49, 50, 51, None]),
        ("B_COUNTRY_ALPHA != 'DEU'", []),
        ('B_COUNTRY_ALPHA in ["DEU", FRA]', [49, 50, 51, None]),
    ],
)
def test_a_condition_chooses_people(survey: Survey, condition: str, ages: list[int | None]) -> None:
    survey.write(
        *(person(age=age) for age in (49, 50, 51, -1)), *(person("KEN", age=-5) for _ in range(9))
    )
    choice = everyone(where=where(condition))
    if condition == "B_COUNTRY_ALPHA != 'DEU'":
        assert survey.read(choice)[0].cultures == ("KEN",)
        return
    pack, report = survey.read(choice)
    assert pack.cultures == ("DEU",)
    assert report.n_rows_used == len(ages)


def test_what_is_no_number_never_matches_and_is_said(survey: Survey) -> None:
    survey.write(person(), person(age="old"))
    _, report = survey.read(everyone(where=where("Q262 != 50")))
    assert (report.n_rows_used, report.n_rows_left_out) == (1, 1)
    assert report.examples[0].column == "Q262"


def test_a_condition_on_no_column_names_the_near_ones(survey: Survey) -> None:
    survey.write(person())
    with pytest.raises(ConditionInvalid, match="nearest are Q26"):
        survey.read(everyone(where=where("Q26 == 2")))


def test_small_populations_are_left_out_with_their_size(survey: Survey) -> None:
    survey.write(*(person("DEU") for _ in range(5)), person("KEN", 3), person("KEN", 1))
    pack, report = survey.read(CountingRules(min_size=3))
    assert pack.cultures == ("DEU",)
    [refused] = report.populations_refused
    # (3 + 1)^2 / (9 + 1)
    assert refused.name == "KEN"
    assert refused.n_effective == pytest.approx(1.6)


def test_no_population_of_the_size_is_an_error(survey: Survey) -> None:
    survey.write(person(), person("KEN"))
    with pytest.raises(PackInvalid, match=r"largest: DEU 1, KEN 1.*lower the minimum"):
        survey.read(CountingRules())


def test_no_usable_row_is_an_error_that_says_why(survey: Survey) -> None:
    survey.write(person("XXX"), person(age=20))
    with pytest.raises(
        PackInvalid, match=r"none of 2 rows.*1 do not meet.*unknown country code: 1"
    ):
        survey.read(everyone(where=where("Q262 > 50")))


def test_no_usable_row_is_named_where_the_first_stands(survey: Survey) -> None:
    survey.write(person(weight="heavy"), person("XXX"))
    with pytest.raises(PackInvalid, match=r"none of 2 rows.*found 'heavy'") as caught:
        survey.read()
    assert (caught.value.row, caught.value.column) == (2, "W_WEIGHT")


def test_cells_nobody_answered_are_counted_and_questions_without_cells_dropped(
    survey: Survey,
) -> None:
    survey.write(person(q119=-4), person("KEN", q1=-4, q119=-4))
    pack, report = survey.read()
    assert [question.id for question in pack.questions] == ["Q1"]
    assert (report.n_cells_written, report.n_cells_empty) == (1, 3)
    reasons = dict(report.questions_dropped)
    assert reasons["Q119"] == "nobody answered it"
    assert reasons["Q2"] == "no such column in the file"


def test_years_are_those_of_each_country(survey: Survey) -> None:
    survey.write(person(), person(year=2017), person("KEN", year=2021), person("FRA", year=-5))
    fieldwork = survey.read()[0].manifest.fieldwork
    assert fieldwork == {"DEU": "2017-2018", "KEN": "2021", "FRA": "2017-2022"}


def test_a_long_list_of_conditions_still_gives_an_id(survey: Survey) -> None:
    survey.write(person())
    conditions = where(*(f"Q262 != {age}" for age in range(40, 60)))
    pack_id = survey.read(everyone(where=conditions))[0].manifest.id
    assert len(pack_id) <= 64


def test_a_written_pack_keeps_effective_numbers_and_population(
    survey: Survey, tmp_path: Path
) -> None:
    survey.write(person("DEU", 2, 1), person("DEU", 1, 2))
    pack, _ = survey.read(everyone(where=where("Q260 == 1")))
    place_pack(tmp_path / "out", pack)
    again = read_pack(tmp_path / "out")
    assert again.manifest.population == "Q260 == 1"
    assert cell(again, "Q1").n_effective == pytest.approx(9 / 5)


def plain_counts(
    rows: Sequence[Row], items: Mapping[str, int], codes: Mapping[str, list[int]]
) -> dict[tuple[str, str], tuple[list[float], float, float, int]]:
    """The same figures by a loop over people, without a table library."""
    people: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for row in rows:
        people[str(row[1])].append((float(str(row[2])), row))
    found = {}
    for country, members in people.items():
        for item, index in items.items():
            own = [(w, int(str(row[index]))) for w, row in members if row[index] != -4]
            total = sum(w for w, _ in own)
            gave = [(w, code) for w, code in own if code in codes[item]]
            weight = sum(w for w, _ in gave)
            shares = [sum(w for w, c in gave if c == code) / weight for code in codes[item]]
            kish = weight**2 / sum(w * w for w, _ in gave)
            found[item, country] = (shares, 1 - weight / total, kish, len(own))
    return found


def test_figures_equal_a_plain_computation(survey: Survey) -> None:
    draw = random.Random(7)
    questions = wvs7.read_shipped().questions[::9]
    codes = {question.source_item: option_codes(question) for question in questions}
    rows = []
    for _ in range(3000):
        answers = [draw.choice([*codes[item], -1, -2, OFF_SCALE.get(item, -4)]) for item in codes]
        country = draw.choice(["DEU", "KEN", "BRA", "JPN"])
        rows.append((2018, country, round(draw.uniform(0.2, 4.0), 6), *answers))
    survey.write(*rows, columns=("A_YEAR", "B_COUNTRY_ALPHA", "W_WEIGHT", *codes))
    pack, report = survey.read(CountingRules())
    items = {item: index for index, item in enumerate(codes, start=3)}
    expected = plain_counts(rows, items, codes)
    assert report.n_cells_written == len(expected) == len(items) * 4
    for (item, country), (shares, missing, kish, n) in expected.items():
        found = cell(pack, item, country)
        assert found.shares == pytest.approx(shares)
        assert found.non_response == pytest.approx(missing)
        assert found.n_effective == pytest.approx(kish)
        assert found.n_respondents == n


def test_people_drawn_from_shares_give_the_shares_back(survey: Survey) -> None:
    draw = random.Random(3)
    shipped = read_pack(Path(wvs7.__file__).parents[1] / "packs" / "wvs7")
    questions = {q.key: q for q in shipped.questions[::40]}
    cells = [d for d in shipped.distributions if d.culture == "DEU" and d.question in questions]
    n = 4000
    columns = []
    for known in cells:
        codes = option_codes(questions[known.question])
        columns.append(draw.choices(codes, known.shares, k=n))
    names = [questions[known.question].source_item for known in cells]
    rows = [(2018, "DEU", 1, *answers) for answers in zip(*columns, strict=True)]
    survey.write(*rows, columns=("A_YEAR", "B_COUNTRY_ALPHA", "W_WEIGHT", *names))
    pack, _ = survey.read(CountingRules())
    for known, item in zip(cells, names, strict=True):
        # Five standard errors of a share of one half.
        assert cell(pack, item).shares == pytest.approx(known.shares, abs=5 * 0.5 / n**0.5)


def content(*lines: str, end: str = "\n") -> bytes:
    return (end.join((",".join(COLUMNS), *lines)) + end).encode()


GOOD = "2018,DEU,1,1,1,1,30"


@pytest.mark.parametrize(
    "data",
    [
        content(GOOD, GOOD),
        b"\xef\xbb\xbf" + content(GOOD, GOOD),
        content(GOOD, GOOD, end="\r\n"),
        content(GOOD, GOOD).rstrip(),
        content(GOOD, "", GOOD, ""),
        content(GOOD, GOOD).replace(b",", b";"),
        content(GOOD, GOOD.replace(",1,1,1,", ',"1"," 1 ",1.0,')),
        content(GOOD.replace("2018", '"2018\n"'), GOOD),
        content(GOOD, GOOD).replace(b"Q1,", b"Q1: Important in life: Family,"),
        content(GOOD, GOOD).replace(b",", b";").replace(b"DEU;1;", b"DEU;1,0;"),
    ],
    ids=[
        "plain",
        "BOM",
        "CRLF",
        "no end",
        "blank",
        "semicolon",
        "quoted",
        "line break",
        "labels",
        "comma",
    ],
)
def test_forms_of_the_file(survey: Survey, data: bytes) -> None:
    survey.file.write_bytes(data)
    pack, report = survey.read()
    assert cell(pack, "Q1").n_respondents == 2
    assert (report.n_rows_read, report.n_rows_dropped, report.faults) == (2, 0, ())


@pytest.mark.parametrize("row", ["2018,DEU,1,1", f"{GOOD},5", f"{GOOD},5,6", "2018"])
def test_a_row_of_a_wrong_length_is_dropped(survey: Survey, row: str) -> None:
    survey.file.write_bytes(content(row, GOOD))
    _, report = survey.read()
    assert (report.n_rows_read, report.n_rows_used, report.n_rows_dropped) == (2, 1, 1)
    assert report.examples[0].row == 2
    assert "the header has 7" in report.examples[0].message


def test_a_byte_that_is_no_utf8_spoils_its_value_only(survey: Survey) -> None:
    survey.file.write_bytes(content(GOOD, GOOD).replace(b"1,1,1,30", b"1,\xe9,1,30", 1))
    pack, report = survey.read()
    assert cell(pack, "Q1").n_respondents == 2
    assert [(bad.row, bad.column) for bad in report.examples] == [(2, "Q119")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no header"),
        (b"\n", "no header"),
        (content(), "no row below the header"),
        (b"B\xff", "not UTF-8"),
        (content(GOOD).replace(b"B_COUNTRY_ALPHA", b"COUNTRY"), "B_COUNTRY_ALPHA'.*nearest"),
        (content(GOOD).replace(b"W_WEIGHT", b"W"), "W_WEIGHT'"),
        (content(GOOD).replace(b"Q1,Q119", b"X1,X119"), "'Q1'"),
        (content(GOOD).replace(b"Q260", b"Q262"), "'Q262'.*stands twice"),
        (content(GOOD, '2018,DEU,1,"1,1,1,30'), "row 3.*not closed"),
        (content(GOOD, '"2018\nDEU,1,1,1,1,30', GOOD), "row 3.*not closed"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(survey: Survey, data: bytes, message: str) -> None:
    survey.file.write_bytes(data)
    with pytest.raises(PackInvalid, match=message):
        survey.read()


def test_non_response_is_of_those_who_were_asked(survey: Survey) -> None:
    # Of 8 people 3 were not asked and to 1 it does not apply: of the other 4, 1 did not know and 1
    # refused. Who was not asked has no part in their number either.
    codes = (1, 2, -1, -2, -3, -4, -4, -4)
    survey.write(*(person(q1=code) for code in codes))
    pack, report = survey.read()
    found = cell(pack, "Q1")
    assert (found.shares[:2], found.non_response) == ((0.5, 0.5), 0.5)
    assert found.n_respondents == 4
    [note] = [note for note in report.notes if note.startswith("Answers without an option")]
    for part in ("1 don't know", "1 no answer or refused", "1 not applicable", "3 not asked"):
        assert part in note


def test_labels_in_place_of_codes_are_named_where_the_first_stands(survey: Survey) -> None:
    survey.write(*(person(q1="Not important", q119="Agree") for _ in range(30)))
    with pytest.raises(PackInvalid, match=r"'Not important'.*codes.*rather than their labels") as e:
        survey.read()
    assert (e.value.file, e.value.row, e.value.column) == (survey.file, 2, "Q1")


def test_a_question_whose_labels_stand_for_its_codes_is_left_out_with_that_reason(
    survey: Survey,
) -> None:
    survey.write(person(q119="Agree"), person(q119="Disagree"))
    pack, report = survey.read()
    assert [question.id for question in pack.questions] == ["Q1"]
    assert dict(report.questions_dropped)["Q119"] == "its values are no codes of its options"


def test_a_file_without_any_answer_says_so(survey: Survey) -> None:
    survey.write(person(q1=-4, q119=-1), person(q1="", q119=-5))
    with pytest.raises(PackInvalid, match=r"no answer of any question \(Q1, Q119\)") as caught:
        survey.read()
    assert caught.value.file == survey.file


@pytest.mark.parametrize(
    ("separator", "weights", "how"),
    [
        (",", ('"0,5"', '"1,5"'), "separated by commas, decimal commas"),
        (";", ("0,5", "1,5"), "separated by semicolons, decimal commas"),
        (";", ("0.5", "1.5"), "separated by semicolons, decimal points"),
        ("\t", ("1,234", "0,5"), "separated by tabs, decimal commas"),
    ],
)
def test_weights_have_one_decimal_sign_which_is_said(
    survey: Survey, separator: str, weights: tuple[str, str], how: str
) -> None:
    lines = [f"2018,DEU,{{}},{code},1,1,30".replace(",", separator) for code in (1, 2)]
    text = [line.format(weight) for line, weight in zip(lines, weights, strict=True)]
    survey.file.write_text("\n".join([separator.join(COLUMNS), *text]) + "\n")
    pack, report = survey.read()
    first, second = (float(weight.strip('"').replace(",", ".")) for weight in weights)
    assert cell(pack, "Q1").shares[0] == pytest.approx(first / (first + second))
    assert how in report.notes[0]


@pytest.mark.parametrize("weights", [('"0,5"', "1.5"), ("0.5", '"1,5"')])
def test_weights_with_two_decimal_signs_are_refused(
    survey: Survey, weights: tuple[str, str]
) -> None:
    lines = [f"2018,DEU,{weight},1,1,1,30" for weight in weights]
    survey.file.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    with pytest.raises(PackInvalid, match="but the file has decimal") as caught:
        survey.read()
    assert (caught.value.row, caught.value.column) == (3, "W_WEIGHT")


def test_blank_rows_are_none(survey: Survey) -> None:
    survey.file.write_bytes(content(GOOD, ",,,,,,", GOOD))
    _, report = survey.read()
    assert (report.n_rows_read, report.n_rows_used, report.faults) == (2, 2, ())


def test_an_item_that_stands_twice_under_its_labels_is_named(survey: Survey) -> None:
    survey.file.write_bytes(content(GOOD).replace(b"Q1,Q119", b"Q1: Family,Q1: Friends"))
    with pytest.raises(PackInvalid, match="'Q1': the column stands twice"):
        survey.read()


def test_a_mark_in_a_column_that_is_not_used_changes_nothing(survey: Survey) -> None:
    columns = (*COLUMNS, "TOWN")
    survey.write(*((*person(), "x") for _ in range(4)), columns=columns)
    expected = survey.read()[0].distributions
    for marks in (['4" nail'], ['4" nail', '7" nail'], ['"Bad" Ems'], ['"Bad', 'Ems"']):
        towns = [*marks, *["x"] * (4 - len(marks))]
        lines = [",".join(map(str, (*person(), town))) for town in towns]
        survey.file.write_text("\n".join([",".join(columns), *lines]) + "\n")
        assert survey.read()[0].distributions == expected, marks


def test_a_missing_file_is_refused(survey: Survey) -> None:
    with pytest.raises(PackInvalid, match="cannot be read"):
        survey.read()
