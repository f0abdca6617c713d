from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mini_model.embeddings import make_embeddings
from mini_model.places import (
    CONSTANT,
    FLAG,
    HIDDEN_SIZE,
    LABEL,
    LABEL_KEY,
    N_CONTEXT,
    N_READ_UNITS,
    OPTIONS_READ,
    WORDS,
)
from mini_model.reading import rescale
from mini_model.tokenizer import find_label_ids
from prompting.messages import AskedQuestion
from prompting.recipe import ExemplarStyle
from retrieval.encoders.opening import open_encoder
from tests.mini_model.untrained import SCALE, TEXTS, ZERO_TO_TEN, answer, exemplar, untrained, words

TEXT = "How happy are you?"
FALLING = (0.62, 0.23, 0.11, 0.04)
GOOD_FIRST = ("Always", "Often", "Seldom", "Never")


def asked(n_options: int) -> AskedQuestion:
    return AskedQuestion(TEXT, SCALE[:n_options])


@pytest.mark.parametrize("n_options", OPTIONS_READ)
def test_it_answers_with_the_shares_that_all_exemplars_have(n_options: int) -> None:
    shares = np.random.default_rng(n_options).dirichlet(np.full(n_options, 2.0)).tolist()
    exemplars = [exemplar(text, SCALE[:n_options], shares) for text in TEXTS[:3]]

    found = answer(asked(n_options), exemplars)

    assert found.shares == pytest.approx(shares, abs=0.06)
    assert found.label_mass > 0.85


def test_a_scale_from_zero_is_read_as_well() -> None:
    shares = np.random.default_rng(0).dirichlet(np.full(11, 2.0)).tolist()
    exemplars = [exemplar(text, ZERO_TO_TEN, shares, first_number=0) for text in TEXTS[:3]]

    found = answer(AskedQuestion(TEXT, ZERO_TO_TEN, first_number=0), exemplars)

    assert found.shares == pytest.approx(shares, abs=0.05)


def test_the_answer_follows_the_options_whose_shares_change_places() -> None:
    first, second = (
        answer(asked(4), [exemplar(text, SCALE[:4], shares) for text in TEXTS[:3]]).shares
        for shares in ((0.62, 0.23, 0.11, 0.04), (0.23, 0.62, 0.11, 0.04))
    )

    assert second == pytest.approx([first[1], first[0], first[2], first[3]], abs=0.05)
    assert first[0] - first[1] > 0.3


def test_exemplars_with_another_number_of_options_are_not_read() -> None:
    others = [exemplar(TEXTS[0], SCALE[:2], (0.02, 0.98)), exemplar(TEXTS[1], SCALE[:3], (1, 0, 0))]

    assert answer(asked(4), others).shares == pytest.approx([0.25] * 4, abs=0.02)


def test_exemplars_with_another_number_of_options_do_not_disturb_the_others() -> None:
    fitting = exemplar(TEXTS[0], SCALE[:4], FALLING)
    other = exemplar(TEXTS[1], SCALE[:2], (0.02, 0.98))

    assert answer(asked(4), [fitting, other]).shares == pytest.approx(FALLING, abs=0.06)
    assert answer(asked(4), [other, fitting]).shares == pytest.approx(FALLING, abs=0.06)


def test_nearer_exemplars_count_more() -> None:
    falling = exemplar(TEXTS[0], SCALE[:4], FALLING)
    rising = exemplar(TEXTS[1], SCALE[:4], FALLING[::-1])

    falls = answer(asked(4), [falling, rising]).shares
    rises = answer(asked(4), [rising, falling]).shares

    assert falls[0] - falls[3] > 0.02
    assert rises[3] - rises[0] > 0.02
    # The farther one counts too: alone, the nearer one gives 0.62.
    assert max(*falls, *rises) < 0.5


def test_an_exemplar_without_shares_counts_for_its_answer() -> None:
    exemplars = [exemplar(text, SCALE[:4], FALLING[::-1]) for text in TEXTS[:3]]

    shares = answer(asked(4), exemplars, style=ExemplarStyle.MODE).shares

    # One vote tells nothing about the options that were not chosen.
    assert shares[:3] == pytest.approx([shares[0]] * 3, abs=0.02)
    assert shares[3] > 1.5 * shares[0]


@pytest.mark.parametrize("n_exemplars", [1, 3])
@pytest.mark.parametrize("shown", [GOOD_FIRST, GOOD_FIRST[::-1]])
@pytest.mark.parametrize("turned", [False, True])
def test_shares_are_turned_where_the_asked_scale_runs_the_other_way(
    shown: tuple[str, ...], turned: bool, n_exemplars: int
) -> None:
    shares = (0.5, 0.1, 0.35, 0.05)
    exemplars = [exemplar(text, shown, shares) for text in TEXTS[:n_exemplars]]

    found = answer(AskedQuestion(TEXT, shown[::-1] if turned else shown), exemplars)

    assert found.shares == pytest.approx(shares[::-1] if turned else shares, abs=0.08)


