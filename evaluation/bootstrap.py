"""Intervals by bootstrap over questions.

Answers to one question go together over cultures, so whole questions are drawn: one draw is a
weight per question, the same for every culture and every method. A difference between two methods
is therefore paired by question: `gain_interval` is over the mean of the differences, cell by cell,
and `alignment_gain_interval` over the difference of two scores of the same cells and draws.

All arrays of cells are float64[c, q], a row per culture and a column per question, NaN where there
is no answer. Leave out columns without any cell beforehand, so that no draw is spent on them.

Source: Hesterberg (2015), "What Teachers Should Know About the Bootstrap", The American
Statistician 69(4), for the expanded percentile interval and bootstrap-t.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, stdtrit

from evaluation.figures import BootstrapInterval
from survey_data.arrays import Floats

N_DRAWS = 2000
MIN_STUDENTISED = 30
# What a 95 % interval leaves out at either end.
TAIL = 0.025


def question_weights(n_questions: int, *, n_draws: int = N_DRAWS, seed: int = 0) -> Floats:
    """Return float64[n_draws, n_questions]: how often each question was drawn, a row per draw.

    Every row sums to `n_questions`, which were drawn with replacement.

    Raises:
        ValueError: there is no question, or no draw is asked for.
    """
    if n_questions < 1 or n_draws < 1:
        raise ValueError(f"{n_draws} draws of {n_questions} questions; expected at least 1 of each")
    chances = np.full(n_questions, 1.0 / n_questions)
    counts = np.random.default_rng(seed).multinomial(n_questions, chances, size=n_draws)
    return counts.astype(np.float64)


def resample_means(values: Floats, weights: Floats) -> Floats:
    """Return float64[d]: in each draw, the mean over cultures of their mean over questions.

    A draw leaves out cultures without a drawn question; a draw without any culture is NaN.

    Args:
        values: float64[c, q], one value per cell.
        weights: float64[d, q] from `question_weights`.
    """
    known = ~np.isnan(values)
    sums = weights @ np.where(known, values, 0.0).T
    return _mean_over_cultures(_ratio(sums, weights @ known.T.astype(np.float64)))


def mean_of(values: Floats) -> float:
    """Return the mean over cultures of their mean over questions; NaN without any cell.

    A culture without any cell is left out.
    """
    return float(resample_means(values, _once(values))[0])


def resample_alignment(missed: Floats, widest: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return float64[d], in each draw the mean over cultures of their alignment score.

    A draw leaves out cultures without a drawn question; a draw without any culture is NaN. Second,
    float64[d, q]: how much each draw moves with each question, by linearisation; a question counts
    alike in all cultures. Arguments as for `alignment_interval`.
    """
    known = ~np.isnan(missed)
    far, farthest = np.where(known, missed, 0.0), np.where(known, widest, 0.0)
    totals = weights @ farthest.T
    ratios = _ratio(weights @ far.T, totals)
    n_cultures = np.isfinite(ratios).sum(axis=1, keepdims=True)
    scale = 2.0 * np.sqrt(ratios) * totals * n_cultures
    slopes = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
    moves = (slopes * np.nan_to_num(ratios)) @ farthest - slopes @ far
    return _mean_over_cultures(1.0 - np.sqrt(ratios)), moves


def percentile_interval(
    value: float, draws: Floats, *, n_questions: int
) -> BootstrapInterval | None:
    """Return `value` with its expanded percentile interval.

    A plain percentile interval is too short for few questions, because t exceeds z and n exceeds
    n - 1; taking percentiles farther out makes up for it. None if there can be no interval: with
    fewer than two questions, or without any draw that is a number.

    Args:
        value: the statistic of all questions.
        draws: float64[d], the statistic of each draw; those that are NaN are left out.
        n_questions: how many questions the statistic is over.
    """
    found = draws[~np.isnan(draws)]
    if n_questions < 2 or not found.size or math.isnan(value):
        return None
    widened = math.sqrt(n_questions / (n_questions - 1)) * stdtrit(n_questions - 1, 1.0 - TAIL)
    tail = float(ndtr(-widened))
    low, high = np.quantile(found, (tail, 1.0 - tail))
    return BootstrapInterval(value, float(low), float(high))


def mean_interval(values: Floats, weights: Floats) -> BootstrapInterval | None:
    """Return `mean_of(values)` with its 95 % interval; None as for `percentile_interval`."""
    draws = resample_means(values, weights)
    return percentile_interval(mean_of(values), draws, n_questions=_n_questions(values))


