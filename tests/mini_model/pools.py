"""A pool, a corpus and a tokenizer of the `wvs7` pack, for tests that need no learned vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tokenizers import Tokenizer

from mini_model.corpus import Corpus, list_tokenizer_texts
from mini_model.populations import QuestionPool
from mini_model.questions import Survey, make_pool, make_survey_populations
from mini_model.tokenizer import train_tokenizer
from mini_model.weights import WEIGHTS
from retrieval.encoder import Vectors
from survey_data.cultures import read_catalogue
from survey_data.model import Pack
from survey_data.packs import read_pack
from survey_data.split import read_split

WVS7 = WEIGHTS.parent.parent / "survey_data" / "packs" / "wvs7"


class HashEncoder:
    """Unit vectors that only the text decides; no meaning is needed here."""

    model_id = "hash"
    dim = 16

    def encode(self, texts: Sequence[str]) -> Vectors:
        rows = [np.random.default_rng(list(text.encode())).normal(size=self.dim) for text in texts]
        vectors = np.array(rows, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@cache
def wvs7() -> Pack:
    return read_pack(WVS7)


@cache
def wvs7_pool() -> QuestionPool:
    split = read_split()
    questions = [q for q in wvs7().questions if q.key not in split.questions]
    with TemporaryDirectory() as folder:
        return make_pool(questions, HashEncoder(), cache=Path(folder))


@cache
def small_tokenizer() -> Tokenizer:
    return train_tokenizer(list_tokenizer_texts([wvs7_pool()], {}))


@cache
def wvs7_corpus() -> Corpus:
    """The corpus of `wvs7`, whose questions stand for generated ones too."""
    pool, split = wvs7_pool(), read_split()
    populations = make_survey_populations(
        [wvs7()], pool, cultures=lambda code: code not in split.cultures
    )
    return Corpus(
        generated=pool,
        surveys=(Survey(pool, populations),),
        catalogue=read_catalogue(),
        tokenizer=small_tokenizer(),
    )
