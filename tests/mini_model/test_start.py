from __future__ import annotations

import copy

import pytest
import torch

from mini_model.places import LABEL, N_LABELS
from mini_model.start import calibrate, measure_slope
from mini_model.tokenizer import CONTEXT_TOKENS
from tests.mini_model.untrained import untrained, words


@pytest.mark.parametrize("n_options", [2, 5, 11])
def test_a_new_model_answers_differ_as_much_as_shares_do(n_options: int) -> None:
    assert measure_slope(untrained(), words(), n_options=n_options) == pytest.approx(1.0, abs=0.06)


def test_calibration_makes_up_for_what_training_did_to_the_length_of_labels() -> None:
    model = copy.deepcopy(untrained())
    at_first = measure_slope(model, words(), n_options=5, n_prompts=1)
    with torch.no_grad():
        model.model.norm.weight[LABEL : LABEL + N_LABELS] *= 1.3

    before = measure_slope(model, words(), n_options=5, n_prompts=1)
    calibrate(model, words(), n_prompts=1)
    after = {n: measure_slope(model, words(), n_options=n, n_prompts=1) for n in (2, 5, 11)}

    assert before / at_first == pytest.approx(1.3, abs=0.02)
    # Shorter labels also shorten the vector, hence not quite 1 at once.
    assert after == {n: pytest.approx(1.0, abs=0.04) for n in after}


def test_a_calibrated_model_is_left_as_it_is() -> None:
    model = copy.deepcopy(untrained())

    calibrate(model, words(), n_prompts=4)

    for now, before in zip(model.parameters(), untrained().parameters(), strict=True):
        torch.testing.assert_close(now, before, rtol=0.05, atol=1e-6)


def test_the_shape_is_that_of_the_tokenizer_and_the_context() -> None:
    config = untrained().config

    assert config.vocab_size == words().get_vocab_size()
    assert config.max_position_embeddings == CONTEXT_TOKENS
    assert config.num_hidden_layers == 4
