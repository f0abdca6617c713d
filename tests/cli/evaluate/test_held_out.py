"""`milieu evaluate --held-out`: on which questions, and as whom."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.settings import Settings
from app.state.retrieval import open_retrieval, read_library
from cli.evaluate.scope import MIN_OTHER_ANSWERS, find_unlike_training
from cli.evaluate.sections import (
    ANY_CULTURE_TITLE,
    HELD_OUT_TITLE,
    UNLIKE_TITLE,
    make_sections,
)
from evaluation.run_spec import RunSpec
from survey_data.cultures import read_catalogue
from survey_data.importers.globalopinionqa import VALUES_SURVEYS, import_survey
from survey_data.model import Pack
from survey_data.packs import write_pack
from survey_data.split import read_split
from tests.cli.evaluate.test_command import Evaluate, evaluate

__all__ = ["evaluate"]
OPINIONS = ("--pack", "globalopinionqa", "--held-out")
# So many that some countries have evidence, and so few that they are encoded soon.
N_QUESTIONS = 240


@pytest.fixture(scope="module")
def opinions(shared: Path) -> Pack:
    """The first questions of GlobalOpinionQA, as `milieu packs import` reads them."""
    file = shared / "data" / "globalopinionqa" / "questions.jsonl"
    whole = import_survey(file, read_catalogue()).pack
    questions = whole.questions[:N_QUESTIONS]
    keys = {question.key for question in questions}
    cells = tuple(cell for cell in whole.distributions if cell.question in keys)
    return Pack(whole.manifest, questions, cells)


@pytest.fixture(scope="module")
def folders(opinions: Pack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    packs = tmp_path_factory.mktemp("packs")
    write_pack(packs / "globalopinionqa", opinions)
    return {"MILIEU_PACK_FOLDERS": str(packs)}


def asks_of(folder: Path, condition: str = "icl") -> list[dict[str, Any]]:
    lines = (folder / "asks.jsonl").read_text().splitlines()
    return [ask for ask in map(json.loads, lines) if ask["condition"] == condition]


def test_the_split_speaks_of_the_questions_as_they_are_imported(shared: Path) -> None:
    file = shared / "data" / "globalopinionqa" / "questions.jsonl"
    pack = import_survey(file, read_catalogue()).pack
    kept = set(read_split().of_pack("globalopinionqa"))

    # Eight were asked in no country's simple sample.
    assert len(kept) == 300
    assert len(kept & {question.key for question in pack.questions}) == 292


def test_held_out_is_of_questions_and_of_cultures(
    evaluate: Evaluate, folders: dict[str, str], tmp_path: Path
) -> None:
    figures = evaluate.figures(tmp_path / "run", *OPINIONS, "--method", "icl", **folders)

    split = read_split()
    assert {ask["question"] for ask in asks_of(tmp_path / "run")} <= split.questions
    assert set(figures.sections[0].cultures) <= split.cultures


def test_held_out_questions_are_asked_as_every_culture_with_evidence(
    evaluate: Evaluate, opinions: Pack, folders: dict[str, str], tmp_path: Path
) -> None:
    evaluate.figures(
        tmp_path / "run", *OPINIONS, "--any-culture", "--method", "icl", "--no-references",
        **folders,
    )  # fmt: skip

    split, asks = read_split(), asks_of(tmp_path / "run")
    other = Counter(c.culture for c in opinions.distributions if c.question not in split.questions)
    cells = {
        (c.question, c.culture)
        for c in opinions.distributions
        if c.question in split.questions and other[c.culture] >= MIN_OTHER_ANSWERS
    }
    assert {(ask["question"], ask["culture"]) for ask in asks} == cells
    assert not {culture for _, culture in cells} <= split.cultures
    # What is shown are the same people's answers to other questions of the pack.
    answered = {(c.question, c.culture) for c in opinions.distributions}
    for ask in asks:
        assert len(ask["shown"]) == 5
        assert {(key, ask["culture"]) for key in ask["shown"]} <= answered
        assert ask["question"] not in ask["shown"]


def test_a_culture_that_is_named_is_asked_whatever_its_evidence(
    evaluate: Evaluate, opinions: Pack, folders: dict[str, str], tmp_path: Path
) -> None:
    assert sum(cell.culture == "SEN" for cell in opinions.distributions) < MIN_OTHER_ANSWERS
    named = (*OPINIONS, "--any-culture", "--method", "plain", "-c", "US", "-c", "Senegal")

    figures = evaluate.figures(tmp_path / "run", *named, **folders)

    assert figures.sections[0].cultures == ("SEN", "USA")


def test_of_another_model_no_section_says_what_it_was_trained_on(
    evaluate: Evaluate, folders: dict[str, str], tmp_path: Path
) -> None:
    evaluate.figures(
        tmp_path / "run", *OPINIONS, "--any-culture", "--method", "plain", "--questions", "9",
        **folders,
    )  # fmt: skip

    described = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert [of.title for of in RunSpec.model_validate_json(json.dumps(described)).sections] == [
        "All questions and cultures"
    ]


def test_the_embedded_models_report_tells_apart_what_is_new_to_it() -> None:
    split = read_split()
    questions = split.of_pack("globalopinionqa")[:9]
    cultures = ("DEU", "FRA", "KEN", "USA")

    found = make_sections(
        Settings(), cultures, questions, is_vllm=True, unlike=questions[3:]
    )  # fmt: skip

    assert [(of.title, of.cultures, of.questions) for of in found] == [
        (ANY_CULTURE_TITLE, cultures, questions),
        (UNLIKE_TITLE, cultures, questions[3:]),
        (HELD_OUT_TITLE, ("DEU", "KEN"), questions),
    ]


def test_what_is_like_a_question_of_training_is_not_unlike_it(
    opinions: Pack, folders: dict[str, str], cache_folder: Path
) -> None:
    settings = Settings(
        pack_folders=folders["MILIEU_PACK_FOLDERS"],
        packs="globalopinionqa",
        cache_folder=cache_folder,
    )
    library = read_library(settings, read_catalogue())
    index = open_retrieval(settings, library).index
    asked = [q.key for q in opinions.questions if q.key in read_split().questions]

    found = find_unlike_training(settings, library, asked, index=index)

    assert 0 < len(found) < len(asked)
    rest = [q.key for q in opinions.questions if q.key not in read_split().questions]
    near = np.array([index.vector(key) for key in rest])
    for key in asked:
        is_like = bool((near @ index.vector(key)).max() >= settings.answer.same_question)
        is_values = library.questions[key].topic == VALUES_SURVEYS
        assert (key in found) is not (is_like or is_values)
