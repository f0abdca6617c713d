"""The model that training starts from: its shape, the circuit laid in, its reading calibrated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from mini_model import circuit, places, reading, tokenizer
from mini_model.conversations import render_prompt
from prompting.messages import AskedQuestion, Steering, survey_messages
from prompting.percents import whole_percents
from prompting.recipe import ExemplarStyle, Method
from retrieval.encoder import Encoder
from retrieval.exemplar import Exemplar
from survey_data.model import Question, ResponseDistribution, Scale

# Exemplars of a calibrating prompt, and prompts per number of options.
N_EXEMPLARS, N_PROMPTS = 4, 8


def make_model(
    words: Tokenizer, encoder: Encoder, *, n_layers: int, n_prompts: int = N_PROMPTS
) -> LlamaForCausalLM:
    """Return the model that training starts from; torch's seed decides its open weights.

    It has at least four layers, and is calibrated with `n_prompts` per number of options.
    """
    config = LlamaConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=places.HIDDEN_SIZE,
        intermediate_size=int(places.HIDDEN_SIZE * 8 / 3 / 32 + 0.5) * 32,
        num_hidden_layers=n_layers,
        num_attention_heads=places.N_HEADS,
        num_key_value_heads=places.N_HEADS,
        head_dim=places.HEAD_SIZE,
        max_position_embeddings=tokenizer.CONTEXT_TOKENS,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=words.token_to_id(tokenizer.END),
        pad_token_id=words.token_to_id(tokenizer.PAD),
        attention_bias=False,
        rope_parameters={"rope_type": "default", "rope_theta": places.ROPE_THETA},
    )
    model = LlamaForCausalLM(config)
    circuit.lay_in(model, words, encoder=encoder)
    calibrate(model, words, n_prompts=n_prompts)
    return model


def calibrate(
    model: LlamaForCausalLM, words: Tokenizer, *, n_prompts: int = N_PROMPTS
) -> dict[int, float]:
    """Let answers differ as the log shares of exemplars do, whatever training has added.

    Returns:
        By number of options, the slope before.
    """
    slopes = {
        n: measure_slope(model, words, n_options=n, n_prompts=n_prompts)
        for n in places.OPTIONS_READ
    }
    reading.rescale(model.model.layers[2], np.array(list(slopes.values())))
    return slopes


@torch.inference_mode()
def measure_slope(
    model: LlamaForCausalLM, words: Tokenizer, *, n_options: int, n_prompts: int = N_PROMPTS
) -> float:
    """Return by how much the log shares of answers differ, per unit that they should: 1 is right.

    It is that of the regression through the origin over `n_prompts` prompts.
    """
    labels = [tokenizer.find_label_ids(words)[str(i + 1)] for i in range(n_options)]
    above, below = 0.0, 0.0
    for ids, wanted in _make_prompts(words, n_options, n=n_prompts):
        logits = model(torch.tensor([ids])).logits[0, -1, labels].double().numpy()
        wanted = wanted - wanted.mean()
        above += float(wanted @ (logits - logits.mean()))
        below += float(wanted @ wanted)
    return above / below


def _make_prompts(
    words: Tokenizer, n_options: int, *, n: int
) -> Iterator[tuple[list[int], npt.NDArray[np.float64]]]:
    """Yield `n` prompts whose exemplars all have the same shares, and the logarithms of these."""
    rng = np.random.default_rng(n_options)
    options = tuple(f"{word} much" for word in "abcdefghijklm"[:n_options])
    question = Question("calibration", "", "How much is it?", options, Scale.ORDINAL)
    for _ in range(n):
        shares = tuple(float(share) for share in rng.dirichlet(np.ones(n_options)))
        exemplar = Exemplar(question, ResponseDistribution(question.key, "", shares))
        steering = Steering(
            Method.ICL, exemplars=(exemplar,) * N_EXEMPLARS, style=ExemplarStyle.SHARES
        )
        messages = survey_messages(AskedQuestion(question.text, options), steering)
        percents = np.array(whole_percents(shares), dtype=np.float64)
        yield list(words.encode(render_prompt(messages)).ids), np.log(2 * percents + 1.0)
