import pytest

from evaluation.asking import Ask, Control
from evaluation.decoding import AnswerDecoding, ReadBy
from evaluation.prompted import PromptedModel
from prompting.labels import LabelScheme
from prompting.messages import Message
from prompting.recipe import ExemplarStyle, Method, Recipe
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from tests.evaluation.surveys import KEYS, PaperModel, prompted, tiny_library

OWN_ORDER = (0, 1, 2, 3)


@pytest.fixture
def library() -> SurveyLibrary:
    return tiny_library()


@pytest.fixture
def respondent(library: SurveyLibrary) -> PromptedModel:
    return prompted(library, PaperModel())


def ask(
    library: SurveyLibrary,
    method: Method,
    *,
    culture: str = "DEU",
    control: Control = Control.NONE,
    order: tuple[int, ...] = OWN_ORDER,
    style: ExemplarStyle = ExemplarStyle.SHARES,
    seed: int = 0,
    n_elsewhere: int = 0,
) -> Ask:
    recipe = Recipe(method, k=2, style=style, n_elsewhere=n_elsewhere)
    return Ask(recipe, culture, library.questions["tiny:Q2"], order, seed, control=control)


async def words(respondent: PromptedModel, asked: Ask) -> str:
    messages: tuple[Message, ...] = (await respondent.request(asked)).content.messages
    return "\n".join(message.content for message in messages)