def alignment_interval(missed: Floats, widest: Floats, weights: Floats) -> BootstrapInterval | None:
    """Return the mean over cultures of their alignment score, at most 1, with its 95 % interval.

    A few long scales carry the score and make it skewed, which percentiles do not follow, so each
    draw is measured in its own standard error (bootstrap-t). With 250 questions it holds the truth
    94 to 96 % of the time (percentiles: 93 to 94 %), with 50 about 92 % (88 %). With fewer than
    `MIN_STUDENTISED` the errors themselves are too uncertain, and percentiles are taken. The
    interval stays within 0, as bad as options can be, and 1. None as for `percentile_interval`.

    Args:
        missed: float64[c, q], (a - g)² of the chosen option a and the modal one g.
        widest: float64[c, q], (n - 1)² of the number of options n; ignored where `missed` is NaN.
        weights: float64[d, q] from `question_weights`.

    Source: METHODS, metric 1 (arXiv 2410.12971, section 4.1).
    """
    found = _interval_from_draws(lambda w: resample_alignment(missed, widest, w), missed, weights)
    return _clip(found, least=0.0)


def alignment_gain_interval(
    missed: Floats, baseline_missed: Floats, widest: Floats, weights: Floats
) -> BootstrapInterval | None:
    """Return the paired gain in alignment score over another method, with its 95 % interval.

    Both scores are over the cells that both have, and made anew in every draw from the same
    questions, as a score is a ratio and not a mean of cells. Above 0 is better. The interval is
    made like that of `alignment_interval`, in standard errors of the difference, and stays within
    -1 and 1; None as for `percentile_interval`.

    Args:
        missed: float64[c, q], (a - g)² of the chosen option a and the modal one g.
        baseline_missed: float64[c, q], the same cells of the method that is compared with.
        widest: float64[c, q], (n - 1)² of the number of options n.
        weights: float64[d, q] from `question_weights`.
    """
    both = ~np.isnan(missed) & ~np.isnan(baseline_missed)
    ours, theirs = (np.where(both, of, np.nan) for of in (missed, baseline_missed))

    def draw(some: Floats) -> tuple[Floats, Floats]:
        values, moves = resample_alignment(ours, widest, some)
        baseline_values, baseline_moves = resample_alignment(theirs, widest, some)
        return values - baseline_values, moves - baseline_moves

    return _clip(_interval_from_draws(draw, ours, weights), least=-1.0)


def gain_interval(values: Floats, baseline: Floats, weights: Floats) -> BootstrapInterval | None:
    """Return the paired mean gain of `values` over `baseline` with its 95 % interval.

    Only cells that both have count, so the gain can differ from the difference of the two means.
    Above 0 is better if higher values are. None as for `percentile_interval`.

    Args:
        values: float64[c, q], one value per cell.
        baseline: float64[c, q], the same cells of the method that is compared with.
        weights: float64[d, q] from `question_weights`.
    """
    return mean_interval(values - baseline, weights)


def _clip(found: BootstrapInterval | None, *, least: float) -> BootstrapInterval | None:
    if found is None:
        return None
    return BootstrapInterval(found.value, max(least, found.low), min(1.0, found.high))


def _interval_from_draws(
    draw: Callable[[Floats], tuple[Floats, Floats]], cells: Floats, weights: Floats
) -> BootstrapInterval | None:
    """Return a statistic with its interval, each draw measured in its own standard error.

    With fewer than `MIN_STUDENTISED` questions percentiles are taken instead.

    Args:
        draw: gives, for weights float64[d, q], the statistic float64[d] of each draw, and how
            much it moves with each question, float64[d, q].
        cells: float64[c, q], NaN where the statistic has no cell.
        weights: float64[d, q] from `question_weights`.
    """
    once = _once(cells)
    (value,), moves = draw(once)
    value, n_questions = float(value), _n_questions(cells)
    draws, moves_drawn = draw(weights)
    if n_questions < MIN_STUDENTISED:
        return percentile_interval(value, draws, n_questions=n_questions)
    (error,) = _errors(moves, once)
    if error == 0.0:
        return BootstrapInterval(value, value, value)
    errors = _errors(moves_drawn, weights)
    # A draw of one question many times has no error to measure it in.
    usable = np.isfinite(draws) & (errors > 0.0)
    in_errors = (draws[usable] - value) / errors[usable]
    if not in_errors.size:
        return None
    low, high = np.quantile(in_errors, (TAIL, 1.0 - TAIL))
    return BootstrapInterval(value, float(value - high * error), float(value - low * error))


def _errors(moves: Floats, weights: Floats) -> Floats:
    """Return float64[d]: the standard error of each draw, from how it moves with each question."""
    n_questions = weights.sum(axis=1)
    squares = (weights * np.square(moves)).sum(axis=1) * n_questions
    return np.asarray(np.sqrt(squares / np.maximum(n_questions - 1.0, 1.0)))


def _ratio(sums: Floats, totals: Floats) -> Floats:
    """Return their ratio, NaN where the total is 0."""
    return np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0.0)


def _mean_over_cultures(by_culture: Floats) -> Floats:
    """Return float64[d] of float64[d, c]."""
    known = ~np.isnan(by_culture)
    sums = np.where(known, by_culture, 0.0).sum(axis=1)
    return _ratio(sums, known.sum(axis=1).astype(np.float64))


def _once(values: Floats) -> Floats:
    return np.ones((1, values.shape[1]))


def _n_questions(values: Floats) -> int:
    return int((~np.isnan(values)).any(axis=0).sum())
