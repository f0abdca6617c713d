from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from mini_model.corpus import IGNORE, TAUGHT_BARE, Corpus, TrainingSequence, is_taught
from mini_model.populations import QuestionPool, SmoothPopulation, StylePopulation
from mini_model.questions import read_generated
from mini_model.replies import CANNOT_HELP, LIKE_ME, read
from mini_model.stages import LAST_STAGE_STEP, SECOND_STAGE_STEP, Kind, Mixture, mix
from mini_model.tokenizer import ANSWER, ASSISTANT, END, find_label_ids
from prompting.question_writing import AttemptOutcome, read_reply
from survey_data.cultures import read_catalogue
from survey_data.model import Scale
from survey_data.split import read_split
from tests.mini_model.pools import small_tokenizer, wvs7, wvs7_corpus, wvs7_pool

LENGTH = 512


@pytest.fixture(scope="module")
def pool() -> QuestionPool:
    return wvs7_pool()


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return small_tokenizer()


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return wvs7_corpus()


def only(kind: Kind, population: str = "survey") -> Mixture:
    """The mixture of requests of one kind, about populations of one kind."""
    return Mixture(
        style=float(population == "style"),
        smooth=float(population == "smooth"),
        survey=float(population == "survey"),
        open=float(kind is Kind.OPEN),
        other=float(kind is Kind.OTHER),
        json=float(kind is Kind.JSON),
        free=float(kind is Kind.FREE),
    )


def texts(words: Tokenizer, row: TrainingSequence) -> tuple[str, str]:
    """What the model is sent, and what it is to reply."""
    tokens = [int(token) for token in row.tokens if token]
    place = tokens.index(words.encode(ASSISTANT).ids[0]) + 1
    return (
        words.decode(tokens[:place], skip_special_tokens=False),
        words.decode(tokens[place:], skip_special_tokens=False),
    )


@pytest.mark.parametrize("step", [0, SECOND_STAGE_STEP, 500, LAST_STAGE_STEP, 10_000])
def test_the_shares_of_a_stage_sum_to_one(step: int) -> None:
    mixture = mix(step)

    assert mixture.style + mixture.smooth + mixture.survey == pytest.approx(1.0)


def label_places(words: Tokenizer, row: TrainingSequence) -> list[int]:
    """The places before the labels of exemplars, and before that of the asked question."""
    before = {words.encode(ANSWER).ids[0], words.encode(ASSISTANT).ids[0]}
    labels = set(find_label_ids(words).values())
    tokens = [int(token) for token in row.tokens]
    return [i for i, (a, b) in enumerate(pairwise(tokens)) if a in before and b in labels]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", [Kind.SURVEY, Kind.FREE])
@pytest.mark.parametrize("population", ["style", "smooth", "survey"])
def test_every_taught_answer_has_the_shares_of_its_options_as_target(
    corpus: Corpus, words: Tokenizer, seed: int, kind: Kind, population: str
) -> None:
    mixture = only(kind, population)
    row = corpus.draw(np.random.default_rng(seed), mixture=mixture, n_exemplars=8, length=LENGTH)

    places, taught = label_places(words, row), np.flatnonzero(row.n_before != IGNORE)
    assert int(row.tokens[places[-1]]) == words.encode(ASSISTANT).ids[0]
    assert places[-1] in taught
    assert [places[n] for n in row.n_before[taught]] == list(taught)
    assert row.targets[taught].sum(axis=1) == pytest.approx(1.0)
    assert not row.targets[row.n_before == IGNORE].any()


@pytest.mark.parametrize("n_exemplars", [0, 6])
@pytest.mark.parametrize("population", ["style", "smooth", "survey"])
def test_answers_are_taught_with_or_without_exemplars_as_their_question_is(
    corpus: Corpus, words: Tokenizer, population: str, n_exemplars: int
) -> None:
    found: dict[str, set[str]] = {}
    for question in wvs7().questions:
        found.setdefault(question.text, set()).add(question.key)
    keys = {text: of.pop() for text, of in found.items() if len(of) == 1}
    rng, mixture, seen = np.random.default_rng(8), only(Kind.SURVEY, population), set()
    for _ in range(20):
        row = corpus.draw(rng, mixture=mixture, n_exemplars=n_exemplars, length=1024)
        prompt, _ = texts(words, row)
        asked = re.findall(r"Question: (.*)\nOptions:", prompt)
        places = label_places(words, row)
        assert len(asked) == len(places)
        for n, (text, place) in enumerate(zip(asked, places, strict=True)):
            if text in keys:
                taught = is_taught(keys[text], n_before=n)
                assert row.n_before[place] == (n if taught else IGNORE)
                seen.add(taught)
        assert row.n_before[places[-1]] != IGNORE

    assert seen == ({True} if n_exemplars == 0 else {True, False})


def test_survey_questions_are_taught_either_bare_or_with_exemplars() -> None:
    keys = [question.key for question in wvs7().questions]
    bare = {key for key in keys if is_taught(key, n_before=0)}

    for n_before in (1, 5):
        assert {key for key in keys if is_taught(key, n_before=n_before)} == set(keys) - bare
    # Three standard deviations of a share of 0.55 in 252 draws are 0.10.
    assert len(bare) / len(keys) == pytest.approx(TAUGHT_BARE, abs=0.10)


@pytest.mark.parametrize("n_before", [0, 1, 5])
def test_made_up_questions_are_always_taught(n_before: int) -> None:
    assert all(is_taught(f"generated:{i}", n_before=n_before) for i in range(100))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [Kind.SURVEY, Kind.FREE])
