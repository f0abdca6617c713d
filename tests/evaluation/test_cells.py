"""Figures of hand-made answers, worked out in comments."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.asking import Condition, Response
from evaluation.cells import Cells, read_cells
from evaluation.decoding import ReadBy, ReadingRules
from evaluation.run_folder import AskKey, AskRecord, RunAnswers
from evaluation.runner import RunPlan
from evaluation.steering import measure_steering, similarity_matrix
from survey_data.distances import distribution_similarity
from survey_data.library import SurveyLibrary
from tests.evaluation.surveys import CULTURES, KEYS, NoEncoder, tiny_library

OWN = (0, 1, 2, 3)
BACK = (3, 2, 1, 0)


def cells_of(
    *responses: Response,
    library: SurveyLibrary | None = None,
    read_by: ReadBy = ReadBy.LOGPROBS,
    orders: tuple[tuple[int, ...], ...] = (OWN,),
) -> Cells:
    """The cells of DEU answering Q0, where 70 % said the first of four options."""
    library = library or tiny_library()
    condition = Condition("icl", "method", NoEncoder())  # type: ignore[arg-type]  # never asked
    plan = RunPlan(
        (condition,), ("DEU",), (library.questions["tiny:Q0"],), library, n_orders=len(orders)
    )
    keys = [AskKey("icl", "DEU", "tiny:Q0", order, 0) for order in orders]
    names = [str(i) for i in range(len(responses))]
    return read_cells(
        plan,
        condition,
        RunAnswers(
            {key: AskRecord(n, (), True) for key, n in zip(keys, names, strict=True)},
            dict(zip(names, responses, strict=True)),
        ),
        ReadingRules(read_by),
    )


def log(*shares: float) -> tuple[float, ...]:
    return tuple(math.log(share) for share in shares)


def test_the_peoples_own_shares_score_full_marks() -> None:
    cells = cells_of(Response(logprobs=log(0.7, 0.1, 0.1, 0.1)))

    assert cells.similarity[0, 0] == pytest.approx(1.0)
    assert cells.wasserstein[0, 0] == pytest.approx(0.0)
    assert (cells.exact[0, 0], cells.soft[0, 0], cells.missed[0, 0]) == (1.0, 1.0, 0.0)
    assert (cells.widest[0, 0], cells.position[0, 0], cells.unreadable[0, 0]) == (9.0, 0.0, 0.0)


def test_the_third_option_misses_the_first_by_two() -> None:
    cells = cells_of(Response(text="3"))

    # (2 - 0)^2 = 4 of (4 - 1)^2 = 9; soft 1 - 2/3; position 2/3.
    assert (cells.missed[0, 0], cells.exact[0, 0]) == (4.0, 0.0)
    assert cells.soft[0, 0] == pytest.approx(1 / 3)
    assert cells.position[0, 0] == pytest.approx(2 / 3)
    # All in the third place against 0.7, 0.1, 0.1, 0.1: 0.7 moves by 2, the other 0.2 by 1 each.
    assert cells.wasserstein[0, 0] == pytest.approx((0.7 * 2 + 0.1 + 0.1) / 3)
    assert cells.shares[0, 0].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_an_unreadable_answer_counts_against_the_method() -> None:
    cells = cells_of(Response(text="As an AI language model I cannot answer."))

    assert (cells.unreadable[0, 0], cells.refused[0, 0]) == (1.0, 1.0)
    assert (cells.similarity[0, 0], cells.exact[0, 0], cells.soft[0, 0]) == (0.0, 0.0, 0.0)
    assert cells.wasserstein[0, 0] == 1.0
    # Only the alignment score is over answers that were read.
    assert np.isnan(cells.missed[0, 0])


def test_a_muddled_answer_is_no_refusal() -> None:
    cells = cells_of(Response(text="perhaps"))

    assert (cells.unreadable[0, 0], cells.refused[0, 0]) == (1.0, 0.0)


def test_no_answer_at_all_is_unreadable() -> None:
    assert cells_of(Response()).unreadable[0, 0] == 1.0


def test_little_label_mass_is_unreadable() -> None:
    cells = cells_of(Response(logprobs=log(0.01, 0.01, 0.01, 0.01)))

    assert cells.unreadable[0, 0] == 1.0


def test_orders_are_averaged_and_their_difference_kept() -> None:
    # The first place gets 0.7 whatever stands there: a pure liking for a place.
    liking = Response(logprobs=log(0.7, 0.1, 0.1, 0.1))

    cells = cells_of(liking, liking, orders=(OWN, BACK))

    # Means: (0.7 + 0.1)/2, 0.1, 0.1, (0.1 + 0.7)/2.
    assert cells.shares[0, 0] == pytest.approx([0.4, 0.1, 0.1, 0.4])
    assert cells.order_flips[0, 0] == 1.0
    # Half of |0.7 - 0.1| + 0 + 0 + |0.1 - 0.7|.
    assert cells.order_shift[0, 0] == pytest.approx(0.6)


def test_a_text_is_read_in_the_order_that_was_shown() -> None:
    cells = cells_of(Response(text="4"), Response(text="1"), orders=(OWN, BACK))

    # The fourth option in its own place, and the first place of the reverse: both 'never'.
    assert cells.position[0, 0] == 1.0
    assert cells.order_flips[0, 0] == 0.0


def test_an_order_that_is_unreadable_counts_by_its_part() -> None:
    given = Response(text="1"), Response(text="I cannot answer that.")

    cells = cells_of(*given, orders=(OWN, BACK))

    assert (cells.unreadable[0, 0], cells.refused[0, 0], cells.exact[0, 0]) == (0.5, 0.5, 0.5)
    whole = cells_of(Response(text="1"))
    assert cells.similarity[0, 0] == pytest.approx(whole.similarity[0, 0] / 2)
    assert cells.wasserstein[0, 0] == pytest.approx((whole.wasserstein[0, 0] + 1.0) / 2)


def test_a_respondent_may_say_that_it_did_not_steer() -> None:
    assert cells_of(Response(option=0, steered=False)).not_steered[0, 0] == 1.0


@pytest.mark.parametrize(("text", "position"), [("Option 3", 2 / 3), ("2.5", 1 / 3), ("-4", 1.0)])
def test_the_published_parser_takes_the_first_digits(text: str, position: float) -> None:
    cells = cells_of(Response(text=text), read_by=ReadBy.PUBLISHED)

    assert cells.position[0, 0] == pytest.approx(position)


@pytest.mark.parametrize("text", ["0", "5", "10", "11", "none"])
def test_a_number_that_is_no_option_is_unreadable(text: str) -> None:
    assert cells_of(Response(text=text), read_by=ReadBy.PUBLISHED).unreadable[0, 0] == 1.0


def test_people_have_shares_in_the_same_form() -> None:
    library = tiny_library(not_asked={"KEN": (0,)})
    plan = RunPlan((), CULTURES, tuple(library.questions.values()), library)

    shares = plan.library.tabulate(plan.questions, plan.cultures)

    assert shares.shape == (len(CULTURES), len(KEYS), 4)
    assert shares[0, 0] == pytest.approx([0.7, 0.1, 0.1, 0.1])
    # MEX, the third culture, says option (2 + 1) mod 4 to Q1.
    assert shares[2, 1] == pytest.approx([0.1, 0.1, 0.1, 0.7])
    assert np.isnan(shares[1, 0]).all()


def test_answers_that_are_the_peoples_own_are_best_at_home() -> None:
    library = tiny_library()
    plan = RunPlan((), CULTURES[:4], tuple(library.questions.values()), library)
    people = plan.library.tabulate(plan.questions, plan.cultures)

    found = measure_steering(CULTURES[:4], people, people)

    assert found is not None
    assert found.own_best_share == 1.0
    assert np.diag(np.array(found.matrix)) == pytest.approx(1.0)


def test_the_matrix_is_the_mean_of_the_metric_over_common_questions() -> None:
    library = tiny_library(not_asked={"KEN": (0, 1)})
    plan = RunPlan((), CULTURES[:3], tuple(library.questions.values()), library)
    people = plan.library.tabulate(plan.questions, plan.cultures)

    matrix = similarity_matrix(people, people)

    both = [
        distribution_similarity(people[0, j].tolist(), people[1, j].tolist()) for j in range(2, 6)
    ]
    assert matrix[0, 1] == pytest.approx(np.mean(both))


def test_one_culture_cannot_be_steered_towards() -> None:
    library = tiny_library()
    plan = RunPlan((), CULTURES[:1], tuple(library.questions.values()), library)

    assert (
        measure_steering(
            ["DEU"],
            plan.library.tabulate(plan.questions, plan.cultures),
            plan.library.tabulate(plan.questions, plan.cultures),
        )
        is None
    )
