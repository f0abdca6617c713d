"""Questions that are not English are recognised by their wording in a translation, or offered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.encoder import Encoder, Vectors
from retrieval.encoders.multilingual_encoder import (
    ASKED,
    FOUND,
    MultilingualEncoder,
    MultilingualModel,
)
from retrieval.errors import IndexInvalid
from retrieval.foreign_text import find_kinds, find_roles, find_words, is_mistyped, strip_scale
from retrieval.other_languages import OtherLanguages, TranslationRecogniser
from retrieval.recognition import Recognition
from survey_data.library import SurveyLibrary
from survey_data.model import Wording

FRENCH = Path(__file__).parents[2] / "benchmarks" / "data" / "french.jsonl"
PRESS, PENALTY = "wvs7:Q66", "wvs7:Q195"
# The place of questions for a fact among the kinds.
FACT = 4


class CountedEncoder:
    """Another encoder, and the texts that it was given."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.model_id, self.dim = encoder, encoder.model_id, encoder.dim
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.encoded += texts
        return self._encoder.encode(texts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors")


def open_them(
    library: SurveyLibrary,
    multilingual: MultilingualModel,
    folder: Path,
    asked: Encoder | None = None,
) -> OtherLanguages:
    return OtherLanguages(
        library,
        folder=folder,
        asked=asked or MultilingualEncoder(multilingual, ASKED),
        found=MultilingualEncoder(multilingual, FOUND),
        known=(),
    )


@pytest.fixture(scope="module")
def others(shipped: SurveyLibrary, multilingual: MultilingualModel, folder: Path) -> OtherLanguages:
    return open_them(shipped, multilingual, folder)


def find_key(recognition: Recognition) -> str | None:
    return None if recognition.question is None else recognition.question.key


@pytest.mark.parametrize("language", ["de", "es", "pt", "ru", "zh"])
def test_a_wording_is_recognised_and_comes_in_its_language(
    others: OtherLanguages, shipped: SurveyLibrary, language: str
) -> None:
    wording = shipped.wording(PRESS, language)
    assert wording is not None

    recognised = others.space.recogniser.recognise(wording.text.rstrip("?？").upper())

    assert recognised.question is not None
    assert recognised.question.wording == wording
    assert [each.similarity for each in recognised.candidates] == [1.0]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Welches Mass an Vertraun setzen Sie in die Presse", PRESS),
        ("Wie groß ist Ihr Vertrauen in die Polizei?", "wvs7:Q69"),
        ("Ist die Todesstrafe für Sie vertretbar?", PENALTY),
        ("Wie bedeutend ist Religion für Ihr Leben?", "wvs7:Q6"),
        ("Welche Bedeutung hat Religion für Sie?", "wvs7:Q6"),
        ("que grado de confiansa deposita usted en la prensa", PRESS),
        ("¿Te fías de los bancos?", "wvs7:Q78"),
        ("¿Se puede justificar la pena de muerte?", PENALTY),
        ("que grau de confianca voce deposita na imprenssa", PRESS),
        ("Qual a importância da religião na sua vida?", "wvs7:Q6"),
        ("No geral, quão feliz você se considera?", "wvs7:Q46"),
        ("какова степень вашего доверея к прессе", PRESS),
        ("Доверяете ли Вы банкам?", "wvs7:Q78"),
        ("Можно ли оправдать смертную казнь?", PENALTY),
        ("你信任军队吗", "wvs7:Q65"),
        ("死刑在您看来有多正当？", PENALTY),
    ],
)
def test_other_words_and_slips_of_the_pen_are_seen_through(
    others: OtherLanguages, shipped: SurveyLibrary, text: str, key: str
) -> None:
    recognised = others.space.recogniser.recognise(text).question

    assert recognised is not None
    assert recognised.key == key
    assert recognised.text != shipped.questions[key].text


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Wie groß ist Ihr Vertrauen in die Feuerwehr?", "wvs7:Q69"),
        ("Welche Religion hat in Ihrem Land Bedeutung?", "wvs7:Q6"),
        ("Sind Frauen bessere politische Führungskräfte als Männer?", "wvs7:Q29"),
        ("¿Te fías de los abogados?", "wvs7:Q70"),
        ("¿Tu familia confía en ti?", "wvs7:Q58"),
        ("Qual a importância do dinheiro na sua vida?", "wvs7:Q6"),
        ("A pena de morte existe no seu país?", PENALTY),
        ("Насколько Ваша семья доверяет Вам?", "wvs7:Q58"),
        ("Можно ли оправдать пожизненное заключение?", PENALTY),
        ("您的家人信任您吗？", "wvs7:Q58"),
        ("妻子打丈夫可以是正当的吗？", "wvs7:Q189"),
    ],
)
def test_what_only_sounds_like_a_survey_question_is_none(
    others: OtherLanguages, text: str, near: str
) -> None:
    recogniser = others.space.recogniser

    assert recogniser.recognise(text).question is None
    # Yet it is compared with the one that it sounds like.
    assert isinstance(recogniser, TranslationRecogniser)
    [language] = recogniser.find_languages(text)
    translation = recogniser.open_translation(language)
    vector = others.space.encoder.encode([text])[0]
    cosines = others.space.index.vectors @ others.space.place(vector)
    compared = translation.compare(text, vector, cosines)
    assert near in {translation.questions[each.row].key for each in compared}


