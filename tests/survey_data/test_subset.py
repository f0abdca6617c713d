"""The grammar of conditions: what is read, how it is written again, what is refused."""

from __future__ import annotations

import pytest

from survey_data.errors import ConditionInvalid
from survey_data.importers.subset import describe_population, make_id_part, read_condition


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Q260==2", "Q260 == 2"),
        ("  Q262   >= 50.5 ", "Q262 >= 50.5"),
        ("J_INTDATE<20200101", "J_INTDATE < 20200101"),
        ("Q275 in[6,7, 8]", "Q275 in [6, 7, 8]"),
        ('B_COUNTRY_ALPHA in [DEU, "FRA"]', "B_COUNTRY_ALPHA in ['DEU', 'FRA']"),
        ('X != "it\'s"', 'X != "it\'s"'),
        ("X == 'a, b'", "X == 'a, b'"),
    ],
)
def test_a_condition_is_written_in_one_way(text: str, shown: str) -> None:
    assert str(read_condition(text)) == shown
    assert str(read_condition(shown)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Q260",
        "Q260 = 2",
        "Q260 == ",
        "== 2",
        "Q260 == 2 or Q260 == 1",
        "Q260 == __import__('os')",
        "Q260 == 1, 2",
        "Q260 in 1",
        "Q260 in []",
        "Q260 in [1, ]",
        "Q260 in [1 2]",
        "Q260 in [1, DEU]",
        "Q260 == -1",
        "Q260 in [1, -2]",
        "X < DEU",
        "X == 'a",
        "Q260 == 2; x",
        "Q260 == nan()",
    ],
)
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(ConditionInvalid):
        read_condition(text)


def test_conditions_together_are_a_population() -> None:
    conditions = [read_condition("Q260 == 2"), read_condition("Q275 in [6, 7]")]
    assert describe_population(conditions) == "Q260 == 2 and Q275 in [6, 7]"
    assert make_id_part(conditions) == "q260-eq-2-and-q275-in-6-7"
    assert describe_population([]) == make_id_part([]) == ""