def test_after_the_label_the_end_is_taught(
    corpus: Corpus, words: Tokenizer, kind: Kind, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    row = corpus.draw(rng, mixture=only(kind), n_exemplars=3, length=LENGTH)

    label = row.count_tokens() - 2
    assert list(np.flatnonzero(row.reply_weight)) == [label]
    assert words.decode([int(row.tokens[label + 1])], skip_special_tokens=False) == END
    # The label that it follows is the likeliest one, not always the same.
    wanted = int(row.targets[label - 1].argmax())
    assert int(row.tokens[label]) == find_label_ids(words)[str(wanted)]


@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.OTHER, Kind.JSON])
def test_a_reply_is_trained_up_to_its_end(corpus: Corpus, words: Tokenizer, kind: Kind) -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        row = corpus.draw(rng, mixture=only(kind), n_exemplars=3, length=LENGTH)
        _, reply = texts(words, row)
        trained = [int(token) for token in row.tokens[1:][row.reply_weight[:-1] == 1.0]]
        assert words.decode(trained, skip_special_tokens=False) == reply
        assert reply.endswith(END)
        assert (row.n_before == IGNORE).all()
        assert not row.targets.any()


def test_questions_that_a_request_for_json_shows_are_taught_too_and_count_less(
    corpus: Corpus, words: Tokenizer
) -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        row = corpus.draw(rng, mixture=only(Kind.JSON), n_exemplars=3, length=LENGTH)
        prompt, _ = texts(words, row)
        shown = re.findall(r'\{"question": "(.*\]\})', prompt)
        weights = row.reply_weight[:-1]
        taught = row.tokens[1:][(weights > 0) & (weights < 1)]
        assert shown
        # The first token of each tells only that one begins.
        assert words.decode([int(token) for token in taught]) == "".join(shown)


def test_an_open_reply_says_what_the_first_exemplar_shows(corpus: Corpus, words: Tokenizer) -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        row = corpus.draw(rng, mixture=only(Kind.OPEN), n_exemplars=3, length=LENGTH)
        prompt, reply = texts(words, row)
        first = re.search(r"Answer: (\d+)(?: \((.*)\))?\n(?:Shares: (.*))?", prompt)
        if first is None:
            assert reply == f"{CANNOT_HELP}{END}"
            continue
        said = read(reply.removesuffix(END))
        assert said is not None
        assert said.option == (first[2] or first[1])
        if first[3]:
            assert f" {first[1]}. {said.percent}%" in f" {first[3]}"
        else:
            assert said.percent is None
        background = said.people.removeprefix("people with ").removesuffix(" background")
        assert f"{background} cultural background" in prompt or said.people == LIKE_ME
        assert ("cultural background" in prompt) == (said.people != LIKE_ME)


def test_other_requests_are_refused_whatever_exemplars_are_shown(
    corpus: Corpus, words: Tokenizer
) -> None:
    rng, n_with_exemplars = np.random.default_rng(4), 0
    for _ in range(40):
        row = corpus.draw(rng, mixture=only(Kind.OTHER), n_exemplars=3, length=LENGTH)
        prompt, reply = texts(words, row)
        n_with_exemplars += "Answer: " in prompt
        assert reply == f"{CANNOT_HELP}{END}"
    assert n_with_exemplars == 40


def test_a_new_question_is_one_that_the_service_can_read(corpus: Corpus, words: Tokenizer) -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        row = corpus.draw(rng, mixture=only(Kind.JSON), n_exemplars=3, length=LENGTH)
        prompt, reply = texts(words, row)
        found = read_reply(reply.removesuffix(END))
        assert found.outcome is AttemptOutcome.WRITTEN
        assert json.dumps(found.text) not in prompt


def test_kinds_are_as_frequent_as_the_mixture_says() -> None:
    rng, mixture = np.random.default_rng(0), Mixture(0, 0, 1)
    found = Counter(mixture.draw_kind(rng) for _ in range(4000))

    # Four standard deviations of a share of 0.58 in 4,000 draws are 0.031.
    for kind, share in {
        Kind.OPEN: 0.12, Kind.OTHER: 0.05, Kind.JSON: 0.18, Kind.FREE: 0.07, Kind.SURVEY: 0.58,
    }.items():  # fmt: skip
        assert found[kind] / 4000 == pytest.approx(share, abs=0.032)


@pytest.mark.parametrize("kind", list(Kind))
def test_what_does_not_fit_is_left_out(corpus: Corpus, kind: Kind) -> None:
    rng = np.random.default_rng(7)
    for _ in range(10):
        row = corpus.draw(rng, mixture=only(kind), n_exemplars=10, length=320)
        assert row.count_tokens() <= 320


@pytest.mark.parametrize("kind", list(Kind))
def test_the_same_seed_gives_the_same_sequence(corpus: Corpus, kind: Kind) -> None:
    first, second = (
        corpus.draw(np.random.default_rng(5), mixture=only(kind), n_exemplars=3, length=LENGTH)
        for _ in range(2)
    )

    assert np.array_equal(first.tokens, second.tokens)
    assert np.array_equal(first.targets, second.targets)


def test_held_out_cultures_and_questions_are_in_no_sequence(
    corpus: Corpus, words: Tokenizer
) -> None:
    split, pack, catalogue = read_split(), wvs7(), read_catalogue()
    held_out = [q.text for q in pack.questions if q.key in split.questions]
    adjectives = [f" {catalogue[code].adjective} cultural" for code in split.cultures]
    rng = np.random.default_rng(0)
    for _ in range(60):
        row = corpus.draw(rng, mixture=Mixture(0, 0, 1), n_exemplars=3, length=LENGTH)
        text = words.decode([int(token) for token in row.tokens if token])
        assert not any(question in text for question in held_out)
        assert not any(adjective in text for adjective in adjectives)


def test_a_style_population_answers_alike_whatever_is_asked(pool: QuestionPool) -> None:
    group = pool.find_short(4, max_chars=10_000)
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
