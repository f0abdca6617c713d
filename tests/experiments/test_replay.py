"""Replays of made-up answers: means, pairs and intervals against values worked out by hand."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from estimation.source import Source
from experiments.analysis.result import SourceCount
from experiments.definition import Experiment
from experiments.replay.page import render_replay
from experiments.replay.pairing import estimate_mean, summarise_replay
from experiments.replay.report import print_replay
from experiments.replay.result import Replay
from experiments.replay.rows import ReplayRow
from tests.experiments.simulated import two_arms

EVIL = "<script>alert('x')</script>"


def a_row(arm: str = "plain", question: str = "q1", culture: str = "DEU", **more: Any) -> ReplayRow:
    return ReplayRow(request=question, question=question, culture=culture, arm=arm, **more)


def rows_of(alignments: dict[str, Sequence[float | None]], culture: str = "DEU") -> list[ReplayRow]:
    """Rows of questions q0, q1, …; arm → alignment by question."""
    return [
        a_row(arm, f"q{at}", culture, alignment=value)
        for arm, values in alignments.items()
        for at, value in enumerate(values)
    ]


def found(rows: Sequence[ReplayRow], experiment: Experiment | None = None, **more: Any) -> Replay:
    given: dict[str, Any] = {"made_ms": 0, "source": "made up", "model": "mini", "seed": 0}
    given["n_planned"] = len({(row.request, row.culture) for row in rows})
    return summarise_replay(rows, experiment or two_arms(), **(given | more))


def difference(replay: Replay, metric: str = "alignment") -> tuple[float | None, ...]:
    span = replay.arms[1].differences[metric].span
    return span.estimate, span.low, span.high


def test_an_interval_is_students_t_over_questions() -> None:
    # Values 0.1, 0.2, 0.3: mean 0.2, standard deviation 0.1, standard error 0.1 / sqrt(3) =
    # 0.0577350; t with 2 degrees of freedom leaves 2.5 % above 4.302653: reach 0.2484138.
    span = estimate_mean([("a", 0.1), ("b", 0.2), ("c", 0.3)]).span

    assert span.estimate == pytest.approx(0.2)
    assert span.low == pytest.approx(0.2 - 0.2484138)
    assert span.high == pytest.approx(0.2 + 0.2484138)


def test_a_question_counts_once_however_many_cultures_it_was_asked_for() -> None:
    # Question a: mean of 0.0, 0.2 and 0.4 is 0.2. Question b: 0.4. Their mean is 0.3, where that
    # of the four values is 0.25. Deviations of 0.1: standard deviation 0.1414214, error 0.1;
    # t with 1 degree of freedom 12.706205: reach 1.2706205.
    estimate = estimate_mean([("a", 0.0), ("a", 0.2), ("a", 0.4), ("b", 0.4)])

    assert estimate.span.estimate == pytest.approx(0.3)
    assert estimate.span.high == pytest.approx(0.3 + 1.2706205)
    assert (estimate.n, estimate.n_questions) == (4, 2)


def test_the_difference_is_that_of_pairs() -> None:
    # The levels differ much between questions, the differences 0.1 and 0.2 little: mean 0.15,
    # error 0.05, reach 12.706205 * 0.05 = 0.6353102.
    replay = found(rows_of({"plain": [0.1, 0.7], "icl": [0.2, 0.9]}))

    assert difference(replay) == pytest.approx((0.15, 0.15 - 0.6353102, 0.15 + 0.6353102))
    assert replay.arms[0].differences == {}


def test_a_pair_is_of_requests_that_both_arms_have_a_value_for() -> None:
    rows = rows_of({"plain": [0.1, None, 0.5, 0.4], "icl": [0.2, 0.9, None, 0.6]})

    replay = found(rows)

    # Pairs: the first question (0.1) and the last one (0.2).
    assert difference(replay)[0] == pytest.approx(0.15)
    assert replay.arms[1].differences["alignment"].n == 2
    assert [arm.levels["alignment"].n for arm in replay.arms] == [3, 3]


def test_truths_are_counted_as_0_and_1() -> None:
    rows = [
        a_row("plain", "q1", readable=False, refused=True),
        a_row("plain", "q2", fell_back=True),
        a_row("icl", "q1"),
        a_row("icl", "q2", refused=False),
    ]

    levels = found(rows).arms[0].levels

    assert levels["unreadable"].span.estimate == 0.5
    assert levels["fell_back"].span.estimate == 0.5
    # Not looked at for the second question.
    assert (levels["refused"].span.estimate, levels["refused"].n) == (1.0, 1)


def test_a_metric_that_no_answer_has_is_left_out() -> None:
    replay = found([a_row("plain"), a_row("icl")])

    assert "alignment" not in replay.arms[0].levels
    assert "latency_ms" in replay.arms[0].levels
    assert replay.cultures == ()
    assert replay.offline() == {}


def test_one_question_gives_an_estimate_without_an_interval() -> None:
    replay = found(rows_of({"plain": [0.1], "icl": [0.3]}))

    assert difference(replay)[0] == pytest.approx(0.2)
    assert difference(replay)[1:] == (None, None)
    assert replay.offline() == {}


def test_questions_that_do_not_differ_give_an_interval_without_width() -> None:
    replay = found(rows_of({"plain": [0.25, 0.25], "icl": [0.5, 0.5]}))

    assert difference(replay) == (0.25, 0.25, 0.25)


def test_no_rows_give_no_numbers() -> None:
    replay = found([], n_planned=3)

    assert (replay.n_requests, replay.n_planned, replay.has_answers) == (0, 3, False)
    assert [arm.levels for arm in replay.arms] == [{}, {}]
    assert replay.same_shown is None


def test_failed_answers_are_counted_and_in_no_mean() -> None:
    rows = [
        a_row("plain", "q1", latency_ms=10.0),
        a_row("icl", "q1", latency_ms=30.0),
        a_row("plain", "q2", latency_ms=10.0),
        a_row("icl", "q2", failed="no server", latency_ms=5000.0),
    ]

    replay = found(rows)

    icl = replay.arms[1]
    assert (icl.n_answers, icl.n_failed) == (1, 1)
    assert icl.levels["latency_ms"].span.estimate == 30.0
    assert icl.differences["latency_ms"].n == 1
    assert [(f.arm, f.reason, f.n) for f in replay.failures] == [("icl", "no server", 1)]


def test_where_everything_failed_there_is_nothing_but_reasons() -> None:
    rows = [a_row(arm, f"q{at}", failed="gone") for arm in ("plain", "icl") for at in range(3)]

    replay = found(rows)

    assert not replay.has_answers
    assert replay.arms[1].levels == {}
    assert [failure.n for failure in replay.failures] == [3, 3]


def test_requests_that_not_every_arm_was_asked_are_left_out() -> None:
    rows = [*rows_of({"plain": [0.1, 0.2], "icl": [0.3, 0.4]}), a_row("plain", "q9", alignment=0.9)]

    replay = found(rows, n_planned=5)

    assert (replay.n_requests, replay.n_planned) == (2, 5)
    assert replay.arms[0].n_answers == 2


def test_the_same_rows_in_another_order_give_the_same_replay() -> None:
    generator = np.random.default_rng(7)
    values = {arm: generator.random(20).tolist() for arm in ("plain", "icl")}
    rows = [*rows_of(values), *rows_of(values, culture="BRA")]
    mixed = [rows[place] for place in generator.permutation(len(rows))]

    assert found(mixed) == found(rows)


def test_cultures_have_alignments_of_their_own() -> None:
    rows = [
        *rows_of({"plain": [0.1, 0.3], "icl": [0.2, 0.4]}, "DEU"),
        *rows_of({"plain": [0.5, 0.7], "icl": [0.4, 0.2]}, "BRA"),
    ]

    brazil, germany = found(rows, cultures={"BRA": "Brazil", "DEU": "Germany"}).cultures

    assert (brazil.name, germany.name) == ("Brazil", "Germany")
    assert germany.differences["icl"].span.estimate == pytest.approx(0.1)
    assert brazil.differences["icl"].span.estimate == pytest.approx(-0.3)
    assert brazil.levels["plain"].span.estimate == pytest.approx(0.6)


def test_it_is_counted_where_arms_showed_the_same_exemplars() -> None:
    rows = [
        a_row("plain", "q1", shown=("a", "b")),
        a_row("icl", "q1", shown=("a", "b")),
        a_row("plain", "q2", shown=("a", "b")),
        a_row("icl", "q2", shown=("b", "a")),
        # One arm alone has nothing to compare with.
        a_row("plain", "q3"),
        a_row("icl", "q3", shown=("a",)),
    ]

    replay = found(rows)

    assert (replay.n_shown, replay.same_shown) == (2, 0.5)


def test_the_experiments_report_gets_alignment_with_its_source() -> None:
    replay = found(rows_of({"plain": [0.49, 0.51], "icl": [0.5, 0.9]}), source="2 questions of x")

    offline = replay.offline()

    # 0.5 +- 12.706205 * 0.01 and 0.7 +- 12.706205 * 0.2, of which no more than 0 to 1 is possible.
    assert offline["plain"].estimate == 0.5
    assert offline["plain"].high == pytest.approx(0.5 + 0.12706205)
    assert (offline["icl"].low, offline["icl"].high) == (0.0, 1.0)
    assert offline["icl"].source == "2 questions of x"


def test_an_arm_that_answers_otherwise_now_has_no_alignment_offline() -> None:
    experiment = two_arms()
    plain, icl = experiment.arms
    changed = replace(experiment, arms=(plain, replace(icl, recipe=replace(icl.recipe, k=9))))

    replay = found(rows_of({"plain": [0.4, 0.6], "icl": [0.5, 0.9]}), experiment)

    assert set(replay.offline(two_arms(weights=(0.1, 0.9)))) == {"plain", "icl"}
    assert set(replay.offline(changed)) == {"plain"}


def test_a_replay_comes_back_from_json_as_it_was() -> None:
    replay = found(rows_of({"plain": [0.4, 0.6], "icl": [0.5, None]}))

    assert Replay.model_validate_json(replay.model_dump_json()) == replay


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Questions differ, and the cultures of a question are alike: its answers are no four proofs.

    Taken as independent, the answers would give intervals half as wide, which hold it in 2 of 3.
    """
    generator, truth, n_runs = np.random.default_rng(11), 0.05, 400
    n_questions, cultures = 12, ("BRA", "DEU", "IND", "JPN")
    n_held = n_narrow = 0
    for _ in range(n_runs):
        own = generator.normal(truth, 0.1, n_questions)
        values = own[:, None] + generator.normal(0.0, 0.02, (n_questions, len(cultures)))
        rows = [
            row
            for place, culture in enumerate(cultures)
            for row in rows_of(
                {"plain": [0.5] * n_questions, "icl": (0.5 + values[:, place]).tolist()}, culture
            )
        ]
        estimate, low, high = difference(found(rows))
        assert estimate is not None
        assert low is not None
        assert high is not None
        n_held += low <= truth <= high
        reach = 2.01 * float(values.std(ddof=1)) / math.sqrt(values.size)
        n_narrow += abs(estimate - truth) <= reach

    assert 0.92 <= n_held / n_runs <= 0.98
    assert n_narrow / n_runs < 0.8


