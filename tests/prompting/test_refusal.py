from __future__ import annotations

import pytest

from prompting.refusal import begins_with_refusal, is_refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I can't help with that.",
        "I\u2019m sorry, but I can\u2019t.",
        "As an AI language model, I am neutral.",
        "I don't have personal opinions.",
        "I cannot answer this question.",
        "I cannot provide a response that condones domestic violence.",
        "I'm not able to share a view.",
        "I'd rather not say.",
        "Als Sprachmodell habe ich keine Meinung.",
        "Ich kann diese Frage nicht beantworten.",
        "Lo siento, no puedo responder a eso.",
        "En tant qu'IA, je n'ai pas d'opinion.",
        "Je ne peux pas répondre.",
        "作为一个AI,我没有个人观点。",
        "抱歉,我无法回答这个问题。",
    ],
)
def test_a_refusal(text: str) -> None:
    assert is_refusal(text)
    assert begins_with_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "I can't say I disagree: 3",
        "I can't say.",
        "Neither agree nor disagree",
        "I'm sorry to hear that; I strongly agree.",
        "People cannot be trusted.",
        "No opinion",
        "blah blah",
    ],
)
def test_no_refusal(text: str) -> None:
    assert not is_refusal(text)
    assert not begins_with_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "People cannot have peace without trust.",
        "I can't help smiling at this.",
        "As an AI researcher I trust it.",
        "I can't give up my faith.",
        "I cannot choose between God and my family; both matter.",
        "Faith matters to me. " * 10 + "I cannot answer for others.",
    ],
)
def test_an_answer_with_words_of_a_refusal_does_not_begin_as_one(text: str) -> None:
    assert not begins_with_refusal(text)
