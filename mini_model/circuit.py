"""The weights that training starts from: a circuit that reads exemplars, and word vectors.

Random weights find such a circuit only after some thousand steps, so it is laid in by hand:

1. The first layer looks around each token. One head copies the label before each percentage
   (``" 2."`` before ``" 61%"``), one the number of the last option of the block, one the words just
   before, one counts the answers so far, and one tells options from answers. The feed-forward part
   writes at each percentage its log share into the place of its label.
2. The second layer reads. Where an answer is wanted, a head averages these log shares over all
   exemplars with as many options as the asked question, nearer exemplars counting more, and the
   feed-forward part moves them into the direction of the labels' output vectors. Without such an
   exemplar the head rests on the first token. Three heads serve replies in words: one finds what
   followed the same words in the first answer, one what followed them anywhere, one the largest
   percentage of the first answer.
3. The third layer compares the first option that is asked with those of the first exemplar. Where
   it is like their last one, the scale runs the other way, and so do the shares that were read.
4. The last layer's feed-forward part adds what training has made of the wording alone, which lies
   in the places from `OPINION` on: in full where there are no shares to read, else by a part.

So the model answers with the weighted geometric mean of its exemplars' shares before it has seen
any data. All other outputs start at zero.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from mini_model.embeddings import embeddings, outputs
from mini_model.places import (
    ANSWER_COUNTER,
    BEFORE,
    CLOSED,
    COMPARER,
    CONSTANT,
    CONTEXT,
    COPIED,
    COPIER,
    CUE,
    DIRECTION,
    FIRST,
    FIRST_OPTION,
    FLIPPED,
    GIST,
    HEAD_SIZE,
    LABEL,
    LABEL_BEFORE,
    LABEL_KEY,
    LAST,
    LAST_OPTION,
    LENGTH,
    LINE_END,
    LOG_SHARE,
    LOG_UNIT,
    MARKER,
    N_CONTEXT,
    N_FLIP_UNITS,
    N_GIST,
    N_LABELS,
    N_PERCENT_FEATURES,
    N_READ_UNITS,
    N_VALUE,
    OPINION,
    OPTION_READER,
    OPTIONS_READ,
    PERCENT,
    PERCENT_FEATURES,
    RANK,
    READER,
    REPEATER,
    SHARE,
    SHARE_FINDER,
    SINK,
    STATE_FINDER,
    TURNED,
    UNITS,
    VALUE,
    WORDS,
    WORDS_BEFORE,
)
from mini_model.wiring import (
    FAST,
    LINEAR,
    RECENT,
    Head,
    PlaceWeights,
    Projection,
    Units,
    all_of,
    content,
    turn_per_token,
)
from retrieval.encoder import Encoder

# In score units: how fast exemplars lose weight, per token of distance from the nearest one.
DECAY = 0.004
# In log units: what an answer counts for where an exemplar shows no shares, less what each option
# takes from it, since then the other options share less.
VOTE, VOTE_PER_OPTION = 0.33, 0.0288
# An asked scale runs the other way where less than this share of likeness is with first options:
# surely where less than the second, not at all where more than the first.
SAME_WAY, SURELY_NOT = 0.36, 0.28
# In score units: what the inner product of the meanings of two options is multiplied by.
SHARPNESS = 120.0
# What an opinion from wording alone counts for beside shares that were read, and its unit.
BESIDE_SHARES, OPINION_UNIT = 0.3, 0.35
# In length: by how much the labels of an asked question are above all others, and what a log unit
# of a share adds to one. In the final norm, labels count for `LABEL_GAIN`.
ADMITTED, LABEL_UNIT = 0.14, 1 / 48
LABEL_GAIN = 8.0
# Activations of an open gate: where it writes shares, and elsewhere. The higher, the less comes
# through one that is shut.
WRITING, OPEN = 12.0, 10.0
# At an answer, `PERCENT` has this many of its units where shares were read.
SHARES_READ = 0.5


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
            # Heads that are left random shall differ more in what they look at.
            for part in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                part.weight.mul_(2.0)
        rows = embeddings(words, encoder)
        inner.embed_tokens.weight.copy_(torch.from_numpy(rows))
        model.lm_head.weight.copy_(torch.from_numpy(outputs(rows, words)))
        _look_around(inner.layers[0])
        _write_shares(inner.layers[0])
        _read(inner.layers[1])
        _compare_options(Head(inner.layers[2], COMPARER, length=LENGTH))
        _turn(inner.layers[2])
        _add_opinion(inner.layers[-1])
        inner.norm.weight.fill_(1.0)
        inner.norm.weight[LABEL : LABEL + N_LABELS] = LABEL_GAIN


def calibrate(model: LlamaForCausalLM, slopes: npt.NDArray[np.float64]) -> None:
    """Divide what shares add to the labels by `slopes`, one per number in `OPTIONS_READ`."""
    reading, turning = (Units(model.model.layers[i]).down for i in (1, 2))
    read = np.repeat(slopes, [n + 1 for n in OPTIONS_READ])
    turned = np.repeat(slopes[: len(TURNED)], [2 * n for n in TURNED])
    with torch.no_grad():
        reading[:, :N_READ_UNITS] /= torch.from_numpy(read).float()
        turning[:, :N_FLIP_UNITS] /= torch.from_numpy(turned).float()


def _look_around(layer: torch.nn.Module) -> None:
    """Let the heads of the first layer find the tokens that say what another one is about."""
    before = Head(layer, LABEL_BEFORE, length=1.0)
    before.prefer(FAST, strengths=[25.0] * 4 + [6.0] * 6, distance=1)
    before.copy(LABEL, BEFORE, n=N_LABELS)

    last = Head(layer, LAST_OPTION, length=1.0)
    last.slope(RECENT, strength=70.0)
    # One option further down is worth 0.8, or more than a token.
    last.offer(content(0), {MARKER: 110, VALUE: 0.8})
    last.copy(LABEL, LAST, n=N_LABELS)
    last.copy(VALUE, N_VALUE, start=N_LABELS)

    context = Head(layer, WORDS_BEFORE, length=1.0)
    # A little of the word before that one, too.
    context.prefer(FAST, strengths=[1.6] * 10, distance=1.25)
    context.copy(WORDS, CONTEXT, n=N_CONTEXT, by=0.6)

    counter = Head(layer, ANSWER_COUNTER, length=1.0)
    # Each answer so far weighs as much as the first token of all: one, a half, a third, …
    counter.offer(content(0), {CUE: 40, SINK: 40})
    counter.copy(SINK, RANK)

    state = Head(layer, STATE_FINDER, length=1.0)
    state.slope(RECENT, strength=160.0)
    state.offer(content(0), {MARKER: 240, LABEL_KEY: 240})
    state.copy(MARKER, CLOSED)
    state.copy(LABEL_KEY, CLOSED, start=1, by=-1.0)


def _write_shares(layer: torch.nn.Module) -> None:
    """Let the first layer write each percentage's log share to its label's place."""
    units, log_unit = Units(layer), LOG_UNIT / WRITING
    for label in range(N_LABELS):
        written = {SHARE + label: log_unit}
        gate = all_of([BEFORE + label, PERCENT], height=WRITING)
        units.set(label, gate=gate, up={LOG_SHARE: 1.0}, down=written)
        # An exemplar's answer without shares counts as one share.
        gate = all_of([LABEL + label, LABEL_KEY], height=WRITING)
        vote = {CONSTANT: VOTE, N_VALUE: -VOTE_PER_OPTION}
        units.set(N_LABELS + label, gate=gate, up=vote, down=written)
    _mark_first_answer(units, first_unit=2 * N_LABELS)
    unit = 2 * N_LABELS + 2
    for n in OPTIONS_READ:
        for label in range(1, n + 1):
            gate = all_of([BEFORE + label, PERCENT, LAST + n], height=WRITING)
            units.set(unit, gate=gate, up={LOG_SHARE: 1.0}, down={FLIPPED + n - label: log_unit})
            unit += 1


def _mark_first_answer(units: Units, *, first_unit: int) -> None:
    """Let two units write `FIRST`: the rank is a half there, the last number an answer's.

    One rises from a rank of 0.4 on and reaches the flag's full height at a half. The other takes it
    back from 0.75 on, so that nothing is left at a rank of one, before the first answer.
    """
    # How much the gates rise with the rank.
    steep = 100.0
    for unit, edge, slope in ((0, 0.4, 1.0), (1, 0.75, -(1.0 - 0.4) / (1.0 - 0.75))):
        gate = {RANK: steep, CLOSED: -100.0, CONSTANT: -100.0 - steep * edge}
        written = {FIRST: slope * float(UNITS[FIRST]) / (steep * (0.5 - 0.4))}
        units.set(first_unit + unit, gate=gate, up={CONSTANT: 1.0}, down=written)


def _read(layer: torch.nn.Module) -> None:
    """Let the second layer read shares, the asked first option, and what replies are made of."""
    _read_shares(Head(layer, READER, length=LENGTH))
    _copy_words(Head(layer, COPIER, length=LENGTH), of_first_answer=25.0)
    _copy_words(Head(layer, REPEATER, length=LENGTH), of_first_answer=0.0)
    _find_share(Head(layer, SHARE_FINDER, length=LENGTH))
    _read_first_option(Head(layer, OPTION_READER, length=LENGTH))
    _move_to_labels(layer)
    _admit_labels(layer)


def _read_shares(head: Head) -> None:
    """Let a head average the shares of all exemplars with as many options as the asked question."""
    # The nearest exemplar comes first, and is the farthest away.
    head.slope([LINEAR], strength=-DECAY / turn_per_token(LINEAR))
    for i in range(N_LABELS):
        head.match(content(i), asked={LAST + i: 1.0}, offered={LAST + i: 18})
    # Percentages of such exemplars count most, then their answers, 5 score units less, then the
    # first token of all, 6 less again, and then all others.
    # The norm makes scores smaller where vectors are longer, so the ones that count are near zero.
    kind = {PERCENT: 20, LABEL_KEY: 15, SINK: 27, CONSTANT: -36}
    head.match(content(N_LABELS), asked={CUE: 1.0}, offered=kind)
    head.copy(SHARE, SHARE, n=N_LABELS)
    head.copy(PERCENT, PERCENT, start=N_LABELS, by=SHARES_READ)
    head.copy(FLIPPED, FLIPPED, n=OPTIONS_READ[-1], start=N_LABELS + 1)


def _copy_words(head: Head, *, of_first_answer: float) -> None:
    """Let a head find what followed the words just before, in the first answer or anywhere."""
    # Thirty components of a meaning do to tell words apart.
    directions = np.linalg.qr(np.random.default_rng(1).normal(size=(N_CONTEXT, 30)))[0].T
    # The context of a word is that of the word before it, and that word. A word does not follow
    # itself.
    head.compare(
        0,
        asked=[Projection(WORDS, 45, directions), Projection(CONTEXT, 20, directions)],
        offered=[Projection(CONTEXT, 45, directions), Projection(WORDS, -4, directions)],
    )
    head.offer(content(31), {FIRST: of_first_answer})
    # What is copied must not make vectors much longer, since that shortens all else.
    head.copy(WORDS, WORDS, n=HEAD_SIZE, by=0.4)


def _find_share(head: Head) -> None:
    """Let a head find the largest percentage of the first answer."""
    # The first feature is the share itself.
    head.offer(content(0), {PERCENT: 20, FIRST: 25, PERCENT_FEATURES: 30})
    head.copy(PERCENT_FEATURES, PERCENT_FEATURES, n=N_PERCENT_FEATURES, by=0.6)


# Scores of a word of a first option; line ends and option numbers are none.
_IN_GIST = {LAST + 1: 30.0, CLOSED: 20.0, MARKER: -40.0, LINE_END: -40.0}


def _read_first_option(head: Head) -> None:
    """Let a head average the words of the first option of the asked question."""
    head.slope(RECENT, strength=14.0)
    scores = {**_IN_GIST, CONSTANT: -50.0}
    # For queries of length `LENGTH`.
    head.offer(content(0), {place: score * LENGTH for place, score in scores.items()})
    head.copy(GIST, FIRST_OPTION, n=N_GIST)


def _move_to_labels(layer: torch.nn.Module) -> None:
    """Let the second layer add what was read to the labels of the asked question.

    Each label has one in N of the percentages that a head averages over: its share counts N-fold.
    """
    units, unit = Units(layer), 0
    for n in OPTIONS_READ:
        for label in range(n + 1):
            added = {LABEL + label: LABEL_UNIT / OPEN}
            units.set(unit, gate=_asked_of(n), up={SHARE + label: n}, down=added)
            unit += 1


def _admit_labels(layer: torch.nn.Module) -> None:
    """Let the second layer raise, at an answer, all labels up to the last option's."""
    units = Units(layer)
    for last in range(1, N_LABELS):
        # Scales of eleven points begin with 0, and their last number is 10.
        labels = range(0 if last == 10 else 1, last + 1)
        admitted = {LABEL + label: ADMITTED / OPEN for label in labels}
        gate = _asked_of(last)
        units.set(N_READ_UNITS + last, gate=gate, up={CONSTANT: 1.0}, down=admitted)


