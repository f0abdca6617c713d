from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from mini_model.held_out import Cell, Exam, Floats
from mini_model.order_report import N_SHOWN, measure_shifts
from survey_data.split import read_split
from tests.mini_model.pools import HashEncoder, small_tokenizer

AS_SERVED, NEAREST_LAST, TURNED = "as served", "nearest exemplar last", "options turned"


@cache
def exam() -> Exam:
    found = Exam.load(small_tokenizer(), HashEncoder(), read_split())
    return Exam(found.cells[::10], found.words)


def culture_of(cell: Cell) -> str:
    return cell.exemplars[0].distribution.culture


@cache
def usual() -> dict[tuple[str, str], Cell]:
    return {(cell.question.key, culture_of(cell)): cell for cell in exam().cells}


def by_meaning(cell: Cell) -> Floats:
    """The people's own shares, whatever comes first."""
    right = usual()[cell.question.key, culture_of(cell)]
    is_turned = cell.question.options != right.question.options
    return right.wanted[::-1] if is_turned else right.wanted


def test_the_exam_is_of_held_out_questions_and_peoples() -> None:
    assert {culture_of(cell) for cell in exam().cells} <= {"DEU", "KEN", "MEX", "THA"}
    assert len(exam().cells) >= 15


def test_who_answers_by_meaning_is_moved_by_no_order() -> None:
    found = measure_shifts(exam(), by_meaning)

    assert list(found) == [AS_SERVED, NEAREST_LAST, TURNED]
    for shift in found.values():
        assert shift.js == pytest.approx(1.0)
        assert (shift.shift, shift.changed) == (0.0, 0.0)


def test_who_always_takes_the_first_option_is_moved_by_their_direction_alone() -> None:
    def first(cell: Cell) -> Floats:
        chosen: Floats = np.eye(len(cell.question.options))[0]
        return chosen

    found = measure_shifts(exam(), first)

    assert (found[NEAREST_LAST].shift, found[NEAREST_LAST].changed) == (0.0, 0.0)
    assert (found[TURNED].shift, found[TURNED].changed) == (1.0, 1.0)
    assert found[AS_SERVED].js < 1.0


def test_the_same_exemplars_are_shown_the_other_way_round() -> None:
    shown: list[tuple[str, ...]] = []

    def note(cell: Cell) -> Floats:
        shown.append(tuple(e.question.key for e in cell.exemplars[:N_SHOWN]))
        return by_meaning(cell)

    measure_shifts(exam(), note)

    n = len(exam().cells)
    as_served, nearest_last, turned = shown[:n], shown[n : 2 * n], shown[2 * n :]
    assert nearest_last == [keys[::-1] for keys in as_served]
    assert turned == as_served
