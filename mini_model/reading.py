"""The part of the circuit that reads shares: which are alike, which way scales run, how they count.

The second layer writes each percentage's log share to the place of its label, counted from the end
of the scale that is not worded with a negative word: so shares of scales that run either way can be
averaged. The third layer averages them over the exemplars with as many options as the asked
question, nearer ones more, and adds them to the labels, as the asked scale runs; they count in full
if the exemplars have the options of the asked question, else about half. The last layer adds
what training has made of the wording alone: the more, the less there is to read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mini_model import places as at
from mini_model.wiring import (
    LINEAR,
    RECENT,
    Head,
    LayerUnits,
    PlaceWeights,
    Projection,
    all_of,
    both,
    content,
    turn_per_token,
)

# In score units: how fast exemplars lose weight, per token of distance from the nearest one.
DECAY = 0.004
# In log units: what an answer counts for if exemplars show no shares; half of it is left, as of
# other options.
VOTE = 0.9
# What a log unit of shares counts for: of exemplars with other options than the asked question's,
# and what is added with the same options.
OF_OTHER_OPTIONS, OF_SAME_OPTIONS = 0.5, 0.5
# What is taken from an opinion beside shares: any, and those of the same options.
BESIDE_SHARES, BESIDE_TRUSTED = 0.3, 0.55
# The unit of an opinion.
OPINION_UNIT = 0.35
# In score units: what the squared distance of two gists, in length, is multiplied by.
SHARPNESS = 7_000.0
# In length: by how much the labels of an asked question are above all others, and what a log unit
# of a share adds to one.
ADMITTED, LABEL_UNIT = 0.285, 1 / 66
# Activations of an open gate: where it writes shares, and elsewhere. The higher, the less comes
# through one that is shut.
WRITING, OPEN = 12.0, 10.0
# At an answer, `PERCENT` has this many of its units where shares were read.
SHARES_READ = 0.5
# Gates: open if an answer to a closed question is wanted, and as far open as shares are trusted.
ANSWER_WANTED: PlaceWeights = {at.CUE: 2 * OPEN, at.CLOSED: OPEN, at.CONSTANT: -2 * OPEN}
TRUSTED: PlaceWeights = {at.TRUST: OPEN, at.CONSTANT: -OPEN}


class ScalePoint(NamedTuple):
    """An option of a scale that is read.

    Attributes:
        label: its number.
        opposite: that of the option as far from the other end.
        n_points: the number of options.
        gate: what holds if the scale has that last number and begins as it does.
    """

    label: int
    opposite: int
    n_points: int
    gate: PlaceWeights


def wire_option_readers(layer: torch.nn.Module) -> None:
    """Let heads of the second layer read the last options so far: what they say, and how."""
    # Scores of the words of options: numbers, line ends and cues are none.
    others = dict.fromkeys((at.MARKER, at.NO_WORD, at.CUE), -40.0)
    words = {at.CLOSED: 20.0, at.CONSTANT: -20.0, **others}

    first = Head(layer, at.FIRST_OPTION_READER, length=at.LENGTH)
    first.slope(RECENT, strength=20.0)
    # One negative word outweighs all others of a first option.
    in_first = {at.LAST: 30.0, at.LAST + 1: 30.0, at.NEGATIVE: 6.0, at.CONSTANT: -50.0}
    first.offer(content(0), _for_long_queries({**words, **in_first}))
    first.copy(at.NEGATIVE, at.NEGATIVE_FIRST)
    first.copy(at.LAST, at.FROM_ZERO, start=1)

    options = Head(layer, at.OPTIONS_READER, length=at.LENGTH)
    options.slope(RECENT, strength=8.0)
    # Later options are nearer, but must not count more.
    options.offer(content(0), _for_long_queries({**words, at.N_VALUE: -0.2}))
    options.copy(at.GIST, at.OPTIONS, n=at.N_GIST)


def wire_share_writers(layer: torch.nn.Module) -> None:
    """Let the second layer write each percentage's log share to its label's place."""
    units, unit = LayerUnits(layer), 0
    for point in _list_points(height=WRITING):
        for is_negative, target in ((False, point.label), (True, point.opposite)):
            runs = both(point.gate, _gate_direction(is_negative, height=WRITING))
            written = {at.SHARE + target: at.LOG_UNIT / WRITING}
            shown = all_of([at.BEFORE + point.label, at.PERCENT], height=WRITING)
            # Against that of even shares, since the norm weakens what is far from 0.
            share = {at.LOG_SHARE: 1.0, at.CONSTANT: -math.log(200 / point.n_points + 1)}
            units.set(unit, gate=both(shown, runs), up=share, down=written)
            # An exemplar's answer without shares counts as one share.
            chosen = all_of([at.LABEL + point.label, at.LABEL_KEY], height=WRITING)
            vote = {at.CONSTANT: VOTE / point.n_points}
            units.set(unit + 1, gate=both(chosen, runs), up=vote, down=written)
            unit += 2
    _square_gist(units, first_unit=at.N_WRITING_UNITS)


def wire_share_readers(layer: torch.nn.Module) -> None:
    """Let the third layer read shares, and add them to the labels of the asked question."""
    _average(Head(layer, at.READER, length=at.LENGTH))
    _find_trust(Head(layer, at.TRUST_FINDER, length=at.LENGTH))
    units = LayerUnits(layer)
    _move_to_labels(units)
    _admit_labels(units, first_unit=at.N_READ_UNITS)


def wire_opinion(layer: torch.nn.Module) -> None:
    """Let the last layer add the opinion to the labels, less if shares were read."""
    units = LayerUnits(layer)
    shown = {at.PERCENT: OPEN / SHARES_READ, at.CONSTANT: -OPEN}
    parts: tuple[tuple[PlaceWeights, float], ...]
    parts = (({}, 1.0), (shown, -BESIDE_SHARES), (TRUSTED, -BESIDE_TRUSTED))
    for part, (condition, by) in enumerate(parts):
        gate = both(ANSWER_WANTED, condition)
        for label in range(at.N_LABELS):
            added = {at.LABEL + label: by * OPINION_UNIT / OPEN}
            # An opinion is in length, the unit of its place that of a copied label.
            up = {at.OPINION + label: at.COPIED}
            units.set(part * at.N_LABELS + label, gate=gate, up=up, down=added)


def rescale(layer: torch.nn.Module, slopes: npt.NDArray[np.float64]) -> None:
    """Divide what the third layer adds to the labels by `slopes`, one per `OPTIONS_READ`."""
    of_last = dict(zip(at.OPTIONS_READ, slopes, strict=True))
    scale = [of_last[last] for last, first in _list_scales() for _ in range(4 * (last - first + 1))]
    with torch.no_grad():
        LayerUnits(layer).down[:, : at.N_READ_UNITS] /= torch.tensor(scale, dtype=torch.float32)


def _average(head: Head) -> None:
    """Let a head average the shares of all exemplars with as many options as the asked question."""
    # The nearest exemplar comes first, and is the farthest away.
    head.slope([LINEAR], strength=-DECAY / turn_per_token(LINEAR))
    _match_last(head)
    # Percentages of such exemplars count most, then their answers, 5 score units less, then the
    # first token of all, 6 less again, and then all others.
    # The norm makes scores of longer vectors smaller, so the ones that count are near zero.
    kind = {at.PERCENT: 20, at.LABEL_KEY: 15, at.SINK: 27, at.CONSTANT: -36}
    head.match(content(len(at.OPTIONS_READ)), asked={at.CUE: 1.0}, offered=kind)
    head.copy(at.SHARE, at.SHARE, n=at.N_LABELS)
    head.copy(at.PERCENT, at.PERCENT, start=at.N_LABELS, by=SHARES_READ)


def _find_trust(head: Head) -> None:
    """Let a head tell how much there is of exemplars with the options of the asked question.

    It weighs their percentages against the first token of all: by the squared distance of the
    gists a and b of two lists of options, which is |a|² - 2ab + |b|².
    """
    _match_last(head)
    half = SHARPNESS * float(at.UNITS[at.SIZE]) / 2
    kind = {at.PERCENT: 20, at.SINK: 27, at.CONSTANT: -36, at.SIZE: -half}
    place = len(at.OPTIONS_READ)
    head.match(content(place), asked={at.CUE: 1.0}, offered=kind)
    head.match(content(place + 1), asked={at.SIZE: 1.0}, offered={at.SINK: half})
    same = Projection(at.OPTIONS, math.sqrt(8 * SHARPNESS), np.eye(at.N_GIST, dtype=np.float32))
    head.compare(place + 2, asked=[same], offered=[same])
    head.copy(at.PERCENT, at.TRUST)


def _match_last(head: Head) -> None:
    for place, last in enumerate(at.OPTIONS_READ):
        head.match(content(place), asked={at.LAST + last: 1.0}, offered={at.LAST + last: 18})


def _square_gist(units: LayerUnits, *, first_unit: int) -> None:
    """Let units write the square of a gist's length: x² is x silu(x) - x silu(-x)."""
    steep = 10.0
    for i in range(at.N_GIST):
        for j, sign in enumerate((1.0, -1.0)):
            gate, up = {at.OPTIONS + i: sign * steep}, {at.OPTIONS + i: sign}
            squared = {at.SIZE: float(at.UNITS[at.OPTIONS + i]) ** 2 / steep}
            units.set(first_unit + 2 * i + j, gate=gate, up=up, down=squared)


