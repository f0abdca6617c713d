"""What routes get handed: the opened resources, by type."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.answering.pipeline import Pipeline
from app.resources import Resources
from app.state.experiments import LiveExperiments
from experiments.errors import ExperimentsOff


# Async, though they await nothing: FastAPI would run them in a thread of its own each.
async def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


async def _pipeline(request: Request) -> Pipeline:
    return (await _resources(request)).pipeline


async def _experiments(request: Request) -> LiveExperiments:
    found = (await _resources(request)).experiments
    if found is None:
        raise ExperimentsOff
    return found


ResourcesDep = Annotated[Resources, Depends(_resources)]
PipelineDep = Annotated[Pipeline, Depends(_pipeline)]
ExperimentsDep = Annotated[LiveExperiments, Depends(_experiments)]
