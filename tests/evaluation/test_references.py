"""References on a tiny pack by hand, and on the released items against the known scores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from statistics import mean

import pytest

from evaluation.asking import Ask, Condition, Response
from evaluation.references import References
from survey_data.errors import PackMissing
from survey_data.library import SurveyLibrary
from survey_data.similarity import CultureSimilarity, alignment_score

MakeLibrary = Callable[..., SurveyLibrary]

NAMES = [
    "uniform",
    "prior by option count",
    "world mean",
    "most similar country",
    "nearest exemplars",
]


def none_barred(key: str) -> frozenset[str]:
    return frozenset()


def references(
    library: SurveyLibrary,
    *,
    cultures: Sequence[str] = (),
    barred: Callable[[str], frozenset[str]] = none_barred,
    nearest: Sequence[str] = (),
    k: int = 5,
) -> dict[str, Condition]:
    found = References(
        library,
        library.packs[0].manifest.id,
        cultures or library.cultures,
        barred=barred,
        nearest=lambda key: nearest,
        k=k,
    ).make_conditions()
    return {condition.name: condition for condition in found}


async def answered(condition: Condition, library: SurveyLibrary, key: str, who: str) -> Response:
    question = library.questions[key]
    order = tuple(range(len(question.options)))
    request = await condition.respondent.request(Ask(None, who, question, order))
    return await condition.respondent.respond(request)


@pytest.fixture
def tiny(make_library: MakeLibrary) -> SurveyLibrary:
    """Three questions of three options and one of two; Italy was not asked the first."""
    return make_library(
        {
            "DEU": [(0.1, 0.2, 0.7), (0.8, 0.1, 0.1), (0.2, 0.6, 0.2), (0.9, 0.1)],
            "FRA": [(0.5, 0.3, 0.2), (0.6, 0.2, 0.2), (0.0, 0.2, 0.8), (0.7, 0.3)],
            "ITA": [None, (0.9, 0.1, 0.0), (0.1, 0.7, 0.2), (0.6, 0.4)],
            "NGA": [(0.2, 0.6, 0.2), (0.0, 0.1, 0.9), (0.4, 0.3, 0.3), (0.3, 0.7)],
        }
    )


def test_there_are_five_in_a_fixed_order(tiny: SurveyLibrary) -> None:
    found = references(tiny)

    assert list(found) == NAMES
    assert {condition.kind for condition in found.values()} == {"reference"}
    assert [condition.respondent.name for condition in found.values()] == NAMES
    assert all(condition.recipe is None for condition in found.values())


@pytest.mark.parametrize("name", NAMES)
async def test_one_request_serves_all_orders_and_seeds(tiny: SurveyLibrary, name: str) -> None:
    respondent = references(tiny)[name].respondent
    question = tiny.questions["tiny:Q0"]
    one = await respondent.request(Ask(None, "DEU", question, (0, 1, 2)))
    same = await respondent.request(Ask(None, "DEU", question, (2, 1, 0), seed=3))

    assert one == same
    assert await respondent.respond(one) == await respondent.respond(same)


async def test_another_answer_is_another_request(tiny: SurveyLibrary) -> None:
    respondent = references(tiny)["most similar country"].respondent
    question = tiny.questions["tiny:Q0"]
    german, french = [
        await respondent.request(Ask(None, code, question, (0, 1, 2))) for code in ("DEU", "FRA")
    ]

    assert await respondent.respond(german) != await respondent.respond(french)
    assert german.digest != french.digest


@pytest.mark.parametrize(("key", "option", "n"), [("tiny:Q0", 1, 3), ("tiny:Q3", 0, 2)])
async def test_uniform_chooses_the_lower_middle(
    tiny: SurveyLibrary, key: str, option: int, n: int
) -> None:
    response = await answered(references(tiny)["uniform"], tiny, key, "DEU")

    assert response.option == option
    assert response.shares == pytest.approx((1 / n,) * n)


async def test_the_prior_is_over_other_cultures_and_other_questions(tiny: SurveyLibrary) -> None:
    # Q1 and Q2 of France, Italy and Nigeria:
    # (0.6 + 0 + 0.9 + 0.1 + 0 + 0.4)/6 = 2/6, (0.2 + 0.2 + 0.1 + 0.7 + 0.1 + 0.3)/6 = 1.6/6
    response = await answered(references(tiny)["prior by option count"], tiny, "tiny:Q0", "DEU")

    assert response.shares == pytest.approx((2 / 6, 1.6 / 6, 2.4 / 6))
    assert response.option == 2


async def test_the_prior_leaves_out_what_is_barred_or_was_not_asked(tiny: SurveyLibrary) -> None:
    found = references(tiny, barred=lambda key: frozenset({"tiny:Q2"}))
    # Of Q0, France and Nigeria alone: (0.7, 0.9, 0.4)/2.
    response = await answered(found["prior by option count"], tiny, "tiny:Q1", "DEU")

    assert response.shares == pytest.approx((0.35, 0.45, 0.2))
    assert response.option == 1


async def test_without_any_like_question_the_prior_is_uniform(tiny: SurveyLibrary) -> None:
    response = await answered(references(tiny)["prior by option count"], tiny, "tiny:Q3", "DEU")

    assert response.shares == (0.5, 0.5)
    assert response.option == 0


async def test_the_world_mean_rounds_the_mean_of_modal_numbers(tiny: SurveyLibrary) -> None:
    # France, Italy and Nigeria on Q2: numbers 3, 2 and 1, mean 2; shares (0.5, 1.2, 1.3)/3.
    response = await answered(references(tiny)["world mean"], tiny, "tiny:Q2", "DEU")

    assert response.option == 1
    assert response.shares == pytest.approx((0.5 / 3, 1.2 / 3, 1.3 / 3))


@pytest.mark.parametrize(
    ("first_number", "option"),
    [
        (1, 1),  # numbers 1 and 2, mean 1.5, rounded to the even 2: index 1
        (0, 0),  # numbers 0 and 1, mean 0.5, rounded to the even 0: index 0
    ],
)
async def test_a_half_is_rounded_to_the_even_number(
    make_library: MakeLibrary, first_number: int, option: int
) -> None:
    library = make_library(
        {"DEU": [(0.0, 0.0, 1.0)], "FRA": [(0.6, 0.4, 0.0)], "ITA": [(0.4, 0.6, 0.0)]},
        first_number=first_number,
    )
    response = await answered(references(library)["world mean"], library, "tiny:Q0", "DEU")

    assert response.option == option


async def test_only_the_given_cultures_are_looked_at(tiny: SurveyLibrary) -> None:
    found = references(tiny, cultures=("DEU", "NGA"))

    for name in ("world mean", "most similar country"):
        response = await answered(found[name], tiny, "tiny:Q1", "DEU")
        assert response.shares == pytest.approx((0.0, 0.1, 0.9))
        assert response.option == 2


def test_with_nobody_else_there_is_no_world(tiny: SurveyLibrary) -> None:
    alone = set(references(tiny, cultures=("DEU",)))

    assert set(NAMES) - alone == {"world mean", "most similar country"}


async def test_with_nobody_else_the_prior_is_uniform(tiny: SurveyLibrary) -> None:
    found = references(tiny, cultures=("DEU",))
    response = await answered(found["prior by option count"], tiny, "tiny:Q0", "DEU")

    assert response == await answered(found["uniform"], tiny, "tiny:Q0", "DEU")


async def test_the_most_similar_country_answers_for_the_culture(tiny: SurveyLibrary) -> None:
    # Modes DEU 2 0 1 0, FRA 0 0 2 0, ITA - 0 1 0, NGA 1 2 0 1. From DEU, ITA is at no distance.
    response = await answered(references(tiny)["most similar country"], tiny, "tiny:Q2", "DEU")

    assert response == Response(option=1, shares=(0.1, 0.7, 0.2))


async def test_where_it_was_not_asked_the_next_most_similar_does(tiny: SurveyLibrary) -> None:
    # Missed: FRA 4 + 1 = 5, NGA 1 + 4 + 1 + 1 = 7 of the same widest: FRA is next.
    response = await answered(references(tiny)["most similar country"], tiny, "tiny:Q0", "DEU")

    assert response == Response(option=0, shares=(0.5, 0.3, 0.2))


async def test_the_nearest_exemplars_are_the_cultures_own(tiny: SurveyLibrary) -> None:
    # Q0 itself and the two options of Q3 are passed over: (0.2 + 0.8)/2, (0.6 + 0.1)/2, ...
    found = references(tiny, nearest=["tiny:Q0", "tiny:Q3", "tiny:Q2", "tiny:Q1", "none:Q9"])
    response = await answered(found["nearest exemplars"], tiny, "tiny:Q0", "DEU")

    assert response.shares == pytest.approx((0.5, 0.35, 0.15))
    assert response.option == 0


async def test_no_more_than_k_exemplars_are_averaged(tiny: SurveyLibrary) -> None:
    found = references(tiny, nearest=["tiny:Q2", "tiny:Q1"], k=1)
    response = await answered(found["nearest exemplars"], tiny, "tiny:Q0", "DEU")

    assert response.shares == (0.2, 0.6, 0.2)
    assert response.option == 1


async def test_without_any_exemplar_the_prior_answers(tiny: SurveyLibrary) -> None:
    found = references(tiny, nearest=["tiny:Q1"], barred=lambda key: frozenset({"tiny:Q1"}))
    response = await answered(found["nearest exemplars"], tiny, "tiny:Q0", "DEU")

    # Q2 of France, Italy and Nigeria.
    assert response.shares == pytest.approx((0.5 / 3, 1.2 / 3, 1.3 / 3))
    assert response == await answered(found["prior by option count"], tiny, "tiny:Q0", "DEU")


def test_arguments_that_make_no_sense_are_refused(tiny: SurveyLibrary) -> None:
    with pytest.raises(PackMissing):
        References(tiny, "other", (), barred=none_barred, nearest=lambda key: ())
    with pytest.raises(ValueError, match="k is 0"):
        references(tiny, k=0)


def everything(key: str, culture: str) -> bool:
    return True


def averaged_score(
    condition: Condition,
    library: SurveyLibrary,
    *,
    counts: Callable[[str, str], bool] = everything,
) -> float:
    async def scored(culture: str) -> float:
        chosen, gold, n_options = [], [], []
        for key in library.keys_of(culture):
            if not counts(key, culture):
                continue
            response = await answered(condition, library, key, culture)
            people = library.distribution(key, culture)
            assert people is not None
            assert response.shares is not None
            assert sum(response.shares) == pytest.approx(1.0)
            assert response.option is not None
            chosen.append(response.option)
            gold.append(people.mode)
            n_options.append(len(response.shares))
        return alignment_score(chosen, gold, n_options)

    return mean(asyncio.run(scored(culture)) for culture in library.cultures)


@pytest.mark.parametrize(
    ("name", "score"),
    [("uniform", 58.0916), ("world mean", 71.0852), ("most similar country", 75.8573)],
)
def test_the_known_scores_of_the_released_items(
    released: SurveyLibrary, name: str, score: float
) -> None:
    found = averaged_score(references(released)[name], released)

    assert 100 * found == pytest.approx(score, abs=5e-5)


def test_over_what_the_most_similar_country_was_asked_its_score_is_its_similarity(
    released: SurveyLibrary,
) -> None:
    similarity = CultureSimilarity(released)
    first = {code: similarity.contrast(code).most_similar[0] for code in released.cultures}
    condition = references(released)["most similar country"]

    found = averaged_score(
        condition,
        released,
        counts=lambda key, culture: released.distribution(key, first[culture]) is not None,
    )

    best = mean(max(similarity.scores(code).values()) for code in released.cultures)
    assert 100 * found == pytest.approx(best)
    assert 100 * found == pytest.approx(75.9057, abs=5e-5)


def test_the_prior_gives_an_answer_to_every_released_item(released: SurveyLibrary) -> None:
    assert 0.0 < averaged_score(references(released)["prior by option count"], released) < 1.0


async def test_the_most_similar_country_is_that_of_the_prompts(released: SurveyLibrary) -> None:
    first = CultureSimilarity(released).contrast("USA").most_similar[0]
    condition = references(released)["most similar country"]
    response = await answered(condition, released, "released:Q1", "USA")
    people = released.distribution("released:Q1", first)

    assert people is not None
    assert response.shares == people.shares
