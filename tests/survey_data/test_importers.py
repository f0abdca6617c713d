"""Importers give again, byte for byte, the shares that are shipped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from survey_data.cultures import read_catalogue
from survey_data.errors import PackInvalid
from survey_data.model import Pack, Question, Scale
from survey_data.packs import read_pack, write_pack
from tests.survey_data import climate_opinion, culturespa_shares, undp_ai

PACKS = Path(__file__).parents[2] / "survey_data" / "packs"


@pytest.mark.parametrize("pack_id", ["wvs7", "undp-ai-2025", "climate-2022"])
def test_the_shipped_shares_are_derived_again(pack_id: str, shared: Path, tmp_path: Path) -> None:
    pack = read_pack(PACKS / pack_id)
    if pack_id == "wvs7":
        cells = culturespa_shares.read_distributions(shared / "data" / "culturespa", pack.questions)
    elif pack_id == "climate-2022":
        source = shared / "data" / "climate_opinion_2022" / "ccos2022_tidy.json"
        cells = climate_opinion.read_distributions(source, pack.questions, read_catalogue())
    else:
        source = shared / "data" / "undp_ai_2025" / "undp_tidy.json"
        cells = undp_ai.read_distributions(source, pack.questions)
    write_pack(tmp_path, dataclasses.replace(pack, distributions=tuple(cells)))
    for name in ("shares.csv", "questions.jsonl", "pack.toml"):
        assert (tmp_path / name).read_bytes() == (PACKS / pack_id / name).read_bytes()


def item(source_item: str, n_options: int) -> Question:
    return Question(
        key=f"t:{source_item}",
        topic="Life",
        text="Why?",
        options=tuple(f"option {i}" for i in range(n_options)),
        scale=Scale.NOMINAL,
        source_item=source_item,
    )


@pytest.fixture
def release(tmp_path: Path) -> Callable[[dict[str, dict[str, float]]], Path]:
    """Return a function that writes one country's cells as CultureSPA released them."""

    def written(cells: dict[str, dict[str, float]]) -> Path:
        path = tmp_path / "proportions_group_by_country.json"
        path.write_text(json.dumps({"DEU": cells}))
        return tmp_path

    return written


Release = Callable[[dict[str, dict[str, float]]], Path]


def test_shares_are_normalised_and_the_rest_is_non_response(release: Release) -> None:
    folder = release({"Q1": {"2": 0.6, "1": 0.2}})
    (cell,) = culturespa_shares.read_distributions(folder, [item("Q1", 3)])
    assert cell.shares == pytest.approx((0.25, 0.75, 0.0))
    assert cell.non_response == pytest.approx(0.2)
    assert cell.n_respondents == 1528


def test_an_empty_cell_was_not_asked(release: Release) -> None:
    assert not list(culturespa_shares.read_distributions(release({"Q1": {}}), [item("Q1", 2)]))


def test_items_counted_from_zero_are_shifted(release: Release) -> None:
    folder = release({"Q94": {"0": 0.5, "2": 0.5}})
    (cell,) = culturespa_shares.read_distributions(folder, [item("Q94", 3)])
    assert cell.shares == (0.5, 0.0, 0.5)


def test_a_code_off_the_scale_is_non_response(release: Release) -> None:
    folder = release({"Q119": {"0": 0.5, "1": 0.5}})
    (cell,) = culturespa_shares.read_distributions(folder, [item("Q119", 4)])
    assert cell.shares == (1.0, 0.0, 0.0, 0.0)
    assert cell.non_response == 0.5


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"Q1": {"7": 1.0}}, r"codes \[7\]"),
        ({"Q2": {"1": 1.0}}, "no item 'Q1'"),
        ({"Q1": {"1": 0.0}}, "nobody"),
    ],
)
def test_a_cell_that_does_not_fit_its_question_is_refused(
    release: Release, cells: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(PackInvalid, match=message):
        list(culturespa_shares.read_distributions(release(cells), [item("Q1", 2)]))


def test_a_missing_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackInvalid, match="cannot be read"):
        list(culturespa_shares.read_distributions(tmp_path, []))
    with pytest.raises(PackInvalid, match="cannot be read"):
        list(undp_ai.read_distributions(tmp_path / "undp.json", []))


def test_the_last_option_of_undp_is_dont_know_where_the_question_lacks_it(tmp_path: Path) -> None:
    items = [{"id": "A", "options": ["x", "y", "?"], "distributions": {"DEU": [0.3, 0.1, 0.1]}}]
    path = tmp_path / "undp.json"
    path.write_text(json.dumps({"questions": items}))
    (cell,) = undp_ai.read_distributions(path, [item("A", 2)])
    assert cell.shares == pytest.approx((0.75, 0.25))
    assert cell.non_response == pytest.approx(0.2)
    (whole,) = undp_ai.read_distributions(path, [item("A", 3)])
    assert whole.non_response is None


def test_an_item_that_undp_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "undp.json"
    path.write_text(json.dumps({"questions": []}))
    with pytest.raises(PackInvalid, match="no item 'A'"):
        list(undp_ai.read_distributions(path, [item("A", 2)]))


def test_a_question_of_the_pack_type(make_pack: Callable[..., Pack]) -> None:
    question = make_pack({"DEU": [0]}).questions[0]
    assert (question.pack, list(question.numbers)) == ("tiny", [1, 2, 3, 4])
