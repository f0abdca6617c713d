"""Packs are written, read back equal, and refused with the place of the first fault."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from survey_data.errors import PackInvalid
from survey_data.model import Pack
from survey_data.packs import find_packs, read_pack, write_pack

QUESTIONS, SHARES, MANIFEST = "questions.jsonl", "shares.csv", "pack.toml"
HEADER = "question,culture,option,share,n_respondents,non_response"


@pytest.fixture
def pack(make_pack: Callable[..., Pack]) -> Pack:
    return make_pack({"DEU": [0, 1], "KEN": [3, None]})


@pytest.fixture
def folder(tmp_path: Path, pack: Pack) -> Path:
    write_pack(tmp_path / "tiny", pack)
    return tmp_path / "tiny"


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Write a file of a pack and record its new hash, so that only its content is at fault."""
    before = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(content)
    manifest = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(manifest.replace(before, hashlib.sha256(content).hexdigest()))


def question_line(**changed: object) -> str:
    line = {"id": "Q9", "topic": "Life", "text": "Why?", "options": ["a", "b"], "scale": "nominal"}
    return json.dumps({**line, **changed})


def test_a_written_pack_is_read_back_equal(folder: Path, pack: Pack) -> None:
    again = read_pack(folder)
    assert again.questions == pack.questions
    assert [(d.question, d.culture) for d in again.distributions] == [
        (d.question, d.culture) for d in pack.distributions
    ]
    for cell, original in zip(again.distributions, pack.distributions, strict=True):
        assert cell.shares == pytest.approx(original.shares)
        assert (cell.n_respondents, cell.non_response) == (100, 0.05)


def test_writing_a_pack_fills_in_the_hashes(folder: Path) -> None:
    manifest = read_pack(folder).manifest
    digest = hashlib.sha256((folder / SHARES).read_bytes()).hexdigest()
    assert manifest.shares_sha256 == digest


def test_writing_the_same_pack_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_pack(tmp_path / "again", read_pack(folder))
    for name in (QUESTIONS, SHARES, MANIFEST):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_shares_are_normalised_to_sum_one(folder: Path) -> None:
    text = (folder / SHARES).read_text().replace("0.700000", "0.702000")
    rewrite(folder, SHARES, text.encode())
    assert all(sum(d.shares) == pytest.approx(1.0) for d in read_pack(folder).distributions)


def test_empty_counts_mean_that_the_source_does_not_say(folder: Path) -> None:
    text = (folder / SHARES).read_text().replace(",100,0.050000", ",,")
    rewrite(folder, SHARES, text.encode())
    cell = read_pack(folder).distributions[0]
    assert (cell.n_respondents, cell.non_response) == (None, None)


def test_of_equal_shares_the_first_is_the_mode(make_pack: Callable[..., Pack]) -> None:
    cell = make_pack({"DEU": [9]}).distributions[0]  # no option 9, so all four have one share
    assert cell.mode == 0


def test_a_short_title_stands_in_sentences_where_there_is_one(folder: Path, pack: Pack) -> None:
    assert "short_title" not in (folder / MANIFEST).read_text()
    assert read_pack(folder).manifest.title_in_sentence == "Tiny"

    manifest = dataclasses.replace(pack.manifest, short_title="The Tiny One")
    write_pack(folder, dataclasses.replace(pack, manifest=manifest))

    again = read_pack(folder).manifest
    assert (again.title, again.title_in_sentence) == ("Tiny", "The Tiny One")


def with_effective(pack: Pack, *numbers: float | None) -> Pack:
    cells = zip(pack.distributions, numbers, strict=True)
    changed = (dataclasses.replace(cell, n_effective=number) for cell, number in cells)
    return dataclasses.replace(pack, distributions=tuple(changed))


def test_effective_numbers_are_a_column_where_a_cell_has_one(folder: Path, pack: Pack) -> None:
    assert (folder / SHARES).read_text().startswith(HEADER + "\n")
    again = write_pack(folder, with_effective(pack, 81.25, None, None))
    assert (folder / SHARES).read_text().startswith(HEADER + ",n_effective\n")
    assert [cell.n_effective for cell in again.distributions] == [81.25, None, None]