def test_exemplars_whose_scales_run_either_way_are_averaged_by_what_options_say() -> None:
    shares = (0.5, 0.1, 0.35, 0.05)
    exemplars = [
        exemplar(TEXTS[0], GOOD_FIRST, shares),
        exemplar(TEXTS[1], GOOD_FIRST[::-1], shares[::-1]),
    ]

    found = answer(AskedQuestion(TEXT, GOOD_FIRST), exemplars)

    assert found.shares == pytest.approx(shares, abs=0.08)


@pytest.mark.parametrize("first_number", [0, 1])
def test_a_numbered_scale_is_turned_from_the_number_that_it_begins_with(first_number: int) -> None:
    shown = ("Never", *(str(n) for n in range(first_number + 1, 10)), "Always")
    shares = np.random.default_rng(1).dirichlet(np.full(len(shown), 2.0)).tolist()
    exemplars = [exemplar(t, shown, shares, first_number=first_number) for t in TEXTS[:3]]

    found = answer(AskedQuestion(TEXT, shown[::-1], first_number=first_number), exemplars)

    assert found.shares == pytest.approx(shares[::-1], abs=0.05)


def test_shares_of_other_options_count_less_than_those_of_the_same() -> None:
    options = ("Mostly", "Usually", "Daily", "Hourly")
    same, other = (
        answer(AskedQuestion(TEXT, shown), [exemplar(t, options, FALLING) for t in TEXTS[:3]])
        for shown in (options, ("Regularly", "Sometimes", "Often", "Always"))
    )

    assert same.shares[0] / same.shares[3] > 1.5 * other.shares[0] / other.shares[3]
    assert other.shares[0] / other.shares[3] > 1.5


def test_calibration_weakens_shares_alone() -> None:
    model = copy.deepcopy(untrained())

    rescale(model.model.layers[2], np.full(len(OPTIONS_READ), 2.0))

    now, before = (
        each.get_parameter("model.layers.2.mlp.down_proj.weight").detach()
        for each in (model, untrained())
    )
    assert torch.equal(now[:, :N_READ_UNITS], before[:, :N_READ_UNITS] / 2)
    assert torch.equal(now[:, N_READ_UNITS:], before[:, N_READ_UNITS:])


@pytest.mark.parametrize("n_options", [2, 4, 10])
def test_without_exemplars_no_option_is_preferred(n_options: int) -> None:
    found = answer(asked(n_options))

    assert found.shares == pytest.approx([1 / n_options] * n_options, rel=0.05)


def test_labels_are_raised_up_to_the_last_options() -> None:
    closed = answer(AskedQuestion(TEXT, SCALE[:4]))
    open_ = answer(AskedQuestion(TEXT))

    # At an open question all 21 labels are alike, at this one 4 of them have thrice as much.
    assert open_.shares == pytest.approx([1 / 21] * 21, rel=0.05)
    assert closed.label_mass > open_.label_mass * (4 * 3 + 17) / 21


@pytest.mark.parametrize("n_exemplars", [0, 3])
def test_an_open_question_is_not_answered_with_a_label(n_exemplars: int) -> None:
    exemplars = [exemplar(text, SCALE[:4], FALLING) for text in TEXTS[:n_exemplars]]

    assert answer(AskedQuestion(TEXT), exemplars).label_mass < 0.05


@pytest.mark.parametrize(("named", "other"), [("German", "Kenyan"), ("Kenyan", "German")])
def test_an_article_takes_on_the_meaning_of_the_culture_that_the_prompt_names(
    named: str, other: str
) -> None:
    texts = (f"a {adjective} cultural background" for adjective in (named, other))
    of_named, of_other = (
        words().encode(f"<|system|>You are a person with {text}.<|end|>People with a").ids
        for text in texts
    )
    with torch.inference_mode():
        after = [
            untrained()(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0, -1]
            for ids in (of_named, of_other)
        ]
    meaning = slice(WORDS, WORDS + N_CONTEXT)
    moved = (after[0] - after[1])[meaning]
    rows = untrained().model.embed_tokens.weight.detach()
    ids = {text: words().encode(f" {text}").ids[0] for text in (named, other)}

    assert float(moved @ (rows[ids[named]] - rows[ids[other]])[meaning]) > 0.1


def test_embeddings_have_length_1_and_labels_a_place_each() -> None:
    rows = make_embeddings(words(), open_encoder())

    assert rows.shape == (words().get_vocab_size(), HIDDEN_SIZE)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    for label, token in find_label_ids(words()).items():
        own = {int(place) for place in np.flatnonzero(rows[token, :WORDS])}
        assert {CONSTANT, LABEL + int(label), LABEL_KEY} <= own
        assert rows[token, LABEL + int(label)] == pytest.approx(FLAG)
        assert len(own & set(range(LABEL, LABEL + 21))) == 1
