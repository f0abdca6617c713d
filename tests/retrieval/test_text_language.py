"""Languages that have prompts are told; texts in others are not taken for one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.text_language import tell_language
from survey_data.cultures import read_catalogue
from survey_data.library import open_library

PACKS = Path(__file__).parents[2] / "survey_data" / "packs"


@pytest.mark.parametrize("language", ["de", "es", "pt", "ru", "zh"])
def test_every_translated_question_is_told(language: str) -> None:
    library = open_library([PACKS], catalogue=read_catalogue())
    wordings = [library.wording(key, language) for key in library.questions]
    texts = [wording.text for wording in wordings if wording is not None]

    assert len(texts) == 252
    assert {tell_language(text) for text in texts} == {language}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Darf man für einen Freund lügen?", "de"),
        ("Warum?", "de"),
        ("Confía usted en la policía", "es"),
        ("¿Por qué?", "es"),
        ("Você confia na polícia?", "pt"),
        ("Верите ли Вы в Бога?", "ru"),
        ("您相信神吗", "zh"),
    ],
)
def test_a_question_of_ones_own_is_told(text: str, language: str) -> None:
    assert tell_language(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "Quelle est l'importance de la religion dans votre vie ?",
        "Quanto è importante la religione nella tua vita?",
        "Hoe belangrijk is religie in uw leven?",
        "Er religion viktig for deg?",
        "Czy religia jest dla ciebie ważna?",
        "Що для вас найважливіше?",
        "宗教はあなたの人生でどれくらい重要ですか",
        "ما مدى أهمية الدين في حياتك؟",
        "ศาสนามีความสำคัญต่อชีวิตของคุณมากแค่ไหน",
        "42",
        "",
    ],
)
def test_another_language_is_none_of_them(text: str) -> None:
    assert tell_language(text) is None
