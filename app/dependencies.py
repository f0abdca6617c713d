"""What routes get handed: the opened resources, by type."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.pipeline import Pipeline
from app.resources import Resources


# Async, though they await nothing: FastAPI would run them in a thread of its own each.
async def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


async def _pipeline(request: Request) -> Pipeline:
    return (await _resources(request)).pipeline


ResourcesDep = Annotated[Resources, Depends(_resources)]
PipelineDep = Annotated[Pipeline, Depends(_pipeline)]
