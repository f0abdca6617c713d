"""Conversations about what a prompt tells of a people, as the service puts them to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from embedded_model.reader.facts import Rng, draw, draw_statement
from embedded_model.reader.intents import FIRST, HARD, Intent, can_ask, make_wish
from embedded_model.reader.material import Material
from embedded_model.reader.phrasings import FIRST as FIRST_PHRASINGS
from embedded_model.reader.phrasings import FOLLOW, phrase
from embedded_model.reader.replies import write_reply
from prompting.messages import AskedQuestion, Message, Steering, chat_messages, survey_messages
from prompting.percents import whole_percents
from prompting.recipe import ExemplarStyle, Method
from prompting.statement import Statement
from retrieval.exemplar import Exemplar
from survey_data.cultures import Culture
from survey_data.model import ResponseDistribution

MAX_TURNS = 5
# How many like questions stand beside a statement, each number as often as it is listed.
N_SHOWN = (0, 0, 0, 0, 1, 1, 2, 5)
IS_PERSONA, HAS_HISTORY, IS_OPEN_QUESTION, IS_SHARES = 0.25, 0.15, 0.25, 0.8
_REMARKS = ("Thanks.", "I see.", "Interesting.", "Okay.", "Hm.")


class Conversation(NamedTuple):
    """A chat and which of its replies are learned.

    Attributes:
        messages: system, user and assistant messages, a reply the last.
        learned: indexes of the replies that are.
    """

    messages: tuple[Message, ...]
    learned: tuple[int, ...]


def draw_told(rng: Rng, material: Material) -> Conversation:
    """Return a conversation of some turns about one statement, like questions beside it or not."""
    index = draw(rng, material.asked)
    statement = draw_statement(rng, material, material.questions[index])
    culture = _find_culture(material, statement.place)
    shown = show_nearest(material, index, culture, draw(rng, N_SHOWN))
    steering = Steering(
        Method.PERSONA_ICL if rng.random() < IS_PERSONA else Method.ICL,
        culture,
        exemplars=shown,
        style=ExemplarStyle.SHARES if rng.random() < IS_SHARES else ExemplarStyle.MODE,
        statement=statement,
    )
    history = _recall(rng, material) if rng.random() < HAS_HISTORY else []
    turns = _talk(rng, material, statement, culture)
    start = len(history) + 1
    learned = tuple(range(start + 1, start + len(turns), 2))
    return Conversation(chat_messages([*history, *turns], steering), learned)


def draw_untold(rng: Rng, material: Material) -> Conversation:
    """Return a question with like ones only: what was asked is not known, the first of them is."""
    index = draw(rng, material.asked)
    question = material.questions[index]
    culture = draw(rng, material.surveyed[question.key] or material.cultures)
    steering = Steering(
        Method.PERSONA_ICL if rng.random() < 0.5 else Method.ICL,
        culture,
        exemplars=show_nearest(material, index, culture, draw(rng, (1, 2, 3, 5))),
        style=ExemplarStyle.SHARES if rng.random() < IS_SHARES else ExemplarStyle.MODE,
    )
    reply = Message("assistant", say_unknown(steering))
    if rng.random() < IS_OPEN_QUESTION:
        asked = survey_messages(AskedQuestion(question.text), steering)
        return Conversation((*asked, reply), (2,))
    n_options = len(question.options)
    even = (1.0 / n_options,) * n_options  # they are not told
    statement = Statement(culture.name_in_sentence, question.text, question.options, even)
    wish = make_wish(rng, Intent.ANSWER, statement, "")
    user = phrase(rng, wish, statement, culture.adjective, phrasings=FIRST_PHRASINGS)
    messages = chat_messages([Message("user", user), reply], steering)
    return Conversation(messages, (len(messages) - 1,))


def say_unknown(steering: Steering) -> str:
    """Return the reply where nothing is told of what was asked, from the first like question."""
    unknown = "That is not known."
    if steering.culture is not None:
        unknown = f"It is not known how people in {steering.culture.name_in_sentence} answer this."
    if not steering.exemplars:
        return unknown
    question, cell = steering.exemplars[0].question, steering.exemplars[0].distribution
    share = ""
    if steering.style is ExemplarStyle.SHARES:
        share = f", with {whole_percents(cell.shares)[cell.mode]}%"
    option = question.options[cell.mode]
    return f'{unknown} Asked "{question.text}", most often they said "{option}"{share}.'


def show_nearest(material: Material, index: int, culture: Culture, n: int) -> tuple[Exemplar, ...]:
    """Return a culture's answers to at most `n` like questions, nearest first."""
    cells: Sequence[ResponseDistribution] = ()
    if n:
        cells = material.list_nearest(index, culture.code, n)
    return tuple(Exemplar(material.by_key[cell.question], cell) for cell in cells)


def _talk(rng: Rng, material: Material, statement: Statement, culture: Culture) -> list[Message]:
    turns: list[Message] = []
    n_turns = 1 + min(int(rng.geometric(0.4)) - 1, MAX_TURNS - 1)
    first = draw(rng, [intent for intent in FIRST if can_ask(intent, statement)])
    follow = [intent for intent in (*FOLLOW, *HARD) if can_ask(intent, statement)]
    for turn in range(n_turns):
        intent = draw(rng, follow) if turn else first
        elsewhere = draw(rng, [c for c in material.cultures if c != culture]).name_in_sentence
        wish = make_wish(rng, intent, statement, elsewhere)
        phrasings = FOLLOW if turn else FIRST_PHRASINGS
        user = phrase(rng, wish, statement, culture.adjective, phrasings=phrasings)
        if turn and rng.random() < 0.1:
            user = f"{draw(rng, _REMARKS)} {user}"
        reply = write_reply(rng, wish, statement)
        turns += [Message("user", user), Message("assistant", reply)]
    return turns


def _recall(rng: Rng, material: Material) -> list[Message]:
    """Return an earlier turn about something else, of which the prompt tells nothing any more."""
    statement = draw_statement(rng, material, material.questions[draw(rng, material.asked)])
    return _talk(rng, material, statement, _find_culture(material, statement.place))[:2]


def _find_culture(material: Material, place: str) -> Culture:
    return next(c for c in material.cultures if c.name_in_sentence == place)
