from __future__ import annotations

import pytest

from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.language import is_english

KNOWN = default_vocabulary()


@pytest.mark.parametrize(
    "text",
    [
        "Is homosexuality justifiable?",
        "abortion",
        "how much dose family matter in youre life",
        "Do Ramadan rules matter to you?",
        "Angela Merkel or Olaf Scholz, whom would you vote for?",
        "ok got it",
        "",
        "42?",
    ],
)
def test_english_is_told_in_few_words_and_with_mistakes(text: str) -> None:
    assert is_english(text, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "Bist du glücklich?",
        "Ist Abtreibung ok?",
        "Confias en la policia?",
        "La famille, c'est important ?",
        "Ti fidi della polizia?",
        "Hur viktig är familjen i ditt liv?",
        "Hoe belangrijk is familie in je leven?",
        "Jak ważna jest rodzina w twoim życiu?",
        "Allah'a inaniyor musunuz?",
        "Ban co tin vao Chua khong?",
        "Je, unamwamini Mungu?",
        "家庭在你的生活中有多重要",
        "가족은 얼마나 중요합니까?",
        "ศาสนาสำคัญแค่ไหนในชีวิตคุณ",
        "ما مدى أهمية الدين في حياتك؟",
        "Насколько важна семья?",
    ],
)
def test_other_languages_are_not_taken_for_english(text: str) -> None:
    assert not is_english(text, KNOWN)