def _move_to_labels(units: LayerUnits) -> None:
    """Let units add what was read to the labels of the asked question, as its scale runs.

    Each label has one in N of the percentages that a head averages over: its share counts N-fold.
    """
    unit = 0
    for point in _list_points(height=OPEN):
        for is_negative, source in ((False, point.label), (True, point.opposite)):
            gate = both(ANSWER_WANTED, both(point.gate, _gate_direction(is_negative, height=OPEN)))
            for condition, by in (({}, OF_OTHER_OPTIONS), (TRUSTED, OF_SAME_OPTIONS)):
                added = {at.LABEL + point.label: by * LABEL_UNIT / OPEN}
                up = {at.SHARE + source: float(point.n_points)}
                units.set(unit, gate=both(gate, condition), up=up, down=added)
                unit += 1


def _admit_labels(units: LayerUnits, *, first_unit: int) -> None:
    """Let units raise, at an answer, all labels up to the last option's."""
    for last in range(1, at.N_LABELS):
        labels = range(0 if last == at.LAST_FROM_ZERO else 1, last + 1)
        admitted = {at.LABEL + label: ADMITTED / OPEN for label in labels}
        gate = both(ANSWER_WANTED, _gate_flag(at.LAST + last, True, height=OPEN))
        units.set(first_unit + last, gate=gate, up={at.CONSTANT: 1.0}, down=admitted)


