"""A changed word of a prompt changes the hash; a changed word of a chat does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prompting import messages
from prompting.labels import LabelScheme
from prompting.wording_hash import hash_survey_wording


@pytest.fixture(autouse=True)
def _hashed_anew() -> Iterator[None]:
    hash_survey_wording.cache_clear()
    yield
    hash_survey_wording.cache_clear()


def hash_again() -> str:
    hash_survey_wording.cache_clear()
    return hash_survey_wording()


@pytest.mark.parametrize(
    "name",
    [
        "SURVEY_ROLE", "SURVEY_ROLE_OF", "COMPARE", "EXEMPLARS_FOLLOW", "SHARES_FOLLOW",
        "ELSEWHERE_FOLLOW", "QUESTION_FOLLOWS",
    ],
)  # fmt: skip
def test_each_phrase_of_a_survey_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_survey_wording()
    monkeypatch.setattr(messages, name, getattr(messages, name) + " Please.")

    assert hash_again() != before


@pytest.mark.parametrize("scheme", LabelScheme)
def test_what_asks_for_a_label_counts(scheme: LabelScheme, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_survey_wording()
    monkeypatch.setitem(messages.ANSWER_BY_LABEL, scheme, "Choose one.")

    assert hash_again() != before


@pytest.mark.parametrize("name", ["CHAT_ROLE_OF", "ANSWER_FREELY"])
def test_phrases_of_chats_and_open_questions_do_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hash_survey_wording()
    monkeypatch.setattr(messages, name, "Otherwise.")

    assert hash_again() == before
