"""Shares as centred log-ratios and back, so that estimates add up and stay above zero.

Source: ESTIMATION, 'transfer'; J. Aitchison, The Statistical Analysis of Compositional Data (1986).
"""

from __future__ import annotations

import numpy as np

from survey_data.arrays import Floats

# Added to every share before its logarithm, so that an option that nobody chose has one.
FLOOR = 0.001
SHARPNESS = 4


def log_ratios(shares: Floats) -> Floats:
    """Return log(share + 0.001) less its mean over the options, which are on the last axis."""
    logs = np.log(shares + FLOOR)
    centred: Floats = logs - logs.mean(axis=-1, keepdims=True)
    return centred


def to_shares(logits: Floats) -> Floats:
    """Return the shares, positive and together 1 over the last axis, of log-ratios."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalised: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return normalised


def central_option(shares: Floats) -> int:
    """Return the index of the option to name if what counts is by how many places one is off.

    It is the rounded mean place of sharpened shares: the mean of the shares themselves is drawn to
    the middle of the scale by what few people say. Source: ESTIMATION, 'transfer'.
    """
    weights = shares**SHARPNESS
    return round(float(weights @ np.arange(len(shares)) / weights.sum()))