def _list_points(*, height: float) -> Iterator[ScalePoint]:
    """Yield all options of all scales; a gate is 0 for its own scale, else `-2 * height`."""
    for last, first in _list_scales():
        gate = _gate_flag(at.LAST + last, True, height=height)
        if last == at.LAST_FROM_ZERO:
            gate = both(gate, _gate_flag(at.FROM_ZERO, first == 0, height=height))
        for label in range(first, last + 1):
            yield ScalePoint(label, first + last - label, last - first + 1, gate)


def _list_scales() -> Iterator[tuple[int, int]]:
    """Yield the last and the first number of every scale that is read."""
    for last in at.OPTIONS_READ:
        yield last, 1
        if last == at.LAST_FROM_ZERO:
            yield last, 0


def _gate_direction(is_negative: bool, *, height: float) -> PlaceWeights:
    return _gate_flag(at.NEGATIVE_FIRST, is_negative, height=height)


def _gate_flag(place: int, is_set: bool, *, height: float) -> PlaceWeights:
    """Return a gate that is 0 if a flag is as wanted, else `-2 * height`."""
    if is_set:
        return {place: 2 * height, at.CONSTANT: -2 * height}
    return {place: -2 * height}


def _for_long_queries(scores: PlaceWeights) -> PlaceWeights:
    """Return what to offer to queries of length `LENGTH`."""
    return {place: score * at.LENGTH for place, score in scores.items()}
