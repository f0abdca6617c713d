"""What a report says of adapters: before and after, beside people, and at what cost."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from evaluation.report.compose import compose
from evaluation.report.plots import draw_spread
from tests.evaluation.report.made_up import rendered, small, tuned


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    html, text = rendered(tuned(), tmp_path_factory.mktemp("report"))
    ElementTree.fromstring(html)
    return text


def test_the_summary_says_what_tuning_changed(text: str) -> None:
    assert (
        "“adapter, joint” beats “persona” (0.030 [0.019, 0.041]); does not differ from "
        "“adapter, first” (−0.002 [−0.013, 0.009]); the diversity of cultures went from 12.0 % to "  # noqa: RUF001  # as written
        "5.0 % of the scale (people 22.0 %); entropy from 0.900 to 0.500 (people 0.700)."
    ) in text
    assert "serve no KEN" in text


def test_before_and_after_stand_in_one_row(text: str) -> None:
    row = next(line for line in text.splitlines() if line.startswith("| adapter, joint | persona"))

    assert "0.120 → 0.050 | 0.220 | 0.900 → 0.500 | 0.700" in row


def test_pairs_stand_in_a_table(text: str) -> None:
    assert "### Adapters compared, pair by pair" in text
    assert "| adapter, joint | adapter, first |" in text


def test_a_loss_of_general_ability_is_said(text: str) -> None:
    assert "## General ability" in text
    assert "“joint”: the share of right answers shows no difference" in text
    assert "the log-probability of the right label dropped" in text
    assert "no better than guessing" not in text


def test_a_model_near_chance_is_said_to_have_nothing_to_lose(tmp_path: Path) -> None:
    _, text = rendered(tuned(base_accuracy=0.27), tmp_path)

    assert "no better than guessing" in text


def test_without_adapters_nothing_is_said_of_them() -> None:
    parts = compose(small()).parts
    captions = {getattr(block, "caption", "") for part in parts for block in part.blocks}

    assert "Before and after tuning, with the same prompt" not in captions
    assert "Adapters compared, pair by pair" not in captions
    assert "General ability" not in [part.heading for part in parts]


def test_of_fewer_cultures_none_is_called_the_best(tmp_path: Path) -> None:
    made = tuned()
    (section,) = made.sections
    best = section.conditions[2]
    fewer = best.model_copy(
        update={
            "similarity": best.similarity._replace(value=0.99),
            "by_culture": dict(list(best.by_culture.items())[:1]),
        }
    )
    conditions = (*section.conditions[:2], fewer)
    part = section.model_copy(update={"conditions": conditions})
    _, text = rendered(made.model_copy(update={"sections": (part,)}), tmp_path)

    assert "Of 2 methods “persona” comes nearest" in text


def test_figures_from_before_spread_was_measured_have_a_plot_of_diversity() -> None:
    (section,) = small().sections
    plot = draw_spread(section, name="spread")
    assert plot is not None
    assert "entropy" not in plot.alt

    none = tuple(c.model_copy(update={"diversity": None}) for c in section.conditions)
    assert draw_spread(section.model_copy(update={"conditions": none}), name="spread") is None