def test_a_language_without_wordings_gets_candidates_only(others: OtherLanguages) -> None:
    recognised = others.space.recogniser.recognise("Quanta fiducia ha nella polizia?")

    assert recognised.question is None
    assert recognised.candidates[0].question.key == "wvs7:Q69"


def test_where_several_surveys_have_it_the_answered_one_is_chosen(
    shipped: SurveyLibrary, multilingual: MultilingualModel, tmp_path: Path
) -> None:
    asked = "Ist die Todesstrafe für Sie vertretbar?"
    pack = shipped.pack("wvs7")
    copy = replace(
        pack,
        manifest=replace(pack.manifest, id="again"),
        questions=tuple(
            replace(each, key=each.key.replace("wvs7", "again")) for each in pack.questions
        ),
        distributions=(),
        translations={
            "de": {k.replace("wvs7", "again"): w for k, w in pack.translations["de"].items()}
        },
    )
    library = SurveyLibrary([pack, copy], shipped.catalogue)
    recogniser = open_them(library, multilingual, tmp_path).space.recogniser

    assert find_key(recogniser.recognise(asked)) == PENALTY
    assert find_key(recogniser.recognise(asked, answered=["again:Q195"])) == "again:Q195"


@pytest.fixture(scope="module")
def french(
    shipped: SurveyLibrary,
    multilingual: MultilingualModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> OtherLanguages:
    """A pack with a translation into a language whose words are not known."""
    rows = [json.loads(line) for line in FRENCH.read_text(encoding="utf-8").splitlines()]
    worded = {
        row["key"]: Wording("fr", row["question"], shipped.questions[row["key"]].options)
        for row in rows
        if row["style"] == "wording"
    }
    pack = shipped.pack("wvs7")
    pack = replace(pack, translations={**pack.translations, "fr": worded})
    library = SurveyLibrary([pack], shipped.catalogue)
    return open_them(library, multilingual, tmp_path_factory.mktemp("french"))


def test_slips_of_the_pen_are_seen_through_in_a_language_that_a_pack_adds(
    french: OtherLanguages,
) -> None:
    recogniser = french.space.recogniser

    found = recogniser.recognise("quel degré de confience accordez vous à la presse")

    assert found.question is not None
    assert (found.question.key, found.question.language) == (PRESS, "fr")


def test_other_words_are_offered_in_a_language_that_a_pack_adds(french: OtherLanguages) -> None:
    found = french.space.recogniser.recognise("Avez-vous confiance dans les banques ?")

    assert found.question is None
    assert found.candidates[0].question.key == "wvs7:Q78"


def test_a_language_is_encoded_when_first_asked_in_and_then_kept(
    shipped: SurveyLibrary, multilingual: MultilingualModel, tmp_path: Path
) -> None:
    german = "Glauben Sie an Gott?"
    first, again = (CountedEncoder(MultilingualEncoder(multilingual, ASKED)) for _ in range(2))

    opened = open_them(shipped, multilingual, tmp_path, first)
    opened.prepare()
    assert first.encoded == []
    opened.space.recogniser.recognise(german)
    open_them(shipped, multilingual, tmp_path, again).space.recogniser.recognise(german)

    assert first.encoded.count(german) == 1
    wording = shipped.wording("wvs7:Q1", "de")
    assert wording is not None
    assert wording.text in first.encoded
    assert again.encoded == [german]
    assert [path.name.split("-")[1] for path in tmp_path.glob("translation-*")] == ["de"]


def test_altered_vectors_are_refused(
    shipped: SurveyLibrary, multilingual: MultilingualModel, folder: Path, others: OtherLanguages
) -> None:
    others.space.recogniser.recognise("Доверяете ли Вы банкам?")
    [file] = folder.glob("translation-ru-*.npy")
    content = file.read_bytes()
    file.write_bytes(content[:-4] + b"\0\0\0\1")
    try:
        opened = open_them(shipped, multilingual, folder)
        with pytest.raises(IndexInvalid, match="translation-ru"):
            opened.space.recogniser.recognise("Доверяете ли Вы банкам?")
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("text", "core"),
    [
        (
            "Wie würden Sie Prostitution einstufen, auf einer Skala von 1 (nie) bis 10 (immer)?",
            "Wie würden Sie Prostitution einstufen",
        ),
        (
            "De 0, vai contra a democracia, a 10, essencial: é essencial obedecer?",
            "é essencial obedecer",
        ),
        ("如果1表示从不，10表示总是，自杀在多大程度上是正当的？", "自杀在多大程度上是正当的"),
        ("¿Confía en la policía?", "¿Confía en la policía?"),
        ("1 bis 10?", "1 bis 10?"),
    ],
)
def test_a_scale_is_left_out(text: str, core: str) -> None:
    assert strip_scale(text) == core


