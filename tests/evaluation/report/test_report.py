from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evaluation.figures import BootstrapInterval, ConditionFigures, Figures
from evaluation.report.compose import write_report
from tests.evaluation.report.made_up import (
    CULTURES,
    figures,
    rendered,
    section,
    small,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(figures(), folder)
    return folder


def test_every_section_stands_in_both_files(folder: Path) -> None:
    html, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    headings = ["Summary", "All cells", "Sample questions", "Cultural map"]

    for heading in [*headings, "Held out of the embedded model&#39;s training"]:
        assert f">{heading}</h2>" in html
    for heading in [*headings, "Held out of the embedded model's training"]:
        assert f"\n## {heading}\n" in text


def test_every_table_stands_in_both_files(folder: Path) -> None:
    html, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()

    for caption in (
        "How near answers came to people&#39;s",
        "Gain over plain",
        "Gain in distribution similarity over each reference",
        "Do answers change with the culture?",
        "Readable and steady answers",
        "What it took",
    ):
        assert html.count(f"<caption>{caption}</caption>") == 2
        assert text.count(f"### {caption}\n".replace("&#39;", "'")) == 2
    for caption in ("by culture", "by topic", "by number of options"):
        assert html.count(f"<summary>Distribution similarity {caption}</summary>") == 2
        assert f"### Distribution similarity {caption}\n" in text


def test_gains_over_plain_stand_side_by_side(folder: Path) -> None:
    text = (folder / "report.md").read_text()

    # 0.752 - 0.73, - 0.725, - 0.721; plain itself gains nothing.
    assert "| Condition | Distribution similarity | Alignment score | Soft accuracy |" in text
    assert (
        text.count(
            "| persona+icl, shares | 0.022 [0.011, 0.033] | 0.027 [\u22120.005, 0.059] "
            "| 0.031 [0.014, 0.048] |"
        )
        == 2
    )
    (table, _) = text.partition("### Gain over plain\n")[2].split("\n### ", 1)
    assert "| plain |" not in table


def test_the_page_needs_nothing_from_outside(folder: Path) -> None:
    html = (folder / "report.html").read_text()

    assert not re.search(r"https?:|@import|<script|<link|<iframe|<object", html)
    assert set(re.findall(r'(?:href|src)="(#|data:|.*)', html)) == {"#", "data:"}
    assert set(re.findall(r"url\((.)", html)) <= {"#"}


def test_the_page_is_well_formed_and_its_ids_are_unique(folder: Path) -> None:
    page = ElementTree.fromstring((folder / "report.html").read_text())
    ids = [element.get("id") for element in page.iter() if element.get("id")]

    assert page.get("lang") == "en"
    assert len(ids) == len(set(ids))
    targets = {e.get("href", "") for e in page.iter()}
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)


def test_pictures_are_described_and_tables_have_headers(folder: Path) -> None:
    page = ElementTree.fromstring((folder / "report.html").read_text())
    figures_shown = list(page.iter("figure"))

    assert len(figures_shown) == 12  # 4 per section, 3 samples, the map
    for figure in figures_shown:
        (described,) = [e for e in figure.iter() if e.get("role") == "img"]
        assert described.get("aria-label")
    for table in page.iter("table"):
        assert all(cell.get("scope") == "col" for cell in table.findall("thead/tr/th"))
        assert all(row.find("th") is not None for row in table.findall("tbody/tr"))


def test_the_markdown_refers_to_plots_that_are_there_and_are_svg(folder: Path) -> None:
    paths = re.findall(r"\]\((plots/[^)]+)\)", (folder / "report.md").read_text())

    assert len(paths) == 12
    for path in paths:
        assert ElementTree.parse(folder / path).getroot().tag.endswith("svg")
    assert {path.name for path in (folder / "plots").iterdir()} == {Path(p).name for p in paths}


def test_the_rows_of_markdown_tables_are_as_long_as_their_headers(folder: Path) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", (folder / "report.md").read_text(), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(small(), tmp_path / name)

    written = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*")]
    assert len(written) > 3
    for path in written:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_plots_of_an_earlier_report_are_removed(tmp_path: Path) -> None:
    write_report(small(), tmp_path)
    write_report(small().model_copy(update={"samples": ()}), tmp_path)

    assert not list((tmp_path / "plots").glob("sample-*"))


def test_texts_from_data_are_escaped(tmp_path: Path) -> None:
    nasty = '<script>alert("1")</script> | [a](x) $x_1$ & *b* \u0e44\u0e17\u0e22'
    made = small(text=nasty, name=nasty)
    html, text = rendered(made, tmp_path)

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    ElementTree.fromstring(html)
    assert "<script" not in text.replace("\\<script", "")
    assert "](x)" not in text.replace("\\](x)", "")


def test_options_that_the_font_cannot_write_are_numbered(tmp_path: Path) -> None:
    # A missing character would be a warning, which fails a test.
    rendered(small(options=("\u5f88\u91cd\u8981", "\u4e0d\u91cd\u8981")), tmp_path)


def test_one_condition_without_anything_else_is_a_report(tmp_path: Path) -> None:
    bare = ConditionFigures(
        name="icl",
        kind="method",
        alignment=None,
        similarity=BootstrapInterval(0.7, 0.6, 0.8),
        wasserstein=None,
        exact=BootstrapInterval(0.5, 0.4, 0.6),
        soft=BootstrapInterval(0.5, 0.4, 0.6),
        over_plain=None,
        over_reference={},
        unreadable=0.0,
        refused=0.0,
        order_shift=None,
        order_flips=None,
        diversity=None,
        steering=None,
        by_culture={},
        by_topic={},
        by_n_options={},
        n_cells=0,
        n_requests=0,
        prompt_tokens=0,
        completion_tokens=0,
        not_steered=0.0,
    )
    only = section().model_copy(
        update={"conditions": (bare,), "cultures": ("DEU",), "people_diversity": None}
    )
    made = figures().model_copy(update={"sections": (only,), "samples": (), "cultural_map": None})
    html, text = rendered(made, tmp_path)

    ElementTree.fromstring(html)
    assert "“icl”, the only method, has a distribution similarity of 0.700 [0.600, 0.800]" in text
    assert "not compared with “plain”" in text
    assert "None" not in text
    assert "nan" not in text.casefold()
    assert "Alignment score." not in text


@pytest.mark.parametrize("conditions", [(), ("plain",), ("uniform",), ("persona",)])
def test_any_condition_alone_is_a_report(tmp_path: Path, conditions: tuple[str, ...]) -> None:
    whole = section(cultures=CULTURES[:1])
    kept = tuple(c for c in whole.conditions if c.name in conditions)
    only = whole.model_copy(update={"conditions": kept})
    made = small().model_copy(update={"sections": (only,), "samples": ()})
    html, _ = rendered(made, tmp_path)

    ElementTree.fromstring(html)


def test_no_section_at_all_is_a_report(tmp_path: Path) -> None:
    made = small().model_copy(update={"sections": (), "samples": ()})

    assert "The run has no figures." in rendered(made, tmp_path)[1]


def test_figures_survive_the_way_through_their_file(tmp_path: Path) -> None:
    made = small()
    again = Figures.model_validate_json(made.model_dump_json())

    assert rendered(made, tmp_path / "one") == rendered(again, tmp_path / "two")
