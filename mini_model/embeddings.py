"""Embeddings and output vectors: what a token is for the circuit, and what it means."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mini_model import places as at
from mini_model.negative_words import is_negative
from mini_model.tokenizer import ANSWER, ASSISTANT, END, MAX_LABEL, SYSTEM, find_label_ids
from retrieval.encoder import Encoder

# How long the meaning of a token is, in length: it gets little room if the structure says all.
MEANING, MEANING_BESIDE_STRUCTURE = 0.85, 0.2
# How long is what tells words apart that the encoder cannot, beside a meaning of length 1.
NOISE = 0.35


def make_embeddings(words: Tokenizer, encoder: Encoder) -> npt.NDArray[np.float32]:
    """Return float32[vocabulary, HIDDEN_SIZE], one vector of length 1 per token."""
    rows = np.zeros((words.get_vocab_size(), at.HIDDEN_SIZE), dtype=np.float32)
    labels = {token: int(label) for label, token in find_label_ids(words).items()}
    cues = {words.encode(ANSWER).ids[0], words.encode(ASSISTANT).ids[0]}
    drawn = np.random.default_rng(3).normal(size=(at.N_WORDS, at.N_GIST))
    directions = np.linalg.qr(drawn)[0].T
    for i, meaning in enumerate(_encode_meanings(words, encoder)):
        text = words.decode([i])
        own = _find_structure(text, labels.get(i))
        if i in cues:
            own = {at.CUE: at.FLAG}
        elif i == words.token_to_id(SYSTEM):
            own = {at.SINK: at.FLAG}
        marks = {at.NO_WORD: at.FLAG} if i == words.token_to_id(END) else _find_marks(text)
        size = MEANING_BESIDE_STRUCTURE if own else MEANING
        rows[i, at.WORDS : at.WORDS + at.N_WORDS] = size * meaning
        if at.SINK not in own:
            gist = directions @ meaning
            rows[i, at.GIST : at.GIST + at.N_GIST] = at.UNITS[at.GIST] * size * gist
        for place, value in (own or marks).items():
            rows[i, place] = value
        rows[i, at.CONSTANT] = at.ONE
        rows[i, at.FILL] = math.sqrt(max(0.0, 1.0 - float(rows[i] @ rows[i])))
    return rows


def make_outputs(rows: npt.NDArray[np.float32], words: Tokenizer) -> npt.NDArray[np.float32]:
    """Return the output vectors to embeddings: of labels their label alone, else what they mean."""
    found = np.zeros_like(rows)
    meaning = slice(at.WORDS, at.WORDS + at.N_WORDS)
    found[:, meaning] = 0.6 * rows[:, meaning]
    # The first two features grow with the percentage, so they cannot tell which one is meant.
    waves = slice(at.PERCENT_FEATURES + 2, at.PERCENT_FEATURES + at.N_PERCENT_FEATURES)
    found[:, waves] = 4 * rows[:, waves]
    for label, token in find_label_ids(words).items():
        found[token] = 0.0
        found[token, at.LABEL + int(label)] = 0.5
    return found


def _find_structure(text: str, label: int | None) -> dict[int, float]:
    """Return the places, and their values in length, that say what kind of token `text` is."""
    if label is not None:
        return {at.LABEL + label: at.FLAG, at.LABEL_KEY: at.FLAG}
    if text == "\n":
        return {at.NO_WORD: at.FLAG}
    if (found := re.fullmatch(r"( ?)(\d+)\.", text)) and int(found[2]) <= MAX_LABEL:
        number = int(found[2])
        if found[1]:
            return {at.LABEL + number: at.FLAG, at.SHARE_MARKER: at.FLAG}
        return {at.LABEL + number: at.FLAG, at.MARKER: at.FLAG, at.VALUE: number * at.NUMBER}
    if (found := re.fullmatch(r" ?(\d+)%", text)) and int(found[1]) <= 100:
        return _describe_percentage(int(found[1]))
    return {}


def _find_marks(text: str) -> dict[int, float]:
    """Return what the circuit has to know about a word besides its meaning."""
    if is_negative(text):
        return {at.NEGATIVE: at.FLAG}
    if re.fullmatch(r" \d+", text):
        return {at.NO_WORD: at.FLAG}
    if text in (" a", " an"):
        return {at.ARTICLE: at.FLAG}
    return {at.CULTURAL: at.FLAG} if text == " cultural" else {}


def _describe_percentage(percent: int) -> dict[int, float]:
    angles = [math.pi * percent / 100 * 2**n for n in range(6)]
    waves = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    features = [percent / 100, math.sqrt(percent / 100), *waves]
    places = range(at.PERCENT_FEATURES, at.PERCENT_FEATURES + at.N_PERCENT_FEATURES)
    # Half a percent more than it says, so that 0% has a logarithm too.
    own = {at.PERCENT: at.FLAG, at.LOG_SHARE: math.log(2 * percent + 1) * at.NUMBER}
    return own | {
        place: float(at.UNITS[place]) * value for place, value in zip(places, features, strict=True)
    }


def _encode_meanings(words: Tokenizer, encoder: Encoder) -> npt.NDArray[np.float32]:
    """Return float32[vocabulary, N_WORDS], rows of length 1: similar tokens have similar ones."""
    texts = [words.decode([i]).strip() for i in range(words.get_vocab_size())]
    meaning = _find_components(encoder.encode(texts))
    # The encoder knows no capitals and no blanks, but a reply has to tell them apart.
    meaning += np.random.default_rng(0).normal(0.0, NOISE / math.sqrt(at.N_WORDS), meaning.shape)
    meaning /= np.linalg.norm(meaning, axis=1, keepdims=True)
    # A reply quotes what a prompt has in brackets.
    for reply, prompt in ((' "', " ("), ('"', ")")):
        (quote,), (bracket,) = (words.encode(text).ids for text in (reply, prompt))
        meaning[quote] = meaning[bracket]
    return meaning


def _find_components(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return float32[n, N_WORDS], the principal components of `vectors`, as rows of length 1."""
    left, sizes, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    found = np.asarray(left[:, : at.N_WORDS] * np.sqrt(sizes[: at.N_WORDS]), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found
