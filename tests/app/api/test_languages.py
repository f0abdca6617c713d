"""Questions and chats in any language get evidence, through the whole service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.settings import Settings
from survey_data.cultures import read_catalogue
from tests.app.service import counted, share_library
from tests.fakes.vllm import MODEL, FakeVllm

RELIGION = "wvs7:Q6"
# What matters in life, and religion.
NEAR = {f"wvs7:Q{n}" for n in (*range(1, 7), 9, 15, 62, 64, 94, *range(160, 176), 289)}
ASKED = {
    "de": "Welche Rolle spielt Religion in Ihrem Leben?",
    "th": "ศาสนามีความสำคัญต่อชีวิตของคุณมากแค่ไหน",
    "ar": "ما مدى أهمية الدين في حياتك؟",
    "ja": "宗教はあなたの人生にとってどれほど重要ですか",
    "hi": "आपके जीवन में धर्म कितना महत्वपूर्ण है?",
}

pytestmark = pytest.mark.usefixtures("multilingual_file")


def ask(client: httpx.Client, question: str, **fields: Any) -> dict[str, Any]:
    response = client.post("/answer", json={"question": question, "culture": "DE", **fields})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize("language", ASKED)
def test_an_answer_stands_on_exemplars_about_what_is_asked(
    client: httpx.Client, fake: FakeVllm, language: str
) -> None:
    answer = ask(client, ASKED[language])

    shown = answer["exemplars"]
    assert answer["steered"]
    assert len(shown) == 5
    assert all(0.15 <= each["similarity"] <= 1.0 for each in shown)
    assert sum(each["question_key"] in NEAR for each in shown) >= 4
    assert answer["recognised"]["certain"] is False
    assert answer["recognised"]["questions"][0]["question_key"] == RELIGION
    assert ASKED[language] in str(fake.received[-1])


def test_options_in_another_language_are_put_to_the_model_with_exemplars(
    client: httpx.Client,
) -> None:
    options = ["sehr wichtig", "ziemlich wichtig", "weniger wichtig", "gar nicht wichtig"]
    answer = ask(client, ASKED["de"], options=options)

    assert answer["source"] == "model"
    assert answer["steered"]
    assert [share["label"] for share in answer["model"]["shares"]] == options


def test_tables_say_why_they_have_no_answer_in_another_language(client: httpx.Client) -> None:
    body = {
        "question": ASKED["de"],
        "culture": "DE",
        "options": ["ja", "nein"],
        "answer_from": "tables",
    }
    response = client.post("/answer", json=body)

    assert response.status_code == 404
    assert "in English only" in response.json()["detail"]


def test_a_chat_in_another_language_is_shown_exemplars(
    client: httpx.Client, fake: FakeVllm
) -> None:
    body = {
        "model": f"{MODEL}@DE",
        "messages": [{"role": "user", "content": ASKED["th"]}],
    }
    response = client.post("/v1/chat/completions", json=body)

    assert response.status_code == 200, response.text
    assert "religion" in str(fake.received[-1]).casefold()


def test_a_task_in_another_language_is_not_steered_and_the_answer_says_why(
    client: httpx.Client,
) -> None:
    answer = ask(client, "Übersetze diesen Satz ins Spanische")

    assert not answer["steered"]
    assert "does not seem to ask for a value" in answer["not_steered_because"]


def test_similarities_are_observed_in_other_languages_too(client: httpx.Client) -> None:
    name = "milieu_retrieval_similarity_count"
    before = counted(client.get("/metrics").text, name)
    ask(client, "Darf man für einen Freund lügen?")

    assert counted(client.get("/metrics").text, name) > before


def test_other_words_than_a_translations_get_the_peoples_figures_too(
    client: httpx.Client,
) -> None:
    answer = ask(client, "宗教对您的生活来说重要吗")

    assert answer["source"] == "survey"
    assert answer["options_from"] == RELIGION
    assert answer["recognised"]["certain"]


def test_the_words_of_a_translation_get_the_peoples_figures_in_its_language(
    client: httpx.Client,
) -> None:
    library = share_library(Settings(), read_catalogue())
    wording = library.wording(RELIGION, "de")
    assert wording is not None
    in_english = ask(client, library.questions[RELIGION].text)

    answer = ask(client, wording.text)
    turned = ask(client, wording.text, options=[*reversed(wording.options)])

    assert answer["source"] == "survey"
    assert answer["options_from"] == RELIGION
    assert answer["recognised"]["certain"]
    assert [share["label"] for share in answer["shares"]] == [*wording.options]
    assert [share["share"] for share in answer["shares"]] == [
        share["share"] for share in in_english["shares"]
    ]
    assert turned["source"] == "survey"
    assert [share["share"] for share in turned["shares"]] == [
        share["share"] for share in reversed(answer["shares"])
    ]