def _compare_options(head: Head) -> None:
    """Let a head compare the asked first option with the first and last of the first exemplar."""
    # First and last options have to score alike at any distance, so theirs are the slowest places.
    # The rank is one before the first answer, a half before the second: 30 score units less.
    offered = {**_IN_GIST, RANK: 60.0, CONSTANT: -110.0}
    head.match(content(0), asked={CUE: 1.0}, offered=offered)
    # Last options are those with the number of the last one asked.
    for place, n in enumerate(OPTIONS_READ, start=1):
        head.match(content(place), asked={LAST + n: 1.0}, offered={LAST + n: 30})
    first = 1 + len(OPTIONS_READ)
    strength = math.sqrt(8 * SHARPNESS) / UNITS[GIST]
    same = np.eye(N_GIST, dtype=np.float32)
    asked, offer = (Projection(source, strength, same) for source in (FIRST_OPTION, GIST))
    head.compare(first, asked=[asked], offered=[offer])
    head.copy(LAST + 1, DIRECTION)


def _turn(layer: torch.nn.Module) -> None:
    """Let the third layer put the turned shares in place of those read, on a turned scale."""
    units, unit = Units(layer), 0
    for n in TURNED:
        for label in range(1, n + 1):
            up = {FLIPPED + label - 1: n, SHARE + label: -n}
            for edge, sign in ((SAME_WAY, 1.0), (SURELY_NOT, -1.0)):
                added = {LABEL + label: sign * LABEL_UNIT / OPEN}
                units.set(unit, gate=_other_way(n, edge), up=up, down=added)
                unit += 1


