from __future__ import annotations

from embedded_model.reader.material import Material
from survey_data.split import read_split


def test_nothing_that_is_held_out_is_taught(taught: Material) -> None:
    held_out = read_split()

    assert held_out.questions.isdisjoint(q.key for q in taught.questions)
    assert held_out.cultures.isdisjoint(c.code for c in taught.cultures)
    assert held_out.questions.isdisjoint(key for key, _ in taught.cells)
    assert held_out.cultures.isdisjoint(code for _, code in taught.cells)


def test_only_held_out_questions_are_examined(examined: Material) -> None:
    asked = {examined.questions[i].key for i in examined.asked}

    assert len(asked) == 50
    assert asked <= read_split().questions


def test_the_nearest_answers_are_to_other_questions_and_a_peoples_own(taught: Material) -> None:
    cells = taught.list_nearest(0, "RUS", 5)

    assert len({cell.question for cell in cells}) == 5
    assert taught.questions[0].key not in {cell.question for cell in cells}
    assert {cell.culture for cell in cells} == {"RUS"}


def test_a_people_that_was_asked_little_shows_little(taught: Material) -> None:
    assert taught.list_nearest(0, "ATA", 5) == []
