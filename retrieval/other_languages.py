"""Survey questions found by texts that are not English.

Across languages no cosine tells the same question from a like one, so a question is recognised by
its wording in the language that it is asked in; else those that it may be are offered.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np

from retrieval.encoder import CachedEncoder, Encoder, Vectors
from retrieval.foreign_text import strip_scale
from retrieval.index import QuestionIndex
from retrieval.language import is_english
from retrieval.question_space import QuestionSpace, shift
from retrieval.recognition import (
    CANDIDATE_REACH,
    N_CANDIDATES,
    Candidate,
    Recognition,
    choose,
)
from retrieval.text_language import TOLD, tell_language
from retrieval.translation import CERTAIN, Translation
from retrieval.value_classifier import find_classifier
from retrieval.vector_files import encode_once
from survey_data.json_lines import read_json_lines
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.wording import fold_text

# Cosines of multilingual-e5-small, centred, chosen by `python -m benchmarks.languages`.
SIMILARITY_FLOOR, SAME_QUESTION, POSSIBLE = 0.15, 0.45, 0.32
# Of a candidate that is worded in the language too: the mean of both cosines. Chosen by
# `python -m benchmarks.translations`.
POSSIBLE_WORDED = 0.44
VECTORS, WORDINGS, CENTRE = "multilingual", "translation", "centre"
# The mean of one question is the question, and lies between two.
ENOUGH_FOR_CENTRE = 3
ENGLISH = "en"
_AROUND = re.compile(r"^\W+|\W+$")


class TranslationRecogniser:
    """Recognises questions by their wording in another language. Safe to share."""

    def __init__(
        self,
        library: SurveyLibrary,
        index: QuestionIndex,
        encoder: Encoder,
        centre: Vectors,
        *,
        encode_wordings: Callable[[str, Sequence[str]], Vectors],
    ) -> None:
        """Take the index, `encoder` for what is asked, and the centre of the space they are in.

        `encode_wordings` returns the vectors of texts in a language as `encoder` makes them. It is
        called when the language is first asked in.
        """
        self._questions, self._index = library.questions, index
        self._encoder, self._centre = encoder, centre
        self._encode_wordings, self._opening = encode_wordings, threading.Lock()
        self._opened: dict[str, Translation] = {}
        self._worded: dict[str, list[Question]] = {}
        self._in: dict[str, list[Question]] = {}
        for key, question in library.questions.items():
            for language in library.languages:
                wording = library.wording(key, language)
                if wording is not None:
                    worded = question.reworded(wording)
                    self._worded.setdefault(_fold(wording.text), []).append(worded)
                    self._in.setdefault(language, []).append(worded)

    def recognise(self, text: str, *, answered: Collection[str] = ()) -> Recognition:
        """Return the survey question that `text` asks, or those that it may be asking.

        A recognised one has the wording and the options of its translation. Where several surveys
        have it, it is the first one whose key is in `answered`, else the first.

        Raises:
            RetrievalError: the vectors of a language cannot be had.
        """
        worded = self._worded.get(_fold(text))
        if worded is not None:
            return choose(worded, 1.0, answered)
        [vector] = self._encoder.encode([text])
        cosines: Vectors = self._index.vectors @ shift(vector[None], self._centre)[0]
        translations = [self.open_translation(each) for each in self.find_languages(text)]
        compared = [
            (translation, each)
            for translation in translations
            for each in translation.compare(text, vector, cosines)
        ]
        if compared:
            translation, best = max(compared, key=lambda each: each[1].odds)
            if best.odds >= CERTAIN:
                found = translation.same_as(best.row)
                return choose(found, best.features.similarity, answered)
        return Recognition(None, self._find_candidates(cosines, translations, vector))

    def find_languages(self, text: str) -> list[str]:
        """Return the languages of wordings that a text may be in.

        Where nothing tells, they are those that no text is told to be in.
        """
        told = tell_language(text)
        others = [each for each in self._in if not _is_of(each, ENGLISH)]
        if told is not None:
            return [each for each in others if _is_of(each, told)]
        return [each for each in others if not any(_is_of(each, tag) for tag in TOLD)]

    def open_translation(self, language: str) -> Translation:
        """Return the wordings in a language, whose vectors are made where they are not there yet.

        Raises:
            RetrievalError: they cannot be had.
        """
        with self._opening:
            if language not in self._opened:
                self._opened[language] = self._open(language)
            return self._opened[language]

    def _open(self, language: str) -> Translation:
        questions = self._in[language]
        texts = [question.text for question in questions]
        cores = [strip_scale(text) for text in texts]
        each = list(dict.fromkeys([*texts, *cores]))
        vectors = dict(zip(each, self._encode_wordings(language, each), strict=True))
        row_of = {key: row for row, key in enumerate(self._index.keys)}
        return Translation(
            language,
            questions,
            vectors=np.array([vectors[text] for text in texts]),
            core_vectors=np.array([vectors[core] for core in cores]),
            rows=[row_of[question.key] for question in questions],
        )

    def _find_candidates(
        self, cosines: Vectors, translations: Sequence[Translation], vector: Vectors
    ) -> tuple[Candidate, ...]:
        """Return the questions nearest in their own wording or in that of a translation."""
        placed, possible = cosines.copy(), np.full(len(cosines), POSSIBLE)
        for translation in translations:
            rows = translation.rows
            placed[rows] = (cosines[rows] + translation.measure(vector)) / 2
            possible[rows] = POSSIBLE_WORDED
        order = np.argsort(-placed, kind="stable")[:N_CANDIDATES]
        least = float(placed[order[0]]) - CANDIDATE_REACH
        return tuple(
            Candidate(self._questions[self._index.keys[row]], float(placed[row]))
            for row in order
            if placed[row] >= max(least, possible[row])
        )


class OtherLanguages:
    """Finds questions by texts in other languages than English. Thread-safe."""

    def __init__(
        self,
        library: SurveyLibrary,
        *,
        folder: Path,
        asked: Encoder,
        found: Encoder,
        known: Collection[str],
        similarity_floor: float = SIMILARITY_FLOOR,
        same_question: float = SAME_QUESTION,
        cache_entries: int = 4096,
        unload: Callable[[], None] | None = None,
    ) -> None:
        """Find the questions of `library`, whose vectors are kept in `folder`.

        `asked` encodes texts and translations, `found` questions, into one space. English is told
        by the words `known`, in lower case. The other numbers are those of the space. `unload` is
        called when all is prepared, to free what the encoders have loaded.
        """
        self._library, self._folder, self._found = library, folder, found
        self._wordings = asked
        self._asked = CachedEncoder(asked, max_entries=cache_entries)
        self._known, self._unload = known, unload
        self._similarity_floor, self._same_question = similarity_floor, same_question
        self._opening = threading.Lock()

    def takes(self, text: str) -> bool:
        """Return whether a text is not English."""
        return not is_english(text, self._known)

    def prepare(self) -> None:
        """Make the vectors that are not there yet, for some 10 ms a question.

        Raises:
            As `space`.
        """
        self.space  # noqa: B018  # a property that is kept
        if self._unload is not None:
            self._unload()

    @property
    def space(self) -> QuestionSpace:
        """The questions as these languages find them, opened when first used.

        Raises:
            IndexInvalid: the vectors were altered or cannot be read.
            IndexUnwritable: new ones cannot be saved.
            EncoderUnavailable: new ones are needed, and the encoder cannot be loaded.
        """
        with self._opening:
            return self._space

    @cached_property
    def _space(self) -> QuestionSpace:
        library, encoder = self._library, self._asked
        texts = [question.text for question in library.questions.values()]
        vectors = encode_once(self._folder, VECTORS, texts, self._found)
        centre = self._find_centre(vectors)
        index = QuestionIndex(
            tuple(library.questions),
            shift(vectors, centre),
            answered={culture: library.keys_of(culture) for culture in library.cultures},
            model_id=self._found.model_id,
        )
        return QuestionSpace(
            index=index,
            encoder=encoder,
            recogniser=TranslationRecogniser(
                library, index, encoder, centre, encode_wordings=self._encode_wordings
            ),
            similarity_floor=self._similarity_floor,
            same_question=self._same_question,
            centre=centre,
            classifier=find_classifier(encoder.model_id),
        )

    def _find_centre(self, vectors: Vectors) -> Vectors:
        """Return the mean of the questions, of few ones together with those of a shipped pack."""
        if len(vectors) < ENOUGH_FOR_CENTRE:
            shipped = encode_once(self._folder, CENTRE, _read_shipped_texts(), self._found)
            vectors = np.concatenate([vectors, shipped])
        centre: Vectors = vectors.mean(axis=0)
        return centre

    def _encode_wordings(self, language: str, texts: Sequence[str]) -> Vectors:
        # Not through the cache, which is for what is asked.
        name = f"{WORDINGS}-{language.replace('-', '_')}"
        return encode_once(self._folder, name, texts, self._wordings)


def _read_shipped_texts() -> list[str]:
    file = Path(str(files("survey_data") / "packs" / "wvs7" / "questions.jsonl"))
    return [str(line["text"]) for _, line in read_json_lines(file)]


def _is_of(tag: str, language: str) -> bool:
    return tag.partition("-")[0] == language


def _fold(text: str) -> str:
    return _AROUND.sub("", fold_text(text))