def test_only_words_that_nobody_spells_so_are_slips() -> None:
    known = "Wie wichtig ist die Arbeit in Ihrem Leben?"

    assert is_mistyped("wie wichtg ist die arbeit in ihrem leben", known, {"wichtig", "arbeit"})
    assert not is_mistyped("Wie wichtig ist die Arznei in Ihrem Leben?", known, {"arbeit"})
    assert not is_mistyped("Wie wichtig ist die Arbait in Ihrem Leben?", known, {"arbait"})
    assert not is_mistyped("Wie wichtig ist Arbeit in Ihrem Leben?", known, {"arbeit"})
    assert not is_mistyped("您信任警查吗", "您信任警察吗", set())


def test_words_roles_and_kinds_are_those_of_the_language() -> None:
    assert find_words("Was bedeutet Ihnen die Familie?", "de") == ("bedeutet", "familie")
    assert find_words("Avez-vous un chat ?", "fr") == ("avez", "vous", "chat")
    mother, father = "¿Le pega la madre al padre?", "¿Le pega el padre a la madre?"
    assert find_roles(mother, "es") == find_roles(father, "es")[::-1]
    assert find_kinds("Доверяют ли Вам?", "fr") == ()
    assert find_kinds("Wie viele Freunde haben Sie?", "de")[0]


@pytest.mark.parametrize(
    ("language", "fact", "degree"),
    [
        ("de", "Welcher Religion gehören Sie an?", "Welche Bedeutung hat Religion für Sie?"),
        ("de", "In welchem Jahr begann der Krieg?", "In welchem Maße vertrauen Sie der Polizei?"),
        ("de", "Wo wohnen Ihre Eltern?", "Wo würden Sie sich politisch einordnen?"),
        ("es", "¿Qué religión profesa?", "¿Qué importancia tiene la religión en su vida?"),
        ("es", "¿Cuándo se vota?", "Cuando hay elecciones, ¿con qué frecuencia vota?"),
        ("pt", "Qual é a sua religião?", "Qual é o seu nível de confiança nos bancos?"),
        ("pt", "Onde fica Genebra?", "Onde você se situa, à esquerda ou à direita?"),
        ("ru", "Какая у Вас религия?", "Какое значение имеет религия в Вашей жизни?"),
        ("ru", "Когда начались выборы?", "Когда проходят выборы, Вы голосуете?"),
        ("zh", "您信什么宗教？", "您认为自由和安全哪个更重要？"),
        ("zh", "您认识警察吗？", "您信任您认识的人吗？"),
    ],
)
def test_which_and_when_ask_for_a_fact_only_where_they_ask_for_no_degree(
    language: str, fact: str, degree: str
) -> None:
    assert find_kinds(fact, language)[FACT]
    assert not find_kinds(degree, language)[FACT]