def printed(replay: Replay, width: int = 120) -> str:
    file = io.StringIO()
    print_replay(replay, Console(file=file, width=width))
    return file.getvalue()


@pytest.mark.parametrize(
    ("icl", "said"),
    [
        ([0.51, 0.62, 0.71], "Nearer to people than plain: icl (+0.113)."),
        ([0.29, 0.39, 0.41], "Farther from people than plain: icl (\N{MINUS SIGN}0.137)."),
        ([0.2, 0.9, 0.6], "Not told apart from plain: icl (+0.0667)."),
    ],
)
def test_the_report_says_first_which_arms_are_nearer_to_people(icl: list[float], said: str) -> None:
    replay = found(rows_of({"plain": [0.4, 0.5, 0.6], "icl": icl}))

    assert printed(replay).splitlines()[0] == f"ways: {said}"
    assert said in render_replay(replay)


def test_the_report_says_that_alignment_is_not_known() -> None:
    replay = found([a_row(arm, f"q{at}") for arm in ("plain", "icl") for at in range(2)])

    assert "is not known" in printed(replay)
    assert "<svg" not in render_replay(replay)


def test_the_report_of_failures_alone_says_so() -> None:
    replay = found([a_row("plain", failed="gone"), a_row("icl", failed="gone")])

    text = printed(replay)
    assert "No request was answered." in text
    assert "icl, 1 request: gone" in text
    assert "No request was answered." in render_replay(replay)


