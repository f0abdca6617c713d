"""A changed word of a prompt changes the hash; a changed word of a chat does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from prompting import messages
from prompting.phrases.fields import find_phrases
from prompting.recipe import PromptLanguage
from prompting.wording_hash import hash_survey_wording


@pytest.fixture(autouse=True)
def _hashed_anew() -> Iterator[None]:
    hash_survey_wording.cache_clear()
    yield
    hash_survey_wording.cache_clear()


def hash_reworded(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    phrases = find_phrases(PromptLanguage.EN)
    reworded = replace(phrases, **{name: getattr(phrases, name) + " Please."})
    monkeypatch.setattr(messages, "find_phrases", lambda _: reworded)
    hash_survey_wording.cache_clear()
    return hash_survey_wording()


@pytest.mark.parametrize(
    "name",
    [
        "survey_role", "survey_role_of", "compare", "people_like_you", "exemplars_follow",
        "shares_follow", "elsewhere_follow", "elsewhere", "question_follows", "answer_by_number",
        "answer_by_letter", "question", "options", "answer", "shares", "percent",
    ],
)  # fmt: skip
def test_each_phrase_of_a_survey_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_survey_wording()

    assert hash_reworded(name, monkeypatch) != before


@pytest.mark.parametrize("name", ["chat_role_of", "people_of", "answer_freely", "speak_so", "told"])
def test_phrases_of_chats_and_open_questions_do_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hash_survey_wording()

    assert hash_reworded(name, monkeypatch) == before
