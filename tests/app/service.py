"""Milieu with the real retrieval on a fake vLLM: opened in the test's loop, or served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI

from app.main import create_app
from app.resources import open_resources
from app.settings import AnswerSettings, EncoderSettings, Settings
from app.state.retrieval import Retrieval, open_retrieval, read_library
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.library import SurveyLibrary
from tests.fakes.vllm import MODEL, serve

# A question of the World Values Survey, in words near enough to be known for it.
RELIGION = "How important is religion in your life?"
RELIGION_KEY = "wvs7:Q6"
# Not a question of any survey, but near enough to some to be steered by them.
NEIGHBOURS = "Would you lend money to your neighbours?"
# Near to no question of any survey.
FAR = "Does a semicolon end a line of Pascal?"

# What the finder takes of the settings of answers.
THRESHOLDS = (
    *("similarity_floor", "same_question", "near_duplicate"),
    *("other_similarity_floor", "other_same_question"),
)


def settings_for(url: str, cache_folder: Path, /, **overrides: Any) -> Settings:
    """Return settings for the vLLM at `url`; `overrides` are fields, those of groups merged."""
    fields: dict[str, Any] = {
        "cache_folder": cache_folder,
        "vllm": {"urls": (url,), "model": MODEL},
        # The fake gives little probability to labels.
        "answer": {"min_label_mass": 0.0},
    }
    for name, value in overrides.items():
        fields[name] = {**fields.get(name, {}), **value} if isinstance(value, dict) else value
    return Settings(**fields)


def share_library(settings: Settings, catalogue: CultureCatalogue) -> SurveyLibrary:
    """Return the survey packs, read once for all tests where they are those that Milieu ships."""
    if settings.pack_folders:
        return read_library(settings, catalogue)
    return _shipped(settings.packs, settings.commercial_use)


@cache
def _shipped(packs: tuple[str, ...], commercial_use: bool) -> SurveyLibrary:
    return read_library(Settings(packs=packs, commercial_use=commercial_use), read_catalogue())


def share_retrieval(settings: Settings, library: SurveyLibrary) -> Retrieval:
    """Return encoder and index, opened once for all tests where settings and packs are equal."""
    if settings.pack_folders:
        return open_retrieval(settings, library)
    thresholds = tuple(getattr(settings.answer, name) for name in THRESHOLDS)
    return _retrieval(settings.cache_folder, settings.encoder, thresholds, library)


@cache
def _retrieval(
    cache_folder: Path,
    encoder: EncoderSettings,
    thresholds: Sequence[float],
    library: SurveyLibrary,
) -> Retrieval:
    answer = dict(zip(THRESHOLDS, thresholds, strict=True))
    settings = Settings(cache_folder=cache_folder, encoder=encoder, answer=AnswerSettings(**answer))
    return open_retrieval(settings, library)


# What a run of questions stands on, and what a service does.
open_for_run = partial(open_resources, read=share_library, retrieve=share_retrieval)
open_shared = partial(open_for_run, is_service=True)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Open the service in this loop; yields a client of it."""
    app = make_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://milieu") as client:
            yield client


def served(settings: Settings) -> AbstractContextManager[str]:
    """Serve the service on a free loopback port, in a thread; gives its URL."""
    return serve(make_app(settings), lifespan="on")


def make_app(settings: Settings) -> FastAPI:
    """Return the service, to be opened or served."""
    return create_app(settings, opener=open_shared)


class Event(NamedTuple):
    """A server-sent event."""

    name: str
    data: dict[str, Any]


def events(text: str) -> list[Event]:
    """Return the named events of a whole stream."""
    found = []
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append(Event(fields["event"], json.loads(fields["data"])))
    return found


def counted(metrics: str, name: str, **labels: str) -> float:
    """Return the sum of the samples of `name` that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in metrics.splitlines()
        if line.startswith((f"{name}{{", f"{name} ")) and all(part in line for part in wanted)
    )


def keys(exemplars: Iterable[dict[str, Any]]) -> list[str]:
    """Return the keys of the exemplars' questions."""
    return [exemplar["question_key"] for exemplar in exemplars]
