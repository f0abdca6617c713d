"""Whether a text asks for a value: an attitude, a belief, a norm, or how people live by them.

A logistic regression on the vector that a text is looked up by, so it costs no encoding. Weights
are for the vectors of one encoder; `python -m benchmarks.steering --fit` makes them.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from retrieval.encoder import Vectors

FILE: Final = "value_classifier.json"
SCHEMA_VERSION: Final = 1
# The probability from which a text is taken to ask for a value.
VALUE_FROM = 0.5


class FittedWeights(BaseModel):
    """What was fitted on the vectors of one encoder, and how well it told in cross-validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    encoder: str
    n_values: int
    n_others: int
    values_found: float
    others_taken: float
    intercept: float
    weights: tuple[float, ...]


class ClassifierFile(BaseModel):
    """The file of weights, with what they were made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    made_by: str
    training_sha256: dict[str, str]
    fitted: tuple[FittedWeights, ...]


class ValueClassifier:
    """Tells by a vector whether its text asks for a value. Safe to share between threads."""

    def __init__(self, fitted: FittedWeights) -> None:
        self._weights: Vectors = np.array(fitted.weights, dtype=np.float32)
        self._intercept = fitted.intercept

    def probability(self, vector: Vectors) -> float:
        """Return the probability, in [0, 1], that a text asks for a value.

        `vector` is what the encoder says of it, float32[dim].
        """
        odds = float(vector @ self._weights) + self._intercept
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, odds))))


@cache
def read_classifier_file() -> ClassifierFile:
    """Return the file of weights that Milieu ships."""
    content = files("retrieval").joinpath(FILE).read_bytes()
    return ClassifierFile.model_validate_json(content)


def find_classifier(encoder: str) -> ValueClassifier | None:
    """Return what tells by the vectors of the encoder with that id; None where nothing does."""
    fitted = (each for each in read_classifier_file().fitted if each.encoder == encoder)
    return next((ValueClassifier(each) for each in fitted), None)
