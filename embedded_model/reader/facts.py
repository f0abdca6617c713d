"""What a prompt tells of a people's answer: real figures, or made-up ones that must be read."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from embedded_model.reader.material import Material
from prompting.statement import Statement, Surveyed
from survey_data.cultures import Culture
from survey_data.model import Question, ResponseDistribution

Rng: TypeAlias = np.random.Generator
Shares: TypeAlias = tuple[float, ...]

# How often figures are made up where there are real ones: what is known by heart is not read.
MADE_UP = 0.6
IS_ESTIMATE, HAS_INTERVALS, HAS_COUNT, HAS_YEARS, IS_OF_PACK = 0.35, 0.75, 0.8, 0.85, 0.7
MAX_DONORS = 4
_Z90 = 1.645
_TITLES = (
    "Global Attitudes Panel", "European Values Monitor, round 4", "Household and Society Survey",
    "National Opinion Study 2021", "Afro Barometer of Values", "Pacific Social Survey",
    "Survey of Everyday Life", "International Attitudes Study, wave 2: 31 countries",
    "Youth and Society Poll 2019", "Comparative Study of Norms", "Asia Opinion Survey, part 3",
    "Latin American Panel of Beliefs", "Work and Family Survey", "Civic Trust Index 2023",
)  # fmt: skip


def draw(rng: Rng, items: Any) -> Any:
    """Return one of `items`, each as likely as the others."""
    return items[int(rng.integers(len(items)))]


def draw_statement(rng: Rng, material: Material, question: Question) -> Statement:
    """Return a statement of how some people answer `question`, or are estimated to."""
    surveyed = material.surveyed[question.key]
    culture = draw(rng, surveyed if surveyed and rng.random() < 0.6 else material.cultures)
    cell = material.cells.get((question.key, culture.code))
    if cell is None or rng.random() < MADE_UP:
        cell = _make_up(rng, question, culture)
    if rng.random() < IS_ESTIMATE:
        return _estimate(rng, material, question, culture, cell.shares)
    manifest = material.manifests[question.pack]
    title, years = manifest.title_in_sentence, manifest.year(culture.code)
    if rng.random() >= IS_OF_PACK:
        title, years = draw(rng, _TITLES), str(rng.integers(1999, 2026))
    n = cell.n_respondents
    if n is None and rng.random() < HAS_COUNT:
        n = int(rng.integers(150, 6000))
    return state_survey(
        question,
        culture,
        cell.shares,
        Surveyed(
            title, years if rng.random() < HAS_YEARS else "", n, is_reworded=rng.random() < 0.8
        ),
        population=manifest.population,
        has_intervals=n is not None and rng.random() < HAS_INTERVALS,
    )


def state_survey(
    question: Question,
    culture: Culture,
    shares: Shares,
    surveyed: Surveyed,
    *,
    population: str = "",
    has_intervals: bool = True,
) -> Statement:
    """Return a survey's result, with the intervals of a simple random sample."""
    intervals = None
    if has_intervals and surveyed.n_respondents:
        n = surveyed.n_respondents
        intervals = tuple(_widen(p, _Z90 * (p * (1 - p) / n) ** 0.5 + 0.5 / n) for p in shares)
    return Statement(
        culture.name_in_sentence,
        question.text,
        question.options,
        shares,
        intervals,
        surveyed,
        population=population,
    )


def _estimate(
    rng: Rng, material: Material, question: Question, culture: Culture, shares: Shares
) -> Statement:
    width = rng.uniform(0.03, 0.12)
    donors = [draw(rng, material.cultures) for _ in range(int(rng.integers(MAX_DONORS + 1)))]
    names = dict.fromkeys(d.name_in_sentence for d in donors if d.code != culture.code)
    return Statement(
        culture.name_in_sentence,
        question.text,
        question.options,
        shares,
        tuple(_widen(p, width * (0.5 + p * (1 - p) * 2)) for p in shares),
        donors=tuple(names),
        population=material.manifests[question.pack].population,
    )


def _make_up(rng: Rng, question: Question, culture: Culture) -> ResponseDistribution:
    shares = rng.dirichlet(np.full(len(question.options), rng.uniform(0.5, 3.0)))
    return ResponseDistribution(question.key, culture.code, tuple(shares.tolist()))


def _widen(share: float, by: float) -> tuple[float, float]:
    return max(0.0, share - by), min(1.0, share + by)
