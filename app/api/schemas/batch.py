"""The shapes of a batch: questions, cultures and recipes, and one result for each."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SkipValidation

from app.api.schemas.answer import (
    AnswerBody,
    AnswerResponse,
    Body,
    CultureText,
    Problem,
    RecipeFields,
)
from app.api.schemas.sources import ResponseModel

MAX_CULTURES = 300
MAX_RECIPES = 50


class BatchBody(Body):
    """Questions, and whom to ask them in which ways: every question of everyone in every way."""

    # Each is read by itself, so that one that does not fit spoils no other.
    questions: SkipValidation[list[AnswerBody | str | Any]] = Field(
        description="Texts, or bodies of `POST /answer`. One that names its culture is asked of "
        "that one alone; one that does not fit gets a problem as its result."
    )
    cultures: list[CultureText] = Field(
        default_factory=list,
        max_length=MAX_CULTURES,
        description="Codes, names or language tags.",
        examples=[["DE", "NG"]],
    )
    recipes: list[RecipeFields] = Field(
        default_factory=list,
        max_length=MAX_RECIPES,
        description="Ways to answer; what one says goes before what a question says.",
        examples=[[{"answer_from": "tables"}, {"method": "icl", "k": 3}]],
    )


class Versions(ResponseModel):
    """What an answer was made with, so that it can be told from one that was made otherwise."""

    milieu: str
    encoder: str
    model: str | None = Field(description="Name of the weights; null where none were asked.")
    base_model: str | None = Field(
        None, description="Name of the model that they are of, or that an adapter is on."
    )
    adapter: str | None
    calibration: str | None
    packs: dict[str, str] = Field(
        description="The packs that it stands on, with the start of the sha256 of their figures."
    )


class SurveyCitation(ResponseModel):
    """A survey that an answer stands on, and the terms that come with its figures."""

    pack: str
    title: str
    source: str
    citation: str
    licence: str


class BatchLine(ResponseModel):
    """What came of one question, asked of one culture in one way: an answer or a problem."""

    index: int = Field(description="Place among all answers of the batch, from 0.")
    row: int = Field(description="Place of the question, from 0.")
    recipe: int = Field(description="Place of the recipe, from 0.")
    culture: str | None = Field(description="As the batch named it.")
    answer: AnswerResponse | None = Field(None, description="As `/answer` replies it.")
    problem: Problem | None = Field(None, description="As `/answer` refuses it.")
    surveys: list[SurveyCitation] = Field(
        default_factory=list, description="Those that the answer stands on."
    )
    versions: Versions | None = Field(None, description="Null beside a problem.")
