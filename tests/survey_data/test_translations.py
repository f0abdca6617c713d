"""Translations of a pack are read with it, found by language, and refused for what is at fault."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Wording
from survey_data.packs import add_translation, read_pack, write_pack
from survey_data.questions_file import MAX_TEXT_CHARS
from survey_data.translation_files import is_language

MANIFEST, GERMAN = "pack.toml", "questions.de.jsonl"
SHIPPED = Path(__file__).parents[2] / "survey_data" / "packs" / "wvs7"
LANGUAGES = ("de", "es", "pt", "ru", "zh")
OFTEN = ("immer", "oft", "selten", "nie")


@pytest.fixture
def pack(make_pack: Callable[..., Pack]) -> Pack:
    """Of two questions, the second with a bare number among its options."""
    made = make_pack({"DEU": [0, 1]})
    first, second = made.questions
    second = dataclasses.replace(second, options=("always", "2", "3", "never"))
    return dataclasses.replace(made, questions=(first, second))


@pytest.fixture
def folder(tmp_path: Path, pack: Pack) -> Path:
    write_pack(tmp_path / "tiny", pack)
    return tmp_path / "tiny"


def line(**changed: object) -> dict[str, Any]:
    return {"id": "Q0", "text": "Wie oft?", "options": list(OFTEN), **changed}


def write_lines(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def add(folder: Path, *lines: object, language: str = "de") -> None:
    add_translation(folder, write_lines(folder.parent / "new.jsonl", *lines), language=language)


def test_a_question_is_worded_in_each_language(folder: Path, catalogue: CultureCatalogue) -> None:
    add(folder, line())
    add(folder, line(text="Com que frequência?"), language="pt-BR")
    library = SurveyLibrary([read_pack(folder)], catalogue)

    assert library.languages == ("de", "en", "pt-BR")
    assert library.wording("tiny:Q0", "de") == Wording("de", "Wie oft?", OFTEN)
    own = library.questions["tiny:Q0"]
    assert library.wording("tiny:Q0", "en") == Wording("en", own.text, own.options)
    for key, language in (("tiny:Q1", "de"), ("tiny:Q0", "fr"), ("tiny:Q9", "de")):
        assert library.wording(key, language) is None


def test_a_pack_names_its_own_language_first(folder: Path) -> None:
    assert read_pack(folder).languages == ("en",)
    add(folder, line())
    add(folder, line(), language="ca")
    assert read_pack(folder).languages == ("en", "ca", "de")


def test_a_pack_is_written_with_its_translations(folder: Path, tmp_path: Path) -> None:
    add(folder, line(id="Q1", options=["immer", "2", "3", "nie"]), line())
    pack = read_pack(folder)
    again = write_pack(tmp_path / "again", pack)

    assert again == pack
    assert list(again.translations["de"]) == ["tiny:Q0", "tiny:Q1"]
    for name in (MANIFEST, GERMAN):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_adding_a_translation_changes_nothing_else_of_the_manifest(folder: Path) -> None:
    before = (folder / MANIFEST).read_text()
    add(folder, line())
    head, _, added = (folder / MANIFEST).read_text().rpartition(f'"{GERMAN}" = ')
    assert head == before
    assert re.fullmatch(r'"[0-9a-f]{64}"\n', added)


def test_what_a_translation_leaves_out_is_named(folder: Path) -> None:
    file = write_lines(folder.parent / "new.jsonl", line())
    added = add_translation(folder, file, language="de")
    assert (added.file, added.left_out) == (folder / GERMAN, ("Q1",))


def test_a_translation_is_replaced_also_from_where_it_lies(folder: Path) -> None:
    add(folder, line())
    file = write_lines(folder / GERMAN, line(text=" Wie häufig? "))
    add_translation(folder, file, language="de")
    assert read_pack(folder).translations["de"]["tiny:Q0"].text == "Wie häufig?"


@pytest.mark.parametrize(
    ("changed", "column", "message"),
    [
        ({"id": "Q7"}, "id", "'Q7' is not in questions.jsonl"),
        ({"id": "Q1"}, "options", "found 'oft' for '2'; bare numbers stay as they are"),
        ({"options": OFTEN[:3]}, "options", "3 options, but the question has 4, in the same order"),
        ({"options": ["a", "a", "b", "c"]}, "options", "options must differ"),
        ({"options": ["a", "b", "c", " "]}, "options", "none may be blank"),
        ({"options": ["a"]}, "options", "at least 2"),
        ({"options": "abcd"}, "options", "valid tuple"),
        ({"options": ["a", "b", "c", 4]}, "options.3", "valid string"),
        ({"text": " "}, "text", "at least 1 character"),
        ({"text": "w" * (MAX_TEXT_CHARS + 1)}, "text", "at most 2000"),
        ({"text": None}, "text", "valid string"),
        ({"topic": "Life"}, "topic", "not permitted"),
    ],
)
def test_a_fault_of_a_translation_names_row_and_column(
    folder: Path, changed: dict[str, object], column: str, message: str
) -> None:
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    good = line(id="Q1", options=["immer", "2", "3", "nie"])
    with pytest.raises(PackInvalid, match=re.escape(message)) as caught:
        add(folder, line() if changed.get("id") == "Q1" else good, line(**changed))
    error = caught.value
    assert (error.file, error.row, error.column) == (folder.parent / "new.jsonl", 2, column)
    assert sorted((path.name, path.read_bytes()) for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("lines", "language", "message"),
    [
        ([line(), line()], "de", "row 2, column 'id': 'Q0' stands twice"),
        ([line()], "en", "row 1, column 'id': 'Q0' is in 'en' itself"),
        ([], "de", "found no question"),
        ([["Q0"]], "de", "row 1: no JSON object"),
        ([line()], "german", "'german' is not a language tag such as de"),
        ([line()], "../de", "'../de' is not a language tag such as de"),
    ],
)
def test_what_is_no_translation_is_refused(
    folder: Path, lines: list[object], language: str, message: str
) -> None:
    with pytest.raises(PackInvalid, match=re.escape(message)):
        add(folder, *lines, language=language)
    assert not list(folder.glob("questions.*.jsonl"))


def test_a_missing_file_is_not_added(folder: Path) -> None:
    with pytest.raises(PackInvalid, match="cannot be read"):
        add_translation(folder, folder / "absent.jsonl", language="de")


def test_a_translation_that_the_manifest_does_not_name_is_refused(folder: Path) -> None:
    file = write_lines(folder / GERMAN, line())
    with pytest.raises(PackInvalid, match=r"pack\.toml records no sha256 of it") as caught:
        read_pack(folder)
    assert caught.value.file == file
    command = f"milieu packs add-translation {folder} {file} --language de"
    assert f"run `{command}`, or remove the file" in str(caught.value)


def test_a_file_named_after_no_language_is_refused(folder: Path) -> None:
    write_lines(folder / "questions.german.jsonl", line())
    with pytest.raises(PackInvalid, match=r"'german' is not .* name the file after"):
        read_pack(folder)


def test_a_hash_of_no_language_is_refused(folder: Path) -> None:
    with (folder / MANIFEST).open("a") as manifest:
        manifest.write('"questions.pt-br.jsonl" = "0"\n')
    with pytest.raises(PackInvalid, match=r"questions\.pt-br\.jsonl: 'pt-br' is not") as caught:
        read_pack(folder)
    assert (caught.value.file, caught.value.column) == (folder / MANIFEST, "sha256")


def test_an_altered_translation_is_refused(folder: Path) -> None:
    add(folder, line())
    write_lines(folder / GERMAN, line(text="Warum?"))
    with pytest.raises(PackInvalid, match=r"pack\.toml records .*or restore the file") as caught:
        read_pack(folder)
    assert caught.value.file == folder / GERMAN


def test_a_missing_translation_is_refused(folder: Path) -> None:
    add(folder, line())
    (folder / GERMAN).unlink()
    with pytest.raises(PackInvalid, match=r"missing, but pack\.toml records its sha256") as caught:
        read_pack(folder)
    assert caught.value.file == folder / GERMAN


@pytest.mark.parametrize("tag", ["de", "fil", "zh-Hant", "pt-BR", "es-419", "sr-Latn-RS"])
def test_a_language_may_have_script_and_region(tag: str) -> None:
    assert is_language(tag)


@pytest.mark.parametrize(
    "tag", ["", "d", "DE", "de_DE", "de-de", "de-German", "de-DE-1996", "de\n"]
)
def test_other_forms_are_no_language(tag: str) -> None:
    assert not is_language(tag)


@pytest.fixture(scope="module")
def wvs7() -> Pack:
    return read_pack(SHIPPED)


def test_the_world_values_survey_comes_in_six_languages(wvs7: Pack) -> None:
    assert wvs7.languages == ("en", *LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_shipped_translation_is_complete(wvs7: Pack, language: str) -> None:
    wordings = wvs7.translations[language]
    assert list(wordings) == [question.key for question in wvs7.questions]
    assert len({wording.text for wording in wordings.values()}) == 252
    english = {question.text for question in wvs7.questions}
    assert not english & {wording.text for wording in wordings.values()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_shipped_translation_keeps_no_english(wvs7: Pack, language: str) -> None:
    words = re.compile(r"\b(the|and|of|your|you|how|is|are|agree|very|not)\b", re.IGNORECASE)
    for question in wvs7.questions:
        wording = wvs7.translations[language][question.key]
        left = [text for text in (wording.text, *wording.options) if words.search(text)]
        assert left == [], question.key
        same = set(question.options) & set(wording.options)
        assert {option for option in same if not option.isdecimal()} <= {"No"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_shipped_translation_words_a_scale_in_one_way(wvs7: Pack, language: str) -> None:
    scales: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for question in wvs7.questions:
        wording = wvs7.translations[language][question.key]
        scales.setdefault(question.options, set()).add(wording.options)
    assert {len(ways) for ways in scales.values()} == {1}


def test_a_translation_is_written_in_the_script_of_its_language(wvs7: Pack) -> None:
    scripts = {"ru": re.compile("[\u0400-\u04ff]"), "zh": re.compile("[\u4e00-\u9fff]")}
    for language, script in scripts.items():
        for question in wvs7.questions:
            wording = wvs7.translations[language][question.key]
            for text in (wording.text, *wording.options):
                assert script.search(text) or text.isdecimal()
