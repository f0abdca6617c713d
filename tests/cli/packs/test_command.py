"""`milieu packs`: imports and translations, a report of each, and one message where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import cli

WVS_HEADER = "A_YEAR,B_COUNTRY_ALPHA,W_WEIGHT,Q1,Q260"
QUESTIONS = """id,topic,text,options,scale
tea,Taste,Do you drink tea?,Yes|No,binary
"""
SHARES = """question,culture,option,share
tea,Germany,Yes,60
tea,Germany,No,40
"""
TERMS = {"--id": "tea", "--title": "Tea", "--source": "us", "--citation": "us", "--licence": "CC0"}


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"COLUMNS": "250"} | env)


def check_refused(result: Result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    message = " ".join(result.stderr.split())
    assert message.startswith("milieu: ")
    for part in said:
        assert part in message


@pytest.fixture
def wave7(tmp_path: Path) -> Path:
    """A file of 120 Germans, half of them women, one Kenyan, and one row without a weight."""
    rows = [f"2018,DEU,1,{1 + i % 4},{1 + i % 2}" for i in range(120)]
    rows += ["2021,KEN,1,1,1", "2018,DEU,,1,1"]
    path = tmp_path / "wave7.csv"
    path.write_text("\n".join([WVS_HEADER, *rows]) + "\n")
    return path


def own_tables(folder: Path) -> list[str]:
    (folder / "questions.csv").write_text(QUESTIONS)
    (folder / "shares.csv").write_text(SHARES)
    return [str(folder / "questions.csv"), str(folder / "shares.csv")]


def import_table(folder: Path, out: Path, *more: str, **changed: str) -> Result:
    terms = TERMS | {f"--{name}": value for name, value in changed.items()}
    options = [part for pair in terms.items() for part in pair]
    arguments = (*own_tables(folder), "--out", str(out), *options, *more)
    return run("packs", "import", "table", *arguments)


def test_a_survey_of_ones_own_is_loaded_beside_the_others(tmp_path: Path) -> None:
    root = tmp_path / "packs"
    result = import_table(tmp_path, root / "tea", "--commercial-use", "--years", "2024")
    assert result.exit_code == 0, result.output
    assert f"MILIEU_PACK_FOLDERS={root} MILIEU_PACKS=tea" in result.stdout

    listed = run("packs", "--json", MILIEU_PACK_FOLDERS=str(root))
    packs: dict[str, Any] = {pack["id"]: pack for pack in json.loads(listed.stdout)}
    assert set(packs) == {"tea", "climate-2022", "undp-ai-2025", "wvs7"}
    assert (packs["tea"]["years"], packs["tea"]["commercial_use"]) == ("2024", True)
    cultures = run("cultures", "--json", MILIEU_PACK_FOLDERS=str(root), MILIEU_PACKS="tea")
    assert [culture["code"] for culture in json.loads(cultures.stdout)] == ["DEU"]


def test_the_report_says_what_was_left_out_and_why(wave7: Path, tmp_path: Path) -> None:
    result = run("packs", "import", "wvs7", str(wave7), "--out", str(tmp_path / "p" / "w"))
    assert result.exit_code == 0, result.output
    for part in (
        f"Written to {tmp_path / 'p' / 'w'}",
        "1 questions, 1 countries, 1 cells; 0 cells empty",
        "Rows: 122 read, 121 used, 0 left out, 1 dropped",
        "1 x weight missing",
        f"{wave7}, row 123, column 'W_WEIGHT'",
        "KEN: effective size under 100 (effective size 1.0)",
        "251 x no such column in the file: Q2, ",
        "Commercial use: no",
        "MILIEU_PACKS=wvs7-official milieu serve",
    ):
        assert part in result.stdout


def test_another_encoding_is_named(tmp_path: Path) -> None:
    questions, shares = map(Path, own_tables(tmp_path))
    questions.write_bytes(QUESTIONS.replace("Yes|No", "Oui|Ça non").encode("latin-1"))
    shares.write_bytes(SHARES.replace("Yes", "Oui").replace("No", "Ça non").encode("latin-1"))
    terms = [part for pair in TERMS.items() for part in pair]
    arguments = ("packs", "import", "table", str(questions), str(shares), *terms, "--years", "2024")
    out = tmp_path / "tea"
    check_refused(
        run(*arguments, "--out", str(out)), f"{questions}, row 2: not UTF-8", "--encoding latin-1"
    )
    result = run(*arguments, "--out", str(out), "--encoding", "latin-1")
    assert result.exit_code == 0, result.output
    assert "Read as latin-1, separated by commas, decimal points" in result.stdout
    assert "Ça non" in (out / "questions.jsonl").read_text()


def test_a_subset_of_respondents_says_who_they_are(wave7: Path, tmp_path: Path) -> None:
    arguments = ("--where", "Q260 == 2", "--min-size", "50", "--unweighted")
    result = run("packs", "import", "wvs7", str(wave7), "--out", str(tmp_path / "w"), *arguments)
    assert result.exit_code == 0, result.output
    assert "Population: people with Q260 == 2" in result.stdout
    assert "60 used, 62 left out, 0 dropped" in result.stdout
    assert "MILIEU_PACKS=wvs7-official-q260-eq-2" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--where", "Q260 = 2"), "expected COLUMN OP VALUE"),
        (("--where", "Q26 == 2"), "nearest are Q260"),
        (("--strict",), "row 123, column 'W_WEIGHT'"),
        (("--min-size", "500"), "no population has an effective size of 500"),
        (("--encoding", "klingon"), "--encoding: found klingon, expected the name of one"),
        (("--id", "My Pack"), "--id: found My Pack, expected lower-case"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(
    wave7: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "packs" / "w"
    check_refused(run("packs", "import", "wvs7", str(wave7), "--out", str(out), *arguments), said)
    assert not out.parent.exists()


def test_a_folder_that_holds_something_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "tea"
    assert import_table(tmp_path, out).exit_code == 0
    check_refused(import_table(tmp_path, out), "not empty", "--force")
    assert import_table(tmp_path, out, "--force", title="Tea again").exit_code == 0
    assert "Tea again" in (out / "pack.toml").read_text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"title": " "}, "--title"), ({"licence": ""}, "--licence"), ({"years": "now"}, "--years")],
)
def test_a_table_needs_its_terms(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    check_refused(import_table(tmp_path, tmp_path / "out", **changed), said)


TEA = {"id": "tea", "text": "Trinken Sie Tee?", "options": ["Ja", "Nein"]}


def add_translation(folder: Path, *lines: dict[str, Any], language: str = "de") -> Result:
    file = folder.parent / "in-german.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = (str(folder), str(file), "--language", language)
    return run("packs", "add-translation", *arguments)


def test_a_translation_is_added_and_listed(tmp_path: Path) -> None:
    folder = tmp_path / "packs" / "tea"
    assert import_table(tmp_path, folder).exit_code == 0
    result = add_translation(folder, TEA)

    assert result.exit_code == 0, result.output
    written = f"Written to {folder / 'questions.de.jsonl'}"
    assert result.stdout.splitlines() == [written, "1 of 1 questions"]
    root = str(folder.parent)
    listed = json.loads(run("packs", "--json", MILIEU_PACK_FOLDERS=root).stdout)
    languages = {pack["id"]: pack["languages"] for pack in listed}
    assert languages == {
        "tea": ["en", "de"],
        "climate-2022": ["en"],
        "undp-ai-2025": ["en"],
        "wvs7": ["en", "de", "es", "pt", "ru", "zh"],
    }
    assert "en, de, es, pt, ru, zh" in run("packs", COLUMNS="400").stdout


def test_questions_without_a_translation_are_named(tmp_path: Path) -> None:
    n_more = 11
    more = [f"tea{i},Taste,Tea {i}?,Yes|No,binary" for i in range(n_more)]
    shares = [f"tea{i},Germany,Yes,100" for i in range(n_more)]
    (tmp_path / "questions.csv").write_text("\n".join([QUESTIONS.strip(), *more]))
    (tmp_path / "shares.csv").write_text("\n".join([SHARES.strip(), *shares]))
    folder = tmp_path / "packs" / "tea"
    tables = (str(tmp_path / "questions.csv"), str(tmp_path / "shares.csv"))
    terms = [part for pair in TERMS.items() for part in pair]
    made = run("packs", "import", "table", *tables, "--out", str(folder), *terms)
    assert made.exit_code == 0, made.output

    said = add_translation(folder, TEA).stdout
    assert "1 of 12 questions" in said
    assert f"Left out: {', '.join(f'tea{i}' for i in range(10))} and 1 more" in said


@pytest.mark.parametrize(
    ("line", "language", "said"),
    [
        (TEA, "German", "--language: found German, expected a language tag such as de"),
        (TEA | {"id": "milk"}, "de", "row 1, column 'id': 'milk' is not in questions.jsonl"),
        (TEA | {"options": ["Ja"] * 2}, "de", "column 'options': options must differ"),
    ],
)
def test_what_is_no_translation_changes_nothing(
    tmp_path: Path, line: dict[str, Any], language: str, said: str
) -> None:
    folder = tmp_path / "packs" / "tea"
    assert import_table(tmp_path, folder).exit_code == 0
    before = (folder / "pack.toml").read_bytes()
    check_refused(add_translation(folder, line, language=language), said)
    assert not (folder / "questions.de.jsonl").exists()
    assert (folder / "pack.toml").read_bytes() == before


def test_a_folder_without_a_pack_gets_no_translation(tmp_path: Path) -> None:
    folder = tmp_path / "packs" / "tea"
    folder.mkdir(parents=True)
    check_refused(add_translation(folder, TEA), "pack.toml: the file is missing")


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("culturespa", "culturespa"),
        ("globalopinionqa", "globalopinionqa/questions.jsonl"),
    ],
)
def test_the_published_releases_are_imported(
    shared: Path, tmp_path: Path, importer: str, source: str
) -> None:
    out = tmp_path / "packs" / importer
    result = run("packs", "import", importer, str(shared / "data" / source), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert f"MILIEU_PACKS={importer} " in result.stdout
    assert run("packs", MILIEU_PACK_FOLDERS=str(out.parent)).exit_code == 0


@pytest.mark.parametrize("importer", ["wvs7", "globalopinionqa", "culturespa", "table"])
def test_help_of_an_import_has_an_example(importer: str) -> None:
    result = run("packs", "import", importer, "--help")
    assert f"Example: milieu packs import {importer} " in result.stdout