def test_the_report_says_where_answers_fell_back() -> None:
    rows = [a_row("plain"), a_row("icl", fell_back=True, because="nothing is near")]
    text = printed(found(rows))

    assert "Fell back: icl 100.0 %" in text
    assert "icl, 1 request: nothing is near" in text


def test_the_report_of_a_run_that_was_ended_says_so() -> None:
    replay = found(rows_of({"plain": [0.4, 0.5], "icl": [0.5, 0.7]}), n_planned=200)

    assert "2 of 200 requests: ended before" in printed(replay)


def test_answers_that_are_the_peoples_own_figures_are_counted_apart() -> None:
    own: dict[str, Any] = {
        "source": Source.SURVEY,
        "best_source": Source.SURVEY,
        "model_asked": False,
    }
    by_model: dict[str, Any] = {
        "source": Source.MODEL,
        "best_source": Source.SURVEY,
        "model_asked": True,
    }
    rows = [
        *(a_row("plain", f"q{at}", alignment=0.5 + at / 10, **by_model) for at in range(3)),
        *(a_row("icl", f"q{at}", **own) for at in range(2)),
        a_row("icl", "q2", failed="gone", source=Source.SURVEY, best_source=Source.SURVEY),
    ]

    replay = found(rows)

    plain, icl = replay.arms
    assert plain.sources == (
        SourceCount(source=Source.SURVEY, n_answers=0, n_best=3),
        SourceCount(source=Source.MODEL, n_answers=3, n_best=0),
    )
    assert icl.sources == (SourceCount(source=Source.SURVEY, n_answers=2, n_best=2),)
    assert (plain.n_model_asked, icl.n_model_asked) == (3, 0)
    assert set(replay.offline()) == {"plain"}
    assert "no request has an alignment by control and another." in printed(replay)
    for text in (printed(replay), render_replay(replay)):
        assert "Answers stand on" in text
        assert "Counted apart, without alignment" in text
        assert "2 answers of icl." in text
        assert "nearer to people" not in text


