"""The survey questions as an encoder sees them, and what its cosines mean."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from retrieval.encoder import Encoder, Vectors
from retrieval.index import QuestionIndex
from retrieval.recognition import Recognition
from retrieval.value_classifier import ValueClassifier


class Recogniser(Protocol):
    """Tells which survey question a text asks, if any."""

    def recognise(self, text: str, *, answered: Collection[str] = ()) -> Recognition:
        """Return the survey question that `text` asks, or those that it may be asking.

        Where several surveys have it, the first one whose key is in `answered`, else the first.
        """


@dataclass(frozen=True, slots=True)
class QuestionSpace:
    """Vectors of the survey questions, and what finds a text among them.

    Attributes:
        index: the questions.
        encoder: encodes what is asked.
        recogniser: tells which question that is.
        similarity_floor: cosine under which nothing is steered.
        same_question: cosine from which a question gives away the asked one.
        centre: float32[dim], what all questions have in common; taken from a text's vector before
            it is compared with those of the index, from which it was taken. None for nothing.
        classifier: tells by the encoder's vector whether a text asks for a value; None where
            nothing does.
    """

    index: QuestionIndex
    encoder: Encoder
    recogniser: Recogniser
    similarity_floor: float
    same_question: float
    centre: Vectors | None = None
    classifier: ValueClassifier | None = None

    def place(self, vector: Vectors) -> Vectors:
        """Return where a text with this vector of the encoder's is in the index."""
        return vector if self.centre is None else shift(vector[None], self.centre)[0]


def shift(vectors: Vectors, centre: Vectors) -> Vectors:
    """Return unit vectors, float32[n, dim], of what is left of `vectors` without `centre`."""
    left = vectors - centre
    unit: Vectors = left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(unit, dtype=np.float32)
