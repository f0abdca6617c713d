import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.ability import AbilityPlan, AskedWeights, GeneralRespondent, score_ability
from evaluation.asking import Ask, Request, Response, digest_of
from evaluation.errors import AnswersMissing
from evaluation.figures import Ability
from evaluation.general_questions import GeneralQuestion, general_questions
from evaluation.metrics import spread
from evaluation.run_folder import AskRecord, RunAnswers, ask_key
from evaluation.runner import run_plan
from prompting.labels import LabelScheme
from prompting.recipe import Method
from survey_data.model import Question, Scale
from tests.evaluation.surveys import PaperModel, tiny_library, tiny_plan
from tests.evaluation.test_runner import opened

Say = Callable[[str | None, int], Response]


def question(number: int, *, topic: str = "kind") -> GeneralQuestion:
    """A question whose first option is right."""
    of = Question(f"general:{number}", topic, f"Which? {number}", tuple("abcd"), Scale.NOMINAL)
    return GeneralQuestion(of, right=0)


def scored(say: Say, *sets: AskedWeights, topics: tuple[str, ...] = ("kind",) * 4) -> Ability:
    """What `say(adapter, number of the question)` comes to, over a question per topic."""
    questions = tuple(question(n, topic=topic) for n, topic in enumerate(topics))
    plan = AbilityPlan(questions, sets, GeneralRespondent(PaperModel()))
    asked, answers = {}, {}
    for condition, ask in plan.asks():
        digest = digest_of(ask.adapter, ask.question.key)
        asked[ask_key(condition.name, ask)] = AskRecord(digest, (), steered=True)
        answers[digest] = say(ask.adapter, int(ask.question.key.rpartition(":")[2]))
    return score_ability(plan, RunAnswers(asked, answers))


def choosing(place: int) -> Response:
    """Half of the probability on one place."""
    values = [math.log(1 / 6)] * 4
    values[place] = math.log(1 / 2)
    return Response(logprobs=tuple(values))


def test_accuracy_is_the_share_of_right_answers_and_chance_is_said() -> None:
    found = scored(lambda adapter, number: choosing(0 if number < 3 else 1))

    (base,) = found.weights
    assert (found.n_questions, found.chance) == (4, 0.25)
    assert found.chance_log_probability == pytest.approx(math.log(0.25))
    assert base.accuracy.value == 0.75
    # Three times log 1/2, once log 1/6.
    assert base.log_probability is not None
    assert base.log_probability.value == pytest.approx((3 * math.log(0.5) + math.log(1 / 6)) / 4)
    assert base.over_base is None


def test_an_adapter_is_compared_question_by_question() -> None:
    # The base is right on all four; the adapter on the first two.
    found = scored(
        lambda adapter, number: choosing(0 if adapter is None or number < 2 else 1),
        AskedWeights("tuned", ("a@00000001",)),
    )

    tuned = found.weights[1]
    assert (tuned.name, tuned.adapters, tuned.accuracy.value) == ("tuned", ("a@00000001",), 0.5)
    assert tuned.over_base is not None
    assert tuned.over_base.value == -0.5
    # log 1/6 - log 1/2 = -log 3 on half of the questions.
    assert tuned.log_probability_over_base is not None
    assert tuned.log_probability_over_base.value == pytest.approx(-math.log(3) / 2)


def test_of_several_adapters_it_is_their_mean() -> None:
    # One is always right, the other never.
    found = scored(
        lambda adapter, number: choosing(1 if adapter == "b@00000002" else 0),
        AskedWeights("both", ("a@00000001", "b@00000002")),
    )

    both = found.weights[1]
    assert both.accuracy.value == 0.5
    assert both.over_base is not None
    assert both.over_base.value == -0.5


def test_each_kind_has_its_own_accuracy() -> None:
    found = scored(
        lambda adapter, number: choosing(0 if number < 2 else 1),
        topics=("sums", "sums", "days", "sums"),
    )

    assert found.weights[0].by_kind == {"sums": pytest.approx(2 / 3), "days": 0.0}