async def test_an_unsteered_prompt_is_one_request_for_all_cultures(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    digests = {
        (await respondent.request(ask(library, Method.PLAIN, culture=culture))).digest
        for culture in ("DEU", "KEN")
    }

    assert len(digests) == 1


async def test_what_decides_the_answer_decides_the_digest(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    asks = [
        ask(library, Method.PLAIN),
        ask(library, Method.PERSONA),
        ask(library, Method.PERSONA, culture="KEN"),
        ask(library, Method.ICL),
        ask(library, Method.ICL, control=Control.REVERSED),
        ask(library, Method.PLAIN, order=OWN_ORDER[::-1]),
    ]

    assert len({(await respondent.request(one)).digest for one in asks}) == len(asks)


async def test_the_exemplars_are_the_nearest_that_are_not_barred(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    # At 40 degrees from each other: Q1 and Q3 are the nearest to Q2.
    request = await respondent.request(ask(library, Method.ICL))

    assert set(request.shown) == {"tiny:Q1", "tiny:Q3"}
    assert "tiny:Q2" not in request.shown


async def test_reversed_exemplars_show_the_shares_from_the_other_end(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    # DEU, the first culture, says 'often' to Q1 most: 10, 70, 10, 10 percent.
    assert "1. 10%, 2. 70%, 3. 10%, 4. 10%" in await words(respondent, ask(library, Method.ICL))
    control = ask(library, Method.ICL, control=Control.REVERSED)
    assert "1. 10%, 2. 10%, 3. 70%, 4. 10%" in await words(respondent, control)


async def test_foreign_exemplars_are_those_of_the_culture_before(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    # Before KEN comes DEU.
    foreign = ask(library, Method.ICL, culture="KEN", control=Control.FOREIGN)

    assert await words(respondent, foreign) == await words(respondent, ask(library, Method.ICL))


async def test_others_answers_to_the_question_come_before_the_exemplars(
    library: SurveyLibrary,
) -> None:
    def find_donors(question: Question, culture: str) -> tuple[tuple[str, float], ...]:
        assert (question.key, culture) == ("tiny:Q2", "DEU")
        return (("MEX", 0.6), ("KEN", 0.3), ("USA", 0.1))

    respondent = prompted(library, PaperModel(), find_donors=find_donors)
    asked = ask(library, Method.ICL, n_elsewhere=2)

    request = await respondent.request(asked)

    assert request.shown[:2] == ("tiny:Q2@MEX", "tiny:Q2@KEN")
    assert set(request.shown[2:]) == {"tiny:Q1", "tiny:Q3"}
    # MEX, the third culture, says 'always' to Q2 most, KEN, the second, 'never'.
    text = await words(respondent, asked)
    assert text.index("1. 70%, 2. 10%, 3. 10%, 4. 10%") < text.index("4. 70%")


async def test_others_answers_need_their_weights(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    with pytest.raises(ValueError, match="weights"):
        await respondent.request(ask(library, Method.ICL, n_elsewhere=1))


async def test_options_stand_in_the_order_asked_for(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    backwards = await words(respondent, ask(library, Method.PLAIN, order=OWN_ORDER[::-1]))

    assert "1. never\n2. seldom\n3. often\n4. always" in backwards


async def test_exemplars_without_room_are_not_claimed_to_be_shown(library: SurveyLibrary) -> None:
    one = await prompted(library, PaperModel(room=1)).request(ask(library, Method.ICL))
    none = await prompted(library, PaperModel(room=0)).request(ask(library, Method.ICL))

    assert (len(one.shown), one.steered) == (1, True)
    assert (len(none.shown), none.steered) == (0, False)


async def test_a_question_too_long_for_the_model_has_no_answer(library: SurveyLibrary) -> None:
    model = PaperModel(room=-1)
    respondent = prompted(library, model)

    response = await respondent.respond(await respondent.request(ask(library, Method.PLAIN)))

    assert (response.logprobs, response.text, model.asked) == (None, None, [])


async def test_a_seed_matters_where_an_answer_is_sampled(library: SurveyLibrary) -> None:
    asks = [ask(library, Method.PLAIN, seed=seed) for seed in (0, 1)]
    scored = prompted(library, PaperModel())
    sampled = prompted(library, PaperModel(), decoding=AnswerDecoding(ReadBy.TEXT))

    assert len({(await scored.request(one)).digest for one in asks}) == 1
    assert len({(await sampled.request(one)).digest for one in asks}) == 2


async def test_options_and_exemplars_have_the_labels_that_the_model_is_read_by(
    library: SurveyLibrary,
) -> None:
    respondent = prompted(library, PaperModel(labels=LabelScheme.LETTERS))
    backwards = ask(library, Method.ICL, order=OWN_ORDER[::-1])

    request = await respondent.request(backwards)

    assert request.content.labels == ("A", "B", "C", "D")
    text = await words(respondent, backwards)
    assert "A. never\nB. seldom\nC. often\nD. always" in text
    assert "Shares: A. 10%, B. 70%, C. 10%, D. 10%" in text
    assert "the letter of the option" in text


@pytest.mark.parametrize("read_by", [ReadBy.TEXT, ReadBy.PUBLISHED])
async def test_a_text_is_asked_for_by_number(library: SurveyLibrary, read_by: ReadBy) -> None:
    model = PaperModel(labels=LabelScheme.LETTERS)
    respondent = prompted(library, model, decoding=AnswerDecoding(read_by))

    request = await respondent.request(ask(library, Method.PLAIN))

    assert request.content.labels == ("1", "2", "3", "4")
    assert "the number of the option" in await words(respondent, ask(library, Method.PLAIN))


async def test_labels_of_several_tokens_are_asked_for_in_text(library: SurveyLibrary) -> None:
    respondent = prompted(library, PaperModel(text="2"))
    first, second = [
        await respondent.request(ask(library, Method.PLAIN, seed=seed)) for seed in (0, 1)
    ]

    assert (await respondent.respond(first)).text == "2"
    # What is sampled is another request with another seed.
    assert first.digest != second.digest
    assert second.content.seed == 1


async def test_a_prompt_without_any_exemplar_does_not_speak_for_the_culture(
    library: SurveyLibrary,
) -> None:
    everything = {key: frozenset(KEYS) for key in KEYS}
    respondent = prompted(library, PaperModel(), barred=everything)

    request = await respondent.request(ask(library, Method.ICL))

    assert (request.shown, request.steered) == ((), False)


async def test_a_prompt_without_recipe_is_a_mistake(
    library: SurveyLibrary, respondent: PromptedModel
) -> None:
    with pytest.raises(ValueError, match="recipe"):
        await respondent.request(Ask(None, "DEU", library.questions[KEYS[0]], OWN_ORDER))
