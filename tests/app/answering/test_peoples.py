"""The figures of all peoples: the same as those of each, without asking a model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.answering.peoples import PeoplesFigures
from estimation.source import Source
from survey_data.cultures import read_catalogue
from tests.app.service import RELIGION_KEY, share_library, share_retrieval
from tests.fixtures.service import MakeSettings


@pytest.mark.parametrize("key", [RELIGION_KEY, "climate-2022:climate_awareness"])
async def test_all_at_once_are_as_one_by_one(make_settings: MakeSettings, key: str) -> None:
    settings = make_settings()
    library = share_library(settings, read_catalogue())
    estimator = share_retrieval(settings, library).estimator
    question = library.questions[key]
    with ThreadPoolExecutor(1) as threads:
        peoples = PeoplesFigures(library, lambda: estimator, threads)
        found = await peoples.find(question, library.cultures)
        known = await peoples.find(question, library.cultures, estimates=False)

    assert [figure.culture.code for figure in found] == list(library.cultures)
    for figure, alone in zip(found, known, strict=True):
        code, estimate = figure.culture.code, figure.estimate
        is_asked = code in library.cultures_of(key)
        assert estimate is not None
        assert estimate.source is (Source.SURVEY if is_asked else Source.TRANSFER)
        assert (alone.estimate is not None) is is_asked
        if not is_asked:
            one = estimator.transfer(question, code)
            assert one is not None
            assert estimate.shares == one.shares


async def test_what_was_not_asked_shares_a_fit_over_questions(make_settings: MakeSettings) -> None:
    settings = make_settings()
    library = share_library(settings, read_catalogue())
    estimator = share_retrieval(settings, library).estimator
    model = estimator.transfer_model
    japan, first, second = "JPN", library.questions["wvs7:Q6"], library.questions["wvs7:Q7"]

    estimator.transfer(first, japan)
    n_fits = model.n_fits
    estimator.transfer(second, japan)

    assert model.n_fits == n_fits
