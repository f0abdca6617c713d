"""What is estimated of a survey question as if nobody had been asked it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from estimation.estimator import Estimator
from estimation.fit_files import open_estimator
from retrieval.index_files import library_index
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Question
from tests.estimation.tables import random_library
from tests.retrieval.conftest import HashEncoder


def open_for(library: SurveyLibrary, folder: Path) -> Estimator:
    encoder = HashEncoder()
    return open_estimator(folder, library, encoder, library_index(library, encoder)).estimator


def poison(library: SurveyLibrary, question: Question) -> SurveyLibrary:
    """Return a library in which everybody chose the first option of one question."""
    certain = (1.0, *(0.0 for _ in question.options[1:]))
    packs = [
        Pack(
            pack.manifest,
            pack.questions,
            tuple(
                replace(cell, shares=certain) if cell.question == question.key else cell
                for cell in pack.distributions
            ),
        )
        for pack in library.packs
    ]
    return SurveyLibrary(packs, library.catalogue)


def test_a_held_out_question_is_estimated_for_everybody_who_was_asked_it(tmp_path: Path) -> None:
    library = random_library(n_questions=6, n_cultures=3, n_options=4)
    questions = tuple(library.questions.values())[:2]

    found = open_for(library, tmp_path).hold_out([(each, frozenset()) for each in questions])

    assert len(found) == 2
    for held in found:
        assert set(held.shares) == set(library.cultures)
        for shares in held.shares.values():
            assert shares.shape == (4,)
            assert shares.sum() == pytest.approx(1.0)


def test_what_people_said_to_it_does_not_move_a_held_out_question(tmp_path: Path) -> None:
    library = random_library(n_questions=6, n_cultures=3, n_options=4)
    asked, other = tuple(library.questions.values())[:2]
    poisoned = poison(library, asked)
    groups = [
        (asked, frozenset[str]()),
        (other, frozenset({asked.key})),
        (other, frozenset[str]()),
    ]

    before = open_for(library, tmp_path / "before").hold_out(groups)
    after = open_for(poisoned, tmp_path / "after").hold_out(groups)

    for culture in library.cultures:
        for place in (0, 1):
            expected = before[place].shares[culture]
            assert after[place].shares[culture] == pytest.approx(expected, abs=1e-9)
    # Of another question, where it is not unknown, that answer is evidence.
    assert after[2].shares["DEU"] != pytest.approx(before[2].shares["DEU"], abs=1e-3)
    assert before[1].evidence >= before[2].evidence


def test_what_people_said_to_a_withheld_question_does_not_move_what_is_related(
    tmp_path: Path,
) -> None:
    library = random_library(n_questions=6, n_cultures=3, n_options=4)
    asked = next(iter(library.questions.values()))
    vectors = HashEncoder().encode([asked.text, *asked.options]).astype(np.float64)

    def relate(answers: SurveyLibrary, *, withhold: bool) -> tuple[float, ...]:
        folder = tmp_path / f"{id(answers)}"
        estimator = open_for(answers, folder)
        return estimator.relate(vectors[0], vectors[1:], "DEU", withhold=withhold).shares

    poisoned = poison(library, asked)
    assert relate(poisoned, withhold=True) == pytest.approx(relate(library, withhold=True))
    assert relate(poisoned, withhold=False) != pytest.approx(
        relate(library, withhold=False), abs=0.01
    )


def test_whether_there_is_an_answer_is_known_without_estimating_one(tmp_path: Path) -> None:
    whole = random_library(n_questions=6, n_cultures=3, n_options=4)
    # How many were asked each question.
    n_asked = dict(zip(whole.questions, (3, 2, 1, 0, 3, 3), strict=True))
    [pack] = whole.packs
    cells = tuple(
        cell
        for cell in pack.distributions
        if whole.cultures.index(cell.culture) < n_asked[cell.question]
    )
    library = SurveyLibrary([Pack(pack.manifest, pack.questions, cells)], whole.catalogue)
    estimator = open_for(library, tmp_path)

    found = []
    for question in library.questions.values():
        for culture in library.cultures:
            people = estimator.find_people(question, culture)
            others = estimator.transfer(question, culture)
            asked_of = library.cultures_of(question.key)
            assert (culture in asked_of) == (people is not None)
            assert bool({*asked_of} - {culture}) == (others is not None)
            found.append((people is not None, others is not None))
    assert set(found) == {(True, True), (True, False), (False, True), (False, False)}
