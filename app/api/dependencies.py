"""What routes get handed: the opened resources and their parts, by type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request

from app.answering.lookup import EvidenceLookup
from app.answering.pipeline import Pipeline
from app.answering.questions import QuestionBrowser
from app.errors import CultureConflict
from app.resources import Resources
from app.settings import AnswerSettings
from app.state.experiments import LiveExperiments
from experiments.errors import ExperimentsOff
from survey_data.cultures import CultureCatalogue
from survey_data.library import SurveyLibrary


def find_resources(request: Request) -> Resources:
    """Return what was opened for the service that got `request`."""
    resources: Resources = request.app.state.resources
    return resources


# Async, though they await nothing: FastAPI would run them in a thread of its own each. None of them
# depends on another, because FastAPI resolves what one depends on anew for each that does.
async def _get_resources(request: Request) -> Resources:
    return find_resources(request)


ResourcesDep = Annotated[Resources, Depends(_get_resources)]


async def _get_pipeline(request: Request) -> Pipeline:
    return find_resources(request).pipeline


async def _get_library(request: Request) -> SurveyLibrary:
    return find_resources(request).library


async def _get_lookup(request: Request) -> EvidenceLookup:
    return find_resources(request).lookup


async def _get_questions(request: Request) -> QuestionBrowser:
    return find_resources(request).questions


async def _get_defaults(request: Request) -> AnswerSettings:
    return find_resources(request).settings.answer


async def _get_experiments(request: Request) -> LiveExperiments:
    resources = find_resources(request)
    if resources.experiments is None:
        raise ExperimentsOff
    return resources.experiments


PipelineDep = Annotated[Pipeline, Depends(_get_pipeline)]
LibraryDep = Annotated[SurveyLibrary, Depends(_get_library)]
LookupDep = Annotated[EvidenceLookup, Depends(_get_lookup)]
QuestionsDep = Annotated[QuestionBrowser, Depends(_get_questions)]
DefaultsDep = Annotated[AnswerSettings, Depends(_get_defaults)]
ExperimentsDep = Annotated[LiveExperiments, Depends(_get_experiments)]


def agree_on_culture(named: Sequence[str | None], catalogue: CultureCatalogue) -> str | None:
    """Return the one culture that a request names in these places, None where it names none.

    Raises:
        CultureUnknown: one of several is not a culture.
        CultureConflict: they are different cultures.
    """
    given = [text for text in named if text is not None]
    if len(given) > 1 and len(catalogue.codes(given)) > 1:
        raise CultureConflict(given)
    return given[0] if given else None
