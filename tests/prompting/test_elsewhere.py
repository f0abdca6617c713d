"""Other cultures' answers to the asked question stand before the culture's own to others."""

from __future__ import annotations

from dataclasses import replace

from prompting.messages import Steering, chat_system_message, survey_messages
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Elsewhere, Exemplar
from survey_data.model import Question, ResponseDistribution, Scale
from tests.prompting.test_messages import ASKED, CULTURES, FAMILY, steering

FRIENDS = Question("p:Q2", "Life", ASKED.text, ASKED.options, Scale.ORDINAL)
KENYA = Exemplar(
    FRIENDS,
    ResponseDistribution("p:Q2", "KEN", (0.6, 0.3, 0.1)),
    elsewhere=Elsewhere(CULTURES["KEN"], 0.518),
)
NETHERLANDS = Exemplar(
    FRIENDS,
    ResponseDistribution("p:Q2", "NLD", (0.3, 0.5, 0.2)),
    elsewhere=Elsewhere(CULTURES["NLD"], 0.25),
)
SHARES = Steering(Method.ICL, exemplars=(KENYA, NETHERLANDS, FAMILY), style=ExemplarStyle.SHARES)
PROMPT = """\
These are answers that people in other countries gave to the very question you are asked. The \
larger the weight of a country, the more its answer tells of people like you.

In Kenya (weight 0.52):
Question: How much do friends matter?
Options:
1. Much
2. Some
3. Not at all
Answer: 1 (Much)
Shares: 1. 60%, 2. 30%, 3. 10%

In the Netherlands (weight 0.25):
Question: How much do friends matter?
Options:
1. Much
2. Some
3. Not at all
Answer: 2 (Some)
Shares: 1. 30%, 2. 50%, 3. 20%

These are answers that people like you gave to other questions, with the percentage who chose each \
option.

Question: How much does family matter?
Options:
1. Much
2. Little
Answer: 1 (Much)
Shares: 1. 95%, 2. 5%

Now answer this question.

Question: How much do friends matter?
Options:
1. Much
2. Some
3. Not at all"""


def test_both_kinds_of_exemplars_are_introduced() -> None:
    assert survey_messages(ASKED, SHARES)[1].content == PROMPT


def test_each_kind_stands_alone_where_the_other_is_missing() -> None:
    elsewhere = survey_messages(ASKED, replace(SHARES, exemplars=(KENYA,)))[1].content
    own = survey_messages(ASKED, replace(SHARES, exemplars=(FAMILY,)))[1].content

    assert "people like you gave to other questions" not in elsewhere
    assert "other countries" not in own


def test_a_chat_shows_them_too() -> None:
    text = chat_system_message(SHARES)

    assert PROMPT.partition("\n\nNow answer")[0] in text
    assert text.endswith("Speak as people who answered so would speak.")


def test_methods_without_exemplars_show_none() -> None:
    shown = replace(steering(Method.PERSONA), exemplars=(KENYA,))

    assert survey_messages(ASKED, shown) == survey_messages(ASKED, steering(Method.PERSONA))