def test_a_replay_from_before_sources_is_read() -> None:
    replay = found(rows_of({"plain": [0.4, 0.5], "icl": [0.5, 0.7]}))
    kept = replay.model_dump()
    for arm in kept["arms"]:
        del arm["sources"], arm["n_model_asked"]

    assert Replay.model_validate(kept) == replay
    assert "Answers stand on" not in render_replay(replay)


def test_the_plot_shows_all_cultures_and_each_one() -> None:
    rows = [
        *rows_of({"plain": [0.1, 0.3], "icl": [0.2, 0.4]}, "DEU"),
        *rows_of({"plain": [0.5, 0.7], "icl": [0.4, 0.2]}, "BRA"),
    ]

    page = render_replay(found(rows, cultures={"BRA": "Brazil", "DEU": "Germany"}))

    plot = page[page.index("<svg") : page.index("</svg>")]
    # The largest difference first, after that over all.
    places = [plot.index(f">{name}<") for name in ("All cultures", "Germany", "Brazil")]
    assert places == sorted(places)


def test_no_text_becomes_markup() -> None:
    rows = [a_row("plain", alignment=0.5), a_row("icl", failed=EVIL)]
    page = render_replay(
        found(rows, source=EVIL, model=EVIL, notes=(EVIL,), cultures={"DEU": EVIL})
    )

    tags = _Tags()
    tags.feed(page)

    assert "script" not in tags.seen
    assert "alert" in page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
