from __future__ import annotations

import pytest

from evaluation.figures import BootstrapInterval, Figures
from evaluation.report.summary import compose_summary, state_comparisons, state_verdict
from reports.document import Points, Text
from tests.evaluation.report.made_up import figures, section


def told(made: Figures) -> str:
    blocks = compose_summary(made)
    texts = [f"{block.lead} {block.text}" for block in blocks if isinstance(block, Text)]
    points = [item for block in blocks if isinstance(block, Points) for item in block.items]
    return "\n".join([*texts, *points])


def with_condition(made: Figures, name: str, **update: object) -> Figures:
    first, *others = made.sections
    conditions = tuple(
        c.model_copy(update=update) if c.name == name else c for c in first.conditions
    )
    changed = first.model_copy(update={"conditions": conditions})
    return made.model_copy(update={"sections": (changed, *others)})


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (BootstrapInterval(0.02, 0.001, 0.04), "beats"),
        (BootstrapInterval(0.02, -0.001, 0.04), "does not differ from"),
        (BootstrapInterval(0.02, 0.0, 0.04), "does not differ from"),
        (BootstrapInterval(1e-17, 1e-17, 1e-17), "does not differ from"),
        (BootstrapInterval(-0.02, -0.04, 0.0), "does not differ from"),
        (BootstrapInterval(-0.02, -0.04, -0.001), "is worse than"),
    ],
)
def test_only_an_interval_without_zero_is_a_difference(
    gain: BootstrapInterval, expected: str
) -> None:
    assert state_verdict(gain) == expected


def test_the_statement_flips_when_the_interval_takes_in_zero() -> None:
    surely = with_condition(
        figures(), "icl, shares", over_plain=BootstrapInterval(0.02, 0.01, 0.03)
    )
    maybe = with_condition(
        figures(), "icl, shares", over_plain=BootstrapInterval(0.02, -0.01, 0.05)
    )

    assert "It beats “plain” (0.020 [0.010, 0.030])" in told(surely)
    assert "It does not differ from “plain” (0.020 [\u22120.010, 0.050])" in told(maybe)
    assert "“icl, shares” beats “plain” (0.020 [0.010, 0.030])" in told(surely)
    assert "does not differ from “plain” (0.020 [\u22120.010, 0.050])" in told(maybe)


def test_every_method_is_compared_with_every_reference() -> None:
    statements = state_comparisons(section())
    references = [c.name for c in section().conditions if c.kind == "reference"]
    methods = [c.name for c in section().conditions if c.kind == "method"]

    for name in methods:
        (statement,) = [s for s in statements if s.startswith(f"“{name}” ")]
        assert all(f"“{reference}” (" in statement for reference in references)


def test_a_control_is_compared_with_plain_only() -> None:
    (statement,) = [s for s in state_comparisons(section()) if "reversed" in s]

    assert statement.startswith("The control “icl, shares: answers reversed” is worse than “plain”")
    assert "uniform" not in statement


def test_where_plain_is_best_nothing_is_said_to_beat_it() -> None:
    made = with_condition(figures(), "plain", similarity=BootstrapInterval(0.9, 0.88, 0.92))

    text = told(made)
    assert "“plain” comes nearest to people" in text
    assert "Of 5 other methods 2 beat it, 3 do not differ from it and 0 are worse." in text


def test_the_caveats_of_the_alignment_score_stand_where_there_is_one() -> None:
    made = figures()
    bare = []
    for part in made.sections:
        without = tuple(c.model_copy(update={"alignment": None}) for c in part.conditions)
        bare.append(part.model_copy(update={"conditions": without}))

    assert "73 %" in told(made)
    assert "73 %" not in told(made.model_copy(update={"sections": tuple(bare)}))


def test_unreadable_answers_are_named_or_said_to_be_none() -> None:
    assert "“icl, mode” 1.3 % (0.4 % refused)" in told(figures())
    readable = with_condition(figures(), "icl, mode", unreadable=0.0, refused=0.0)
    assert "Every answer could be read." in told(readable)


def test_diversity_stands_beside_that_of_people() -> None:
    text = told(figures())

    assert "What the people of two cultures chose lies 22.3 % of the scale apart." in text
    assert "9.0 % with “persona”" in text