def test_a_bad_effective_number_names_its_place(folder: Path, pack: Pack) -> None:
    write_pack(folder, with_effective(pack, 81.25, None, None))
    text = (folder / SHARES).read_text().replace("81.25", "-1")
    rewrite(folder, SHARES, text.encode())
    with pytest.raises(PackInvalid, match="not in") as caught:
        read_pack(folder)
    assert (caught.value.row, caught.value.column) == (2, "n_effective")


def test_the_population_is_in_the_manifest_where_it_is_not_everyone(
    folder: Path, pack: Pack
) -> None:
    assert "population" not in (folder / MANIFEST).read_text()
    manifest = dataclasses.replace(pack.manifest, population="Q262 >= 50")
    again = write_pack(folder, dataclasses.replace(pack, manifest=manifest))
    assert again.manifest.population == "Q262 >= 50"


def test_packs_are_found_by_folder_name(tmp_path: Path, pack: Pack) -> None:
    for name in ("b", "a"):
        write_pack(tmp_path / name, pack)
    (tmp_path / "no-pack").mkdir()
    found = list(find_packs([tmp_path / "absent", tmp_path]))
    assert found == [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("name", [QUESTIONS, SHARES])
def test_an_altered_file_is_refused(folder: Path, name: str) -> None:
    with (folder / name).open("a") as file:
        file.write("\n")
    with pytest.raises(PackInvalid, match=r"pack\.toml records") as caught:
        read_pack(folder)
    assert caught.value.file == folder / name


@pytest.mark.parametrize("name", [MANIFEST, QUESTIONS, SHARES])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(PackInvalid, match="missing") as caught:
        read_pack(folder)
    assert caught.value.file == folder / name


@pytest.mark.parametrize(
    ("old", "new", "column", "message"),
    [
        ('title = "Tiny"\n', "", "title", "required"),
        ('title = "Tiny"', 'title = ""', "title", "at least 1 character"),
        ('title = "Tiny"', 'title = "Tiny"\ncolour = "red"', "colour", "not permitted"),
        ('wording = "own"', 'wording = "mine"', "wording", "pattern"),
        ("schema_version = 1", "schema_version = 2", "schema_version", "found 2, expected 1"),
        ('id = "tiny"', 'id = "Tiny pack"', "id", "lower-case"),
        ('"shares.csv" = ', '"other.csv" = ', "sha256", "no hash of shares"),
        ("[sha256]", "[sha256", None, "not valid TOML"),
        ('title = "Tiny"', f"title = {'[' * 5000}", None, "not valid TOML"),
        ('title = "Tiny"', f"title = {'9' * 5000}", None, "not valid TOML"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_fault_of_the_manifest_names_its_field(
    folder: Path, old: str, new: str, column: str | None, message: str
) -> None:
    text = (folder / MANIFEST).read_text()
    assert old in text
    (folder / MANIFEST).write_text(text.replace(old, new))
    with pytest.raises(PackInvalid, match=message) as caught:
        read_pack(folder)
    assert (caught.value.file, caught.value.column) == (folder / MANIFEST, column)


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        (question_line(options=["a"]), "options", "at least 2"),
        (question_line(options=[str(i) for i in range(21)]), "options", "at most 20"),
        (question_line(options=["a", "a"]), "options", "differ"),
        (question_line(options=["a", "A", "b"]), "options", "differ, in more than case"),
        (question_line(options=["a", " "]), "options", "blank"),
        (question_line(options=["a", 2]), "options.1", "string"),
        (question_line(scale="binary", options=["a", "b", "c"]), "scale", "binary with 3"),
        (question_line(scale="round"), "scale", "ordinal"),
        (question_line(text=""), "text", "at least 1"),
        (question_line(id="Q 9"), "id", "pattern"),
        (question_line(id="Q0"), "id", "stands twice"),
        (question_line(first_number=2), "first_number", "less than or equal to 1"),
        (question_line(colour="red"), "colour", "not permitted"),
        ("{", None, "JSON"),
    ],
)
def test_a_fault_of_a_question_names_row_and_column(
    folder: Path, line: str, column: str | None, message: str
) -> None:
    rewrite(folder, QUESTIONS, (folder / QUESTIONS).read_bytes() + line.encode() + b"\n")
    with pytest.raises(PackInvalid, match=message) as caught:
        read_pack(folder)
    error = caught.value
    assert (error.file, error.row, error.column) == (folder / QUESTIONS, 3, column)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no question"),
        (b"\xff\n", "not UTF-8"),
        (b'{"a":' * 100_000, "row 1: no JSON: nested too deeply"),
    ],
    ids=["empty", "bytes", "deep"],
)
def test_an_unreadable_questions_file_is_refused(
    folder: Path, content: bytes, message: str
) -> None:
    rewrite(folder, QUESTIONS, content)
    with pytest.raises(PackInvalid, match=message) as caught:
        read_pack(folder)
    assert caught.value.file == folder / QUESTIONS