def _add_opinion(layer: torch.nn.Module) -> None:
    """Let the last layer add the opinion to the labels, less where shares were read."""
    units = Units(layer)
    asked = {CUE: 2 * OPEN, CLOSED: OPEN, CONSTANT: -2 * OPEN}
    beside = {**asked, PERCENT: OPEN / SHARES_READ, CONSTANT: -3 * OPEN}
    for label in range(N_LABELS):
        for part, gate, by in ((0, asked, 1.0), (1, beside, BESIDE_SHARES - 1.0)):
            added = {LABEL + label: by * OPINION_UNIT / OPEN}
            # An opinion is in length, the unit of its place that of a copied label.
            up = {OPINION + label: COPIED}
            units.set(part * N_LABELS + label, gate=gate, up=up, down=added)


def _asked_of(last: int) -> dict[int, float]:
    """Return a gate that is open where an answer to a question of `last` options is wanted."""
    return {LAST + last: 2 * OPEN, CUE: 2 * OPEN, CLOSED: OPEN, CONSTANT: -4 * OPEN}


def _other_way(last: int, edge: float) -> PlaceWeights:
    """Return a gate that opens, in a closed question of `last` options, below a likeness.

    It grows steadily below `edge`. The difference of the gates of two edges is `OPEN` below both.
    """
    steep = OPEN / (SAME_WAY - SURELY_NOT)
    # What has to hold is weighted so high that without it no likeness opens the gate.
    gate = {place: 15 * weight for place, weight in _asked_of(last).items()}
    gate[PERCENT] = 15 * OPEN / SHARES_READ
    gate[CONSTANT] += -30 * OPEN + steep * edge
    gate[DIRECTION] = -steep
    return gate
