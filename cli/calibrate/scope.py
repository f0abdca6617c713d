"""Which questions a calibration asks, as whom, and by which recipes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

import numpy as np

from app.answering.calibrated import strip_recipe
from app.errors import OptionInvalid
from app.settings import AnswerSettings
from cli.calibrate.options import MIN_QUESTIONS, CalibrateOptions
from prompting.recipe import ADAPTER_METHODS, PROMPT_METHODS, Recipe
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.split import Split

# As how many cultures a question is asked: as one with its battery known, as one without. As many
# more answers to other questions say more of a model.
N_CULTURES = 2


class Cell(NamedTuple):
    """A question that is asked as a culture whose answer to it is known.

    With `is_novel` nothing of its battery is known either, as of most questions that are new.
    """

    question: Question
    culture: str
    is_novel: bool


def select_recipes(settings: AnswerSettings, options: CalibrateOptions) -> tuple[Recipe, ...]:
    """Return the recipes to ask by: each method, those that show exemplars in each style.

    Raises:
        OptionInvalid: a method needs an adapter.
    """
    methods = options.methods or (settings.method,)
    for method in methods:
        if method in ADAPTER_METHODS:
            expected = f"one of {', '.join(PROMPT_METHODS)}: an adapter is not calibrated"
            raise OptionInvalid("--method", method, expected)
    styles = options.styles or (settings.exemplar_style,)
    recipes = (
        Recipe(method, k=settings.k, style=style, retriever=settings.retriever)
        for method in methods
        for style in styles
    )
    return tuple(dict.fromkeys(map(strip_recipe, recipes)))


def select_cells(
    library: SurveyLibrary, options: CalibrateOptions, held_out: Split
) -> tuple[Cell, ...]:
    """Return what is asked: questions spread evenly over packs and topics, as some cultures each.

    Nothing of `held_out` is asked, so that it can still tell how near pooled answers come, and
    nobody of it is asked as unless they are named. The same options select the same cells.

    Raises:
        CultureUnknown, CultureNotCovered: a culture is not there.
        OptionInvalid: too few questions are left.
    """
    named = [library.find_culture(text).code for text in options.cultures]
    cultures = frozenset(named or set(library.cultures) - held_out.cultures)
    random = np.random.default_rng(0)
    cells: list[Cell] = []
    for question in _spread(library, held_out, cultures, random)[: options.n_questions]:
        asked = _list_asked(library, question, cultures)
        chosen = random.permutation(len(asked))[:N_CULTURES]
        cells += [
            Cell(question, asked[place], is_novel=number % 2 == 1)
            for number, place in enumerate(chosen.tolist(), start=len(cells) % 2)
        ]
    n_questions = len({cell.question.key for cell in cells})
    if n_questions < MIN_QUESTIONS:
        whose = f"{n_questions} questions that {', '.join(options.cultures) or 'anyone'} was asked"
        raise OptionInvalid("--culture", whose, f"{MIN_QUESTIONS} or more")
    return tuple(cells)


def _spread(
    library: SurveyLibrary,
    held_out: Split,
    cultures: frozenset[str],
    random: np.random.Generator,
) -> list[Question]:
    """Return every question that may be asked, one of each topic in turn."""
    topics: dict[tuple[str, str], list[Question]] = {}
    for key, question in library.questions.items():
        if key not in held_out.questions and _list_asked(library, question, cultures):
            topics.setdefault((question.pack, question.topic), []).append(question)
    shuffled = ([of[place] for place in random.permutation(len(of))] for of in topics.values())
    turns = chain.from_iterable(zip_longest(*shuffled))
    return [question for question in turns if question is not None]


def _list_asked(
    library: SurveyLibrary, question: Question, cultures: frozenset[str]
) -> Sequence[str]:
    return [
        culture
        for culture in library.cultures
        if culture in cultures and library.distribution(question.key, culture) is not None
    ]
