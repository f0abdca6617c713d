"""A model is spoken to in the language of the question, or in the one that is asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.settings import Settings
from prompting.phrases.fields import find_phrases
from prompting.recipe import PROMPT_LANGUAGES, PromptLanguage
from survey_data.cultures import read_catalogue
from tests.app.service import opened, share_library
from tests.fakes.vllm import MODEL, FakeVllm
from tests.fixtures.service import MakeSettings

RELIGION = "wvs7:Q6"
OWN_WORDS = {
    "en": "How much does religion matter to you in your life?",
    "de": "Welche Rolle spielt Religion in Ihrem Leben?",
    "zh": "宗教对您的生活来说重要吗",
    "fr": "Quelle est l'importance de la religion dans votre vie ?",
}

pytestmark = pytest.mark.usefixtures("multilingual_file")


def ask(client: httpx.Client, question: str, **fields: Any) -> dict[str, Any]:
    body = {"question": question, "culture": "DE", "answer_from": "model", "k": 3} | fields
    response = client.post("/answer", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def sent(fake: FakeVllm) -> list[str]:
    return [message["content"] for message in fake.chats[-1].body["messages"]]


@pytest.mark.parametrize(
    ("asked", "spoken"), [("en", "en"), ("de", "de"), ("zh", "zh"), ("fr", "en")]
)
def test_the_language_of_the_question_is_spoken_where_it_has_prompts(
    client: httpx.Client, fake: FakeVllm, asked: str, spoken: str
) -> None:
    answer = ask(client, OWN_WORDS[asked], prompt_language="auto", options=["1", "2"])
    system, user = sent(fake)
    phrases = find_phrases(PromptLanguage(spoken))

    assert answer["prompt_language"] == spoken
    assert answer["exemplars"]
    assert system.endswith(phrases.answer_by_number)
    assert phrases.shares_follow.format(people=phrases.people_like_you) in user
    assert {exemplar["language"] for exemplar in answer["exemplars"]} <= {spoken, "en"}
    assert all(exemplar["question"] in user for exemplar in answer["exemplars"])


def test_a_recognised_question_is_told_in_both_languages(client: httpx.Client) -> None:
    library = share_library(Settings(), read_catalogue())
    wording = library.wording(RELIGION, "de")
    assert wording is not None

    answer = ask(client, wording.text, prompt_language="auto")
    [recognised] = answer["recognised"]["questions"]

    assert answer["prompt_language"] == "de"
    assert recognised["language"] == "de"
    assert recognised["question"] == wording.text
    assert recognised["in_english"] == library.questions[RELIGION].text


@pytest.mark.parametrize("language", PROMPT_LANGUAGES)
def test_a_language_may_be_asked_for(client: httpx.Client, fake: FakeVllm, language: str) -> None:
    answer = ask(client, OWN_WORDS["en"], prompt_language=language, method="persona+icl")
    system, user = sent(fake)

    assert answer["prompt_language"] == language
    assert system.startswith(find_phrases(PromptLanguage(language)).survey_role[:6])
    # The question itself stays as it was asked.
    assert OWN_WORDS["en"] in user


def test_an_unknown_language_is_refused(client: httpx.Client) -> None:
    body = {"question": "Is it?", "culture": "DE", "prompt_language": "fr"}

    assert client.post("/answer", json=body).status_code == 422


def test_a_model_without_exemplars_is_spoken_to_in_the_language_too(
    client: httpx.Client, fake: FakeVllm
) -> None:
    answer = ask(client, OWN_WORDS["de"], prompt_language="auto", method="plain")

    assert answer["prompt_language"] == "de"
    assert sent(fake)[0].startswith(find_phrases(PromptLanguage.DE).survey_role)


def test_no_language_is_named_where_no_model_is_asked(client: httpx.Client) -> None:
    library = share_library(Settings(), read_catalogue())
    reply = client.post(
        "/answer", json={"question": library.questions[RELIGION].text, "culture": "DE"}
    )

    assert reply.json()["prompt_language"] is None


def test_a_chat_is_told_what_is_known_in_its_language(client: httpx.Client, fake: FakeVllm) -> None:
    library = share_library(Settings(), read_catalogue())
    wording = library.wording(RELIGION, "es")
    assert wording is not None
    body = {
        "model": f"{MODEL}@NL",
        "messages": [{"role": "user", "content": wording.text}],
        "prompt_language": "auto",
    }

    found = client.post("/v1/chat/completions", json=body).json()["milieu"]
    system = sent(fake)[0]

    assert found["prompt_language"] == "es"
    assert found["known"]["told"] in system
    assert "Países Bajos" in found["known"]["told"]
    assert find_phrases(PromptLanguage.ES).speak_so in system


def test_a_chat_of_nobody_is_told_nothing(client: httpx.Client, fake: FakeVllm) -> None:
    messages = [{"role": "user", "content": OWN_WORDS["de"]}]
    body = {"model": MODEL, "messages": messages, "prompt_language": "de"}

    found = client.post("/v1/chat/completions", json=body).json()["milieu"]

    assert found["prompt_language"] is None
    assert fake.chats[-1].body["messages"] == messages


async def test_the_settings_may_say_the_language(make_settings: MakeSettings) -> None:
    async with opened(make_settings(answer={"prompt_language": "ru"})) as client:
        body = {"question": OWN_WORDS["en"], "culture": "DE", "method": "icl"}
        by_settings = (await client.post("/answer", json=body)).json()
        by_request = (await client.post("/answer", json=body | {"prompt_language": "en"})).json()

    assert by_settings["prompt_language"] == "ru"
    assert by_request["prompt_language"] == "en"
