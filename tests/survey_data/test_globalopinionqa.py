"""The importer of GlobalOpinionQA: both forms, what is left out, and what is said of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.importers import globalopinionqa
from survey_data.importers.option_order import scale_of
from survey_data.importers.pack_folder import place_pack
from survey_data.importers.report import ImportedPack
from survey_data.model import Pack, Scale

Line = Mapping[str, object]


class Release:
    """Writes questions in either form and imports them."""

    def __init__(self, folder: Path, catalogue: CultureCatalogue) -> None:
        self._folder = folder
        self._catalogue = catalogue

    def json_lines(self, *lines: Line) -> ImportedPack:
        text = "\n".join(json.dumps(line) for line in lines)
        return self.read(text.encode())

    def csv(self, *lines: Line, default: bool = False) -> ImportedPack:
        path = self._folder / "published.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("question", "selections", "options", "source"))
            for line in lines:
                shares = repr(line["shares"])
                if default:
                    shares = f"defaultdict(<class 'list'>, {shares})"
                source = {"Pew GAS": "GAS", "WVS/EVS": "WVS"}[str(line["survey"])]
                writer.writerow((line["question"], shares, repr(line["options"]), source))
        return self.read(path.read_bytes())

    def read(self, data: bytes, *, strict: bool = False) -> ImportedPack:
        path = self._folder / "release"
        path.write_bytes(data)
        return globalopinionqa.import_survey(path, self._catalogue, strict=strict)


@pytest.fixture
def release(tmp_path: Path, catalogue: CultureCatalogue) -> Release:
    return Release(tmp_path, catalogue)


def line(
    shares: Mapping[str, Sequence[float]],
    *,
    options: Sequence[str] = ("Good", "Bad", "DK/Refused"),
    text: str = "How is it?",
    nonresponse: Sequence[int] = (),
) -> Line:
    return {
        "id": "G0007",
        "survey": "Pew GAS",
        "question": text,
        "options": list(options),
        "nonresponse": list(nonresponse),
        "shares": dict(shares),
    }


def cells(pack: Pack) -> dict[tuple[str, str], tuple[float, ...]]:
    texts = {question.key: question.text for question in pack.questions}
    return {
        (texts[d.question], d.culture): (
            *d.shares,
            -1.0 if d.non_response is None else d.non_response,
        )
        for d in pack.distributions
    }


def test_options_that_are_no_answer_become_non_response(release: Release) -> None:
    pack, report = release.json_lines(line({"Japan": [0.2, 0.6, 0.2]}))
    assert pack.questions[0].options == ("Good", "Bad")
    [cell] = pack.distributions
    assert cell.shares == pytest.approx((0.25, 0.75))
    assert cell.non_response == pytest.approx(0.2)
    assert report.n_cells_written == 1


@pytest.mark.parametrize(
    "option",
    [
        "Don't know (DO NOT READ)",
        "(VOL) DK/Refused",
        "DK / Refused [VOL.]",
        "Dont know",
        "Don\u2019t know or no answer",
        "Refused to answer",
        "Prefer not to say",
        "(Spontaneous) No opinion.",
        "DK/NA",
        "(Don't know)",
        "Not sure/Refused",
        "No answer (refused)",
        "Don't know - DO NOT READ",
        "[DNR] Refused",
    ],
)
def test_what_an_interviewer_is_told_makes_no_answer_of_it(release: Release, option: str) -> None:
    asked = line({"Japan": [0.2, 0.6, 0.2]}, options=("Good", "Bad", option))
    pack, report = release.json_lines(asked)
    assert pack.questions[0].options == ("Good", "Bad")
    assert pack.distributions[0].non_response == pytest.approx(0.2)
    assert report.notes == ()


@pytest.mark.parametrize(
    "option", ["Hard to say", "Refuse to vote", "Refuse", "N/A", "Not sure (VOL)", "Undecided"]
)
def test_what_may_be_no_answer_counts_and_is_said(release: Release, option: str) -> None:
    asked = line({"Japan": [0.2, 0.6, 0.2]}, options=("Good", "Bad", option))
    pack, report = release.json_lines(asked)
    assert pack.questions[0].options == ("Good", "Bad", option)
    assert f"'{option}' (1 x)" in report.notes[0]


@pytest.mark.parametrize(
    "option", ["Both (VOL)", "No, I do not know anyone", "Neither (DO NOT READ)"]
)
def test_an_answer_that_was_volunteered_is_one(release: Release, option: str) -> None:
    asked = line({"Japan": [0.2, 0.6, 0.2]}, options=("Good", "Bad", option))
    pack, report = release.json_lines(asked)
    assert len(pack.questions[0].options) == 3
    assert report.notes == ()


def test_a_release_without_a_question_names_the_first_fault(release: Release) -> None:
    sound = line({"Japan": [0.5, 0.5, 0.0]})
    with pytest.raises(PackInvalid, match=r"none of 2 questions.*the first: 1 options") as caught:
        release.json_lines({**sound, "options": ["Good", "DK", "Refused"]}, {**sound, "shares": {}})
    assert (caught.value.row, caught.value.column) == (1, "options")
    with pytest.raises(PackInvalid, match="England: part of the United Kingdom"):
        release.json_lines(line({"England": [0.5, 0.5, 0.0]}))


@pytest.mark.parametrize("option", ["Not asked", "INAP: no internet", "Missing; Not applicable"])
def test_who_was_not_asked_is_no_non_response(release: Release, option: str) -> None:
    # Asked were 0.5 + 0.3 + 0.1 of all; 0.1 of them gave no answer.
    asked = line({"Japan": [0.5, 0.3, 0.1, 0.1]}, options=("Good", "Bad", "No answer", option))
    [cell] = release.json_lines(asked).pack.distributions
    assert cell.non_response == pytest.approx(0.1 / 0.9)


def test_json_lines_may_name_them_by_index(release: Release) -> None:
    asked = line({"Japan": [0.2, 0.3, 0.5]}, options=("A", "B", "Hm"), nonresponse=[2])
    [cell] = release.json_lines(asked).pack.distributions
    assert cell.shares == pytest.approx((0.4, 0.6))


def test_without_such_an_option_non_response_is_unknown(release: Release) -> None:
    [cell] = release.json_lines(line({"Japan": [0.4, 0.4]}, options="AB")).pack.distributions
    assert cell.shares == (0.5, 0.5)
    assert cell.non_response is None


def test_a_total_among_the_options_is_left_out(release: Release) -> None:
    options = ("Yes", "No", "DK/Refused", "Total                  N=")
    asked = line({"Japan": [0.3, 0.1, 0.1, 0.5]}, options=options)
    [cell] = release.json_lines(asked).pack.distributions
    assert cell.shares == pytest.approx((0.75, 0.25))
    assert cell.non_response == pytest.approx(0.2)


def test_samples_that_are_no_country_are_left_out_and_counted(release: Release) -> None:
    shares = [0.5, 0.5, 0.0]
    names = ("India (Non-national sample)", "India (Current national sample)", "Atlantis", "India")
    pack, report = release.json_lines(line(dict.fromkeys(names, shares)))
    assert pack.cultures == ("IND",)
    assert {(p.name, p.n_cells) for p in report.populations_refused} == {
        (name, 1) for name in names[:3]
    }


def test_spellings_of_the_release_are_known(release: Release) -> None:
    names = ("S. Africa", "Czech Rep.", "Palest. ter.", "S. Korea", "Britain")
    pack, report = release.json_lines(line({name: [0.5, 0.5, 0.0] for name in names}))
    assert pack.cultures == ("CZE", "GBR", "KOR", "PSE", "ZAF")
    assert report.populations_refused == ()


def test_questions_that_repeat_are_one(release: Release) -> None:
    pack, report = release.json_lines(
        line({"Japan": [0.5, 0.5, 0.0]}),
        {**line({"Japan": [1.0, 0.0, 0.0], "Kenya": [1.0, 0.0, 0.0]}), "id": "G0008"},
    )
    assert [question.id for question in pack.questions] == ["G0007"]
    assert cells(pack)["How is it?", "JPN"][0] == 0.5
    assert pack.cultures == ("JPN", "KEN")
    assert dict(report.faults) == {"cell dropped: its country stands twice": 1}
    assert report.checks[0].endswith(": 1")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([0.5, 0.5], "2 shares for 3 options"),
        ([0.2, 0.1, 0.1], "sum 0.400"),
        ([0.9, 0.9, 0.0], "sum 1.800"),
        ([1.5, -0.5, 0.0], r"not in \[0, 1\]"),
    ],
)
def test_a_cell_that_does_not_fit_is_dropped_and_named(
    release: Release, shares: list[float], message: str
) -> None:
    both = line({"Japan": shares, "Kenya": [0.5, 0.5, 0.0]})
    pack, report = release.json_lines(both)
    assert pack.cultures == ("KEN",)
    assert report.examples[0].row == 1
    with pytest.raises(PackInvalid, match=message):
        release.read(json.dumps(both).encode(), strict=True)


@pytest.mark.parametrize(
    "change",
    [
        {"options": ["A", "A"]},
        {"options": ["A", "DK/Refused"]},
        {"options": [str(i) for i in range(21)]},
        {"options": "A|B"},
        {"question": " "},
        {"question": "x" * 2001},
        {"shares": [0.5, 0.5]},
        {"shares": {"Japan": "half"}},
        {"nonresponse": [9]},
    ],
)
def test_a_question_that_does_not_fit_is_dropped(
    release: Release, change: dict[str, object]
) -> None:
    good = line({"Japan": [0.5, 0.5, 0.0]})
    pack, report = release.json_lines({**good, **change}, good)
    assert len(pack.questions) == 1
    assert (report.n_rows_read, report.n_rows_used, report.n_rows_dropped) == (2, 1, 1)
    assert len(report.questions_dropped) == 1


def test_a_missing_share_costs_its_country_alone(release: Release) -> None:
    """As Python writes one: ``nan``."""
    pack, report = release.csv(line({"Japan": [0.5, 0.5, float("nan")], "Kenya": [0.5, 0.5, 0.0]}))

    assert pack.cultures == ("KEN",)
    assert report.questions_dropped == ()
    assert "not in [0, 1]" in report.examples[0].message


def test_numbers_are_read_as_numpy_writes_them(release: Release) -> None:
    text = "\"{'Kenya': [np.float64(0.5), numpy.float32(0.25), np.float64(0.25)]}\""
    data = f"question,selections,options,source\nHow?,{text},\"['A', 'B', 'C']\",GAS\n"

    pack, _ = release.read(data.encode())

    [cell] = pack.distributions
    assert cell.shares == (0.5, 0.25, 0.25)


@pytest.mark.parametrize("call", ["open('x')", "np.float64(1, 2)", "np.load(1)", "nan.real", "x"])
def test_nothing_else_is_run_or_read(release: Release, call: str) -> None:
    text = f"\"{{'Kenya': [0.5, 0.5, {call}]}}\""
    data = f"question,selections,options,source\nHow?,{text},\"['A', 'B', 'C']\",GAS\n"

    with pytest.raises(PackInvalid, match="no Python literal"):
        release.read(data.encode(), strict=True)


def test_an_option_that_is_missing_is_no_option(release: Release) -> None:
    data = "question,selections,options,source\nHow?,\"{'Kenya': [0.5, 0.5]}\",\"['A', nan]\",GAS\n"
    with pytest.raises(PackInvalid, match="an option is missing"):
        release.read(data.encode(), strict=True)


def test_numbers_that_were_floats_are_whole_again(release: Release) -> None:
    asked = line({"Japan": [0.5, 0.5]}, options=["1.0", "2.0"])
    assert release.json_lines(asked).pack.questions[0].options == ("1", "2")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no header"),
        (b"question,options\n", "'selections'"),
        (b"question,selections,options,source\n", "none of 0 questions"),
        (b'{"id": ', "row 1.*no JSON"),
        (b"{}\n[]", "row 2.*no JSON object"),
        (b"question,selections,options\nx,y\n", "row 2.*2 values"),
        (b"question,selections,options\n\xff,{},[]\n", "row 2.*not UTF-8"),
        (b"question,selections,options\nQ?,__import__('os'),\"['a', 'b']\"\n", "none of 1"),
        (b"question,selections,options\nQ?,{},\"open('x')\"\n", "none of 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(release: Release, data: bytes, message: str) -> None:
    with pytest.raises(PackInvalid, match=message):
        release.read(data)


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        (("Yes", "No"), Scale.BINARY),
        (("Very good", "Somewhat good", "Somewhat bad", "Very bad"), Scale.ORDINAL),
        (("A lot", "Some", "Only a little", "None"), Scale.ORDINAL),
        (("Agree", "Neither agree nor disagree", "Disagree"), Scale.ORDINAL),
        (("Never justifiable", "2", "3", "4", "Always justifiable"), Scale.ORDINAL),
        (("Not important at all", "1", "Very important", "2", "3"), Scale.NOMINAL),
        (("Better", "Worse", "About the same"), Scale.NOMINAL),
        (("Good", "Bad", "Neither (VOL)"), Scale.NOMINAL),
        (("Very good", "Very bad", "Never heard of"), Scale.NOMINAL),
        (("China", "Japan", "United States"), Scale.NOMINAL),
    ],
)
def test_the_scale_is_told_from_the_wording(options: tuple[str, ...], scale: Scale) -> None:
    assert scale_of(options) is scale


@pytest.fixture(scope="session")
def released(shared: Path) -> list[Line]:
    text = (shared / "data" / "globalopinionqa" / "questions.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_the_release_is_imported_whole(
    shared: Path, catalogue: CultureCatalogue, tmp_path: Path
) -> None:
    file = shared / "data" / "globalopinionqa" / "questions.jsonl"
    pack, report = globalopinionqa.import_survey(file, catalogue)
    n_refused = sum(each.n_cells or 0 for each in report.populations_refused)
    assert (report.n_rows_read, report.n_rows_used, len(pack.questions)) == (1421, 1421, 1386)
    # Every cell of the release is written, or counted once among what is not.
    n_twice = sum(tally.n for tally in report.faults)
    assert (report.n_cells_written, report.n_cells_empty, n_twice, n_refused) == (7593, 2, 1, 865)
    assert report.n_cells_written + report.n_cells_empty + n_twice + n_refused == 8461
    assert place_pack(tmp_path / "out", pack).manifest.licence == "CC BY-NC-SA 4.0"


@pytest.mark.parametrize("default", [False, True])
def test_the_published_csv_gives_the_same_cells(
    release: Release, released: list[Line], default: bool
) -> None:
    some = released[::25]
    assert cells(release.csv(*some, default=default).pack) == cells(release.json_lines(*some).pack)
