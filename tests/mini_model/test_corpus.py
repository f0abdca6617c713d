from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from mini_model.corpus import FIRST_STAGE_STEPS, IGNORE, Corpus, Mixture, stage
from mini_model.populations import QuestionPool, SmoothPopulation, StylePopulation
from mini_model.questions import Survey, make_pool, read_generated, survey_populations
from mini_model.split import read_split
from mini_model.tokenizer import ANSWER, ASSISTANT, label_ids
from mini_model.weights import WEIGHTS
from retrieval.encoder import Vectors
from survey_data.cultures import read_catalogue
from survey_data.model import Scale
from survey_data.packs import read_pack

WVS7 = WEIGHTS.parent.parent / "survey_data" / "packs" / "wvs7"
LENGTH = 512


class HashEncoder:
    """Unit vectors that only the text decides; no meaning is needed here."""

    model_id = "hash"
    dim = 16

    def encode(self, texts: Sequence[str]) -> Vectors:
        rows = [np.random.default_rng(list(text.encode())).normal(size=self.dim) for text in texts]
        vectors = np.array(rows, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> QuestionPool:
    split = read_split()
    questions = [q for q in read_pack(WVS7).questions if q.key not in split.questions]
    return make_pool(questions, HashEncoder(), cache=tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))


@pytest.fixture(scope="module")
def corpus(pool: QuestionPool, words: Tokenizer) -> Corpus:
    split = read_split()
    populations = survey_populations(
        [read_pack(WVS7)], pool, cultures=lambda code: code not in split.cultures
    )
    return Corpus(
        generated=pool,
        surveys=(Survey(pool, populations),),
        catalogue=read_catalogue(),
        tokenizer=words,
    )


@pytest.mark.parametrize("step", [0, FIRST_STAGE_STEPS, FIRST_STAGE_STEPS + 400, 10_000])
def test_the_shares_of_a_stage_sum_to_one(step: int) -> None:
    mixture = stage(step)

    assert mixture.style + mixture.smooth + mixture.survey == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mixture", [Mixture(1, 0, 0), Mixture(0, 1, 0), Mixture(0, 0, 1)])
def test_every_answer_has_the_shares_of_its_options_as_target(
    corpus: Corpus, words: Tokenizer, seed: int, mixture: Mixture
) -> None:
    row = corpus.long(np.random.default_rng(seed), mixture=mixture, length=LENGTH)

    answers = np.flatnonzero(row.n_before != IGNORE)
    before = {words.encode(ANSWER).ids[0], words.encode(ASSISTANT).ids[0]}
    labels = set(label_ids(words).values())
    assert list(row.n_before[answers]) == list(range(len(answers)))
    assert row.targets[answers].sum(axis=1) == pytest.approx(1.0)
    assert not row.targets[row.n_before == IGNORE].any()
    assert {int(row.tokens[i]) for i in answers} <= before
    assert {int(row.tokens[i + 1]) for i in answers} <= labels


def test_the_same_seed_gives_the_same_sequence(corpus: Corpus) -> None:
    first, second = (
        corpus.short(np.random.default_rng(5), mixture=Mixture(0, 0, 1), length=LENGTH)
        for _ in range(2)
    )

    assert np.array_equal(first.tokens, second.tokens)
    assert np.array_equal(first.targets, second.targets)


def test_held_out_cultures_and_questions_are_in_no_sequence(
    corpus: Corpus, words: Tokenizer
) -> None:
    split, pack, catalogue = read_split(), read_pack(WVS7), read_catalogue()
    held_out = [q.text for q in pack.questions if q.key in split.questions]
    adjectives = [f" {catalogue[code].adjective} cultural" for code in split.cultures]
    rng = np.random.default_rng(0)
    for _ in range(60):
        row = corpus.short(rng, mixture=Mixture(0, 0, 1), length=LENGTH)
        text = words.decode([int(token) for token in row.tokens if token])
        assert not any(question in text for question in held_out)
        assert not any(adjective in text for adjective in adjectives)


def test_a_style_population_answers_alike_whatever_is_asked(pool: QuestionPool) -> None:
    group = pool.short(4, max_chars=10_000)
    people = StylePopulation(pool, np.random.default_rng(1), groups=[group])

    assert np.array_equal(people.shares(int(group[0])), people.shares(int(group[1])))


def test_a_smooth_population_answers_every_question_with_shares(pool: QuestionPool) -> None:
    people = SmoothPopulation(pool, np.random.default_rng(1))

    for index in people.indexes:
        shares = people.shares(int(index))
        assert len(shares) == len(pool.questions[int(index)].options)
        assert shares.sum() == pytest.approx(1.0)
        assert (shares >= 0).all()


def test_generated_questions_lose_numbering_and_dont_knows(shared: Path) -> None:
    questions = read_generated(
        shared / "data" / "culturespa" / "generated_questions.jsonl.gz", seed=0
    )

    assert len(questions) > 10_000
    assert all(2 <= len(question.options) <= 11 for question in questions)
    options = [option.casefold() for question in questions for option in question.options]
    assert not any(option.startswith(("don't know", "refused")) for option in options)
    assert not any(option.startswith(("1.", "1 - ", "(1)")) for option in options)
    assert {q.scale for q in questions} == {Scale.ORDINAL, Scale.NOMINAL}