def test_what_cannot_be_read_is_wrong_and_counted() -> None:
    nothing = Response(logprobs=(-20.0,) * 4)
    found = scored(lambda adapter, number: choosing(0) if number else nothing)

    (base,) = found.weights
    assert (base.accuracy.value, base.unreadable) == (0.75, 0.25)
    # Among the labels the lost answer is even: log 1/4.
    assert base.log_probability is not None
    assert base.log_probability.value == pytest.approx((3 * math.log(0.5) + math.log(0.25)) / 4)


def test_an_answer_that_is_surely_wrong_does_not_decide_the_mean() -> None:
    never = Response(logprobs=(-1e9, 0.0, -1e9, -1e9))
    found = scored(lambda adapter, number: never)

    assert found.weights[0].log_probability is not None
    assert found.weights[0].log_probability.value == pytest.approx(math.log(1e-6))


def test_answers_in_text_are_read_and_have_no_log_probability() -> None:
    found = scored(lambda adapter, number: Response(text="1" if number else "no idea"))

    (base,) = found.weights
    assert (base.accuracy.value, base.unreadable) == (0.75, 0.25)
    assert base.log_probability is None


def test_a_missing_answer_is_named() -> None:
    plan = AbilityPlan((question(0), question(1)), (), GeneralRespondent(PaperModel()))

    with pytest.raises(AnswersMissing, match="general:0 under 'general ability, base model'"):
        score_ability(plan, RunAnswers({}, {}))


async def requested(adapter: str | None, model: PaperModel) -> Request:
    of = question(7).question
    return await GeneralRespondent(model).request(Ask(None, "", of, (0, 1, 2, 3), adapter=adapter))


async def test_the_prompt_speaks_of_no_people_and_the_adapter_answers() -> None:
    model = PaperModel()
    request = await requested("a@00000001", model)

    await GeneralRespondent(model).respond(request)

    (messages,) = model.asked
    assert "person" not in " ".join(message.content for message in messages)
    assert messages[1].content == "Question: Which? 7\nOptions:\n1. a\n2. b\n3. c\n4. d"
    assert model.asked_adapters == ["a@00000001"]


async def test_the_prompt_asks_for_the_labels_that_the_model_is_read_by() -> None:
    system, user = (await requested(None, PaperModel(labels=LabelScheme.LETTERS))).content.messages

    assert "Answer with the letter" in system.content
    assert user.content == "Question: Which? 7\nOptions:\nA. a\nB. b\nC. c\nD. d"


async def test_an_adapter_and_the_base_share_no_answer() -> None:
    model = PaperModel()

    digests = {(await requested(adapter, model)).digest for adapter in (None, "a@1", "a@2")}

    assert len(digests) == 3


async def test_a_run_asks_general_questions_of_every_adapter_once(tmp_path: Path) -> None:
    model = PaperModel()
    sets = (AskedWeights("one", ("a@1",)), AskedWeights("two", ("a@1", "b@2")))
    survey = tiny_plan(tiny_library(), model, methods=[Method.PLAIN])
    ability = AbilityPlan(general_questions(0)[:5], sets, GeneralRespondent(model))
    plan = replace(survey, ability=ability)

    with opened(tmp_path / "run") as results:
        asked = await run_plan(plan, results, n_concurrent=3)
        figures = score_ability(ability, RunAnswers(asked, results.answers))

    assert len(asked) == plan.count_asks() == survey.count_asks() + 3 * 5
    assert [model.asked_adapters.count(adapter) for adapter in ("a@1", "b@2")] == [5, 5]
    assert [of.name for of in figures.weights] == ["base model", "one", "two"]


def test_spread_is_nothing_on_one_option_and_whole_where_even() -> None:
    shares = np.array([[[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25] * 4, [np.nan] * 4]])

    found = spread(shares, np.array([4, 2, 4, 4]))

    # One bit of one, two bits of two.
    assert found[0, :3] == pytest.approx([0.0, 1.0, 1.0])
    assert np.isnan(found[0, 3])


def test_spread_of_uneven_shares() -> None:
    # 0.5 log 2 + 2 * 0.25 log 4 = 1.5 bits, of at most 2.
    shares = np.array([[[0.5, 0.25, 0.25, 0.0]]])

    assert spread(shares, np.array([4]))[0, 0] == pytest.approx(0.75)
