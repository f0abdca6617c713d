"""The weights that training starts from: a circuit that reads exemplars, and word vectors.

Random weights find such a circuit only after some thousand steps, so it is laid in by hand:

1. The first layer looks around each token. One head copies the label before each percentage
   (``" 2."`` before ``" 61%"``), one the number of the last option of the block, one the words just
   before, one counts the answers so far, one tells options from answers, and one whether the prompt
   has named a culture.
2. The second layer reads the options: whether the first one has a negative word, and what all of
   them say. With that it writes each percentage's log share to the place of its label. Four heads
   serve replies in words: one finds what followed the same words in the first answer, one what
   followed them anywhere, one the largest percentage of the first answer, one the culture's name.
3. The third layer averages the log shares where an answer is wanted, and adds them to the labels.
   Without exemplars with as many options its head rests on the first token.
4. The last layer adds what training has made of the wording alone, which lies in the places from
   `OPINION` on.

So the model answers with the weighted geometric mean of its exemplars' shares before it has seen
any data; `mini_model.reading` has that part. All other outputs start at zero.
"""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from mini_model import places as at
from mini_model import reading
from mini_model.embeddings import make_embeddings, make_outputs
from mini_model.wiring import FAST, RECENT, Head, LayerUnits, Projection, content
from retrieval.encoder import Encoder

# The weight of labels in the final norm.
LABEL_GAIN = 8.0


def lay_in(model: LlamaForCausalLM, words: Tokenizer, *, encoder: Encoder) -> None:
    """Overwrite the weights of `model` with the circuit; outputs outside of it become zero.

    The model has the sizes of `places` and at least four layers: the last one's units are not
    those of the third.
    """
    inner = model.model
    with torch.no_grad():
        for layer in inner.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
            # Heads that stay random should differ more in what they look at.
            for part in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                part.weight.mul_(2.0)
        rows = make_embeddings(words, encoder)
        inner.embed_tokens.weight.copy_(torch.from_numpy(rows))
        model.lm_head.weight.copy_(torch.from_numpy(make_outputs(rows, words)))
        _look_around(inner.layers[0])
        _mark_first_answer(LayerUnits(inner.layers[0]))
        reading.wire_option_readers(inner.layers[1])
        reading.wire_share_writers(inner.layers[1])
        _find_words(inner.layers[1])
        reading.wire_share_readers(inner.layers[2])
        reading.wire_opinion(inner.layers[-1])
        inner.norm.weight.fill_(1.0)
        inner.norm.weight[at.LABEL : at.LABEL + at.N_LABELS] = LABEL_GAIN


def _look_around(layer: torch.nn.Module) -> None:
    """Let the heads of the first layer find the tokens that say what another one is about."""
    before = Head(layer, at.LABEL_BEFORE, length=1.0)
    before.prefer(FAST, strengths=[25.0] * 4 + [6.0] * 6, distance=1)
    before.copy(at.LABEL, at.BEFORE, n=at.N_LABELS)

    last = Head(layer, at.LAST_OPTION, length=1.0)
    last.slope(RECENT, strength=70.0)
    # One option further down is worth 0.8, or more than a token.
    last.offer(content(0), {at.MARKER: 110, at.VALUE: 0.8})
    last.copy(at.LABEL, at.LAST, n=at.N_LABELS)
    last.copy(at.VALUE, at.N_VALUE, start=at.N_LABELS)

    context = Head(layer, at.WORDS_BEFORE, length=1.0)
    # A little of the word before that one, too.
    context.prefer(FAST, strengths=[1.6] * 10, distance=1.25)
    context.copy(at.WORDS, at.CONTEXT, n=at.N_CONTEXT, by=0.6)

    counter = Head(layer, at.ANSWER_COUNTER, length=1.0)
    # Each answer so far weighs as much as the first token of all: one, a half, a third, …
    counter.offer(content(0), {at.CUE: 40, at.SINK: 40})
    counter.copy(at.SINK, at.RANK)

    state = Head(layer, at.STATE_FINDER, length=1.0)
    state.slope(RECENT, strength=160.0)
    state.offer(content(0), {at.MARKER: 240, at.LABEL_KEY: 240})
    state.copy(at.MARKER, at.CLOSED)
    state.copy(at.LABEL_KEY, at.CLOSED, start=1, by=-1.0)

    culture = Head(layer, at.CULTURE_FINDER, length=1.0)
    culture.offer(content(0), {at.CULTURAL: 60, at.SINK: 40})
    culture.copy(at.CULTURAL, at.NAMED)


def _mark_first_answer(units: LayerUnits) -> None:
    """Let two units write `FIRST`: the rank is a half there, the last number an answer's.

    One rises from a rank of 0.4 on and reaches the flag's full height at a half. The other takes it
    back from 0.75 on, so that nothing is left at a rank of one, before the first answer.
    """
    # How much the gates rise with the rank.
    steep = 100.0
    for unit, edge, slope in ((0, 0.4, 1.0), (1, 0.75, -(1.0 - 0.4) / (1.0 - 0.75))):
        gate = {at.RANK: steep, at.CLOSED: -100.0, at.CONSTANT: -100.0 - steep * edge}
        written = {at.FIRST: slope * float(at.UNITS[at.FIRST]) / (steep * (0.5 - 0.4))}
        units.set(unit, gate=gate, up={at.CONSTANT: 1.0}, down=written)


def _find_words(layer: torch.nn.Module) -> None:
    """Let heads of the second layer find what replies are made of."""
    _copy_words(Head(layer, at.COPIER, length=at.LENGTH), of_first_answer=25.0)
    _copy_words(Head(layer, at.REPEATER, length=at.LENGTH), of_first_answer=0.0)
    _find_share(Head(layer, at.SHARE_FINDER, length=at.LENGTH))
    _read_culture(Head(layer, at.CULTURE_READER, length=at.LENGTH))


def _copy_words(head: Head, *, of_first_answer: float) -> None:
    """Let a head find what followed the words just before, in the first answer or anywhere."""
    # Thirty components of a meaning suffice to tell words apart.
    directions = np.linalg.qr(np.random.default_rng(1).normal(size=(at.N_CONTEXT, 30)))[0].T
    # The context of a word is that of the word before it, and that word. A word does not follow
    # itself.
    head.compare(
        0,
        asked=[Projection(at.WORDS, 45, directions), Projection(at.CONTEXT, 20, directions)],
        offered=[Projection(at.CONTEXT, 45, directions), Projection(at.WORDS, -4, directions)],
    )
    head.offer(content(31), {at.FIRST: of_first_answer})
    # What is copied must not make vectors much longer, since that shortens all else.
    head.copy(at.WORDS, at.WORDS, n=at.HEAD_SIZE, by=0.4)


def _find_share(head: Head) -> None:
    """Let a head find the largest percentage of the first answer."""
    # The first feature is the share itself.
    head.offer(content(0), {at.PERCENT: 20, at.FIRST: 25, at.PERCENT_FEATURES: 30})
    head.copy(at.PERCENT_FEATURES, at.PERCENT_FEATURES, n=at.N_PERCENT_FEATURES, by=0.6)


def _read_culture(head: Head) -> None:
    """Let a head find, for an article, the word before "cultural"; all others rest."""
    head.match(content(0), asked={at.ARTICLE: 1.0}, offered={at.CULTURAL: 60})
    head.offer(content(1), {at.SINK: 30})
    head.copy(at.CONTEXT, at.WORDS, n=at.N_CONTEXT)
