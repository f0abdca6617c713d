"""Survey questions found by texts that are not English.

Across languages no cosine tells the same question from a like one, so a question is recognised by
its wording in a translation alone; else those that it may be are offered.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import numpy as np

from retrieval.encoder import CachedEncoder, Encoder, Vectors
from retrieval.index import QuestionIndex
from retrieval.language import is_english
from retrieval.question_space import QuestionSpace, shift
from retrieval.recognition import CANDIDATE_REACH, N_CANDIDATES, Candidate, Recognition
from retrieval.value_classifier import find_classifier
from retrieval.vector_files import encode_once
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.wording import fold_text

# Cosines of multilingual-e5-small, centred, chosen by `python -m benchmarks.languages`.
SIMILARITY_FLOOR, SAME_QUESTION, POSSIBLE = 0.15, 0.45, 0.32
VECTORS = "multilingual"
_AROUND = re.compile(r"^\W+|\W+$")


class TranslationRecogniser:
    """Recognises questions by their wording in another language. Safe to share."""

    def __init__(
        self, library: SurveyLibrary, index: QuestionIndex, encoder: Encoder, centre: Vectors
    ) -> None:
        """Take the index, `encoder` for what is asked, and the centre of the space they are in."""
        self._questions, self._index = library.questions, index
        self._encoder, self._centre = encoder, centre
        self._worded: dict[str, list[Question]] = {}
        for key, question in library.questions.items():
            for language in library.languages:
                wording = library.wording(key, language)
                if wording is not None:
                    worded = question.reworded(wording)
                    self._worded.setdefault(_fold(wording.text), []).append(worded)

    def recognise(self, text: str, *, answered: Collection[str] = ()) -> Recognition:
        """Return the survey question that `text` asks, or those that it may be asking.

        A recognised one has the wording and the options of its translation. Where several surveys
        have it, it is the first one whose key is in `answered`, else the first.
        """
        worded = self._worded.get(_fold(text))
        if worded is not None:
            chosen = next((each for each in worded if each.key in answered), worded[0])
            return Recognition(chosen, (Candidate(chosen, 1.0),))
        [vector] = shift(self._encoder.encode([text]), self._centre)
        cosines = self._index.vectors @ vector
        order = np.argsort(-cosines, kind="stable")[:N_CANDIDATES]
        least = max(POSSIBLE, float(cosines[order[0]]) - CANDIDATE_REACH)
        near = (
            Candidate(self._questions[self._index.keys[row]], float(cosines[row]))
            for row in order
            if cosines[row] >= least
        )
        return Recognition(None, tuple(near))


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
    ) -> None:
        """Find the questions of `library`, whose vectors are kept in `folder`.

        `asked` encodes texts and `found` questions, into one space. English is told by the words
        `known`, in lower case. The other numbers are those of the space.
        """
        self._library, self._folder, self._found = library, folder, found
        self._asked = CachedEncoder(asked, max_entries=cache_entries)
        self._known = known
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
        centre: Vectors = vectors.mean(axis=0)
        index = QuestionIndex(
            tuple(library.questions),
            shift(vectors, centre),
            answered={culture: library.keys_of(culture) for culture in library.cultures},
            model_id=self._found.model_id,
        )
        return QuestionSpace(
            index=index,
            encoder=encoder,
            recogniser=TranslationRecogniser(library, index, encoder, centre),
            similarity_floor=self._similarity_floor,
            same_question=self._same_question,
            centre=centre,
            classifier=find_classifier(encoder.model_id),
        )


def _fold(text: str) -> str:
    return _AROUND.sub("", fold_text(text))
