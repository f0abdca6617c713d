"""The client has every field of the service, and nothing that the service does not take."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

import milieu_client
from app.api.schemas import answer as answers
from app.api.schemas import batch, experiments, questions, sources
from milieu_client.questions import QuestionsReply
from survey_data.distances import distribution_similarity

ROOT = Path(__file__).parents[2]
SENT: list[tuple[type[BaseModel], type[milieu_client.Model]]] = [
    (answers.AnswerResponse, milieu_client.Answer),
    (answers.EvidenceFields, milieu_client.Evidence),
    (answers.ExemplarsResponse, milieu_client.Exemplars),
    (answers.ExemplarEvidence, milieu_client.Exemplar),
    (answers.UsageCounts, milieu_client.Usage),
    (answers.FallbackReason, milieu_client.Fallback),
    (answers.ExperimentFields, milieu_client.Experiment),
    (answers.CultureSummary, milieu_client.Culture),
    (answers.PackSummary, milieu_client.PackCoverage),
    (answers.MapPoint, milieu_client.MapPoint),
    (sources.CultureName, milieu_client.CultureName),
    (sources.ShareInterval, milieu_client.ShareInterval),
    (sources.OptionShare, milieu_client.OptionShare),
    (sources.ChosenOption, milieu_client.ChosenOption),
    (sources.PeopleFigures, milieu_client.PeopleFigures),
    (sources.DonorWeight, milieu_client.DonorWeight),
    (sources.OwnQuestion, milieu_client.OwnQuestion),
    (sources.TransferFields, milieu_client.Transfer),
    (sources.RecognisedQuestion, milieu_client.RecognisedQuestion),
    (sources.RecognitionFields, milieu_client.Recognition),
    (sources.ModelAnswer, milieu_client.ModelAnswer),
    (answers.ChatEvidence, milieu_client.ChatEvidence),
    (sources.KnownFields, milieu_client.Known),
    (experiments.FeedbackReceipt, milieu_client.FeedbackReceipt),
    (batch.BatchLine, milieu_client.BatchResult),
    (batch.Versions, milieu_client.Versions),
    (batch.SurveyCitation, milieu_client.SurveyCitation),
    (answers.Problem, milieu_client.Problem),
    (questions.SurveyTerms, milieu_client.SurveyTerms),
    (questions.CultureFigures, milieu_client.CultureFigures),
    (questions.QuestionWording, milieu_client.QuestionWording),
    (questions.QuestionSummary, milieu_client.QuestionSummary),
    (questions.QuestionDetail, milieu_client.QuestionDetail),
    (questions.QuestionsResponse, QuestionsReply),
]


@pytest.mark.parametrize(("sent", "read"), SENT, ids=lambda model: model.__name__)
def test_a_reply_has_the_same_fields_in_the_same_order(
    sent: type[BaseModel], read: type[milieu_client.Model]
) -> None:
    assert list(read.model_fields) == list(sent.model_fields)


@pytest.mark.parametrize(("sent", "read"), SENT, ids=lambda model: model.__name__)
def test_a_field_may_be_none_where_the_service_may_send_null(
    sent: type[BaseModel], read: type[milieu_client.Model]
) -> None:
    assert nullable(read) == nullable(sent)


def nullable(model: type[BaseModel]) -> set[str]:
    return {
        name
        for name, hint in get_type_hints(model).items()
        if name in model.model_fields and type(None) in getattr(hint, "__args__", ())
    }


@pytest.mark.parametrize(
    ("body", "fields", "said_apart"),
    [
        # Whether an answer is streamed, a method of its own says.
        (answers.AnswerBody, milieu_client.AskFields, {"question", "culture", "stream"}),
        (experiments.FeedbackBody, milieu_client.FeedbackFields, set()),
        (answers.RecipeFields, milieu_client.RecipeFields, set()),
        (answers.ExemplarsBody, milieu_client.ExemplarFields, {"question", "culture"}),
        (questions.QuestionsQuery, milieu_client.QuestionFields, set()),
    ],
)
def test_every_field_of_a_request_can_be_given(
    body: type[BaseModel], fields: Any, said_apart: set[str]
) -> None:
    assert set(fields.__annotations__) == set(body.model_fields) - said_apart


def test_it_has_the_version_of_the_project_and_stands_alone() -> None:
    whole = read_project(ROOT / "pyproject.toml")
    alone = read_project(ROOT / "milieu_client" / "pyproject.toml")

    assert whole["version"] == alone["version"] == milieu_client.__version__
    assert set(alone["dependencies"]) <= set(whole["dependencies"])
    assert whole["requires-python"] == alone["requires-python"]


def read_project(file: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    return project


def test_all_public_names_are_there_and_sorted() -> None:
    names = milieu_client.__all__

    assert all(hasattr(milieu_client, name) for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0.5, 0.5), (0.5, 0.5)),
        ((1.0, 0.0), (0.0, 1.0)),
        ((0.1393, 0.247, 0.3535, 0.2602), (0.5, 0.25, 0.25, 0.0)),
    ],
)
def test_the_distance_is_that_of_evaluations(
    one: tuple[float, ...], other: tuple[float, ...]
) -> None:
    distance = milieu_client.js_distance(shares(one), shares(other))

    assert distance == pytest.approx(1.0 - distribution_similarity(one, other), abs=1e-12)


def test_shares_of_other_options_have_no_distance() -> None:
    with pytest.raises(ValueError, match="same options"):
        milieu_client.js_distance(shares((0.5, 0.5)), shares((0.2, 0.3, 0.5)))


def shares(values: tuple[float, ...]) -> list[milieu_client.OptionShare]:
    return [
        milieu_client.OptionShare(number=number, label=str(number), share=value)
        for number, value in enumerate(values, start=1)
    ]