def cell(
    *shares: str, question: str = "Q1", culture: str = "KEN", options: str = "0123", n: str = "9"
) -> list[str]:
    pairs = zip(options, shares, strict=True)
    return [f"{question},{culture},{option},{share},{n},0.1" for option, share in pairs]


@pytest.mark.parametrize(
    ("rows", "row", "column", "message"),
    [
        (cell(*"1000", question="Q7"), 14, "question", "not in questions.jsonl"),
        (cell(*"1000", culture="ke"), 14, "culture", "alpha-3"),
        (cell(*"1000", culture="DEU"), 14, None, "stands twice"),
        (cell(*"100", options="012"), 14, "option", "expected 0 to 3"),
        (cell(*"1000", options="0132"), 14, "option", "expected 0 to 3"),
        (cell("1", "0", "x", "0"), 16, "share", "no number"),
        (cell("1", "0", "0", "nan"), 17, "share", r"not in \[0, 1\]"),
        (cell("1.5", "0", "0", "0"), 14, "share", r"not in \[0, 1\]"),
        (cell("1", "-0.1", "0", "0"), 15, "share", r"not in \[0, 1\]"),
        (cell("0.5", "0.4", "0", "0"), 14, "share", "sum to 0\\.9000"),
        (cell(*"1000", n="-1"), 14, "n_respondents", "not in"),
        ([f"{row}9" for row in cell(*"1000")], None, None, ""),
        ([row.replace(",0.1", ",1.1") for row in cell(*"1000")], 14, "non_response", "not in"),
        (["Q1,KEN,0,1"], 14, None, "4 values, but the header has 6"),
    ],
)
def test_a_fault_of_a_share_names_row_and_column(
    folder: Path, rows: list[str], row: int | None, column: str | None, message: str
) -> None:
    text = (folder / SHARES).read_text() + "\n".join(rows) + "\n"
    rewrite(folder, SHARES, text.encode())
    if row is None:  # the control: a cell without fault is read
        assert len(read_pack(folder).distributions) == 4
        return
    with pytest.raises(PackInvalid, match=message) as caught:
        read_pack(folder)
    error = caught.value
    assert (error.file, error.row, error.column) == (folder / SHARES, row, column)


@pytest.mark.parametrize(
    ("text", "message"), [("", "found no header"), ("a,b\n", "header"), (HEADER, "no share")]
)
def test_a_shares_file_without_cells_is_refused(folder: Path, text: str, message: str) -> None:
    rewrite(folder, SHARES, text.encode())
    with pytest.raises(PackInvalid, match=message):
        read_pack(folder)


def test_the_shipped_packs_are_valid() -> None:
    root = Path(__file__).parents[2] / "survey_data" / "packs"
    packs = [read_pack(folder) for folder in find_packs([root])]
    assert {pack.manifest.id: pack.manifest.commercial_use for pack in packs} == {
        "climate-2022": False,
        "undp-ai-2025": True,
        "wvs7": False,
    }
    assert [len(pack.cultures) for pack in packs] == [107, 21, 19]


@pytest.mark.parametrize("content", [b"question,culture\xff", HEADER.encode() + b'\n"Q0,DEU'])
def test_shares_that_are_no_text_or_no_csv_are_named(folder: Path, content: bytes) -> None:
    rewrite(folder, SHARES, content)

    with pytest.raises(PackInvalid, match=r"shares\.csv.*(no CSV|not UTF-8)"):
        read_pack(folder)


def test_a_pack_must_say_when_it_was_asked(folder: Path) -> None:
    manifest = (folder / MANIFEST).read_text()
    head, _, rest = manifest.partition("[fieldwork]")
    (folder / MANIFEST).write_text(f"{head}[fieldwork]\n[sha256]{rest.partition('[sha256]')[2]}")

    with pytest.raises(PackInvalid, match="'fieldwork'"):
        read_pack(folder)
