"""A calibrated model's shares count where the surveys hold only like questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.answering.calibrated import CalibratedPool, CalibratedRecipe, Reached
from app.settings import Settings
from app.state.calibration_files import CalibrationOrigin, save_calibration
from estimation.calibration import TABLE_ALONE, Calibration
from prompting.recipe import Method, Recipe
from survey_data.cultures import read_catalogue
from tests.app.service import (
    FAR,
    NEIGHBOURS,
    RELIGION,
    opened,
    share_library,
    share_retrieval,
)
from tests.fakes.vllm import MODEL, FakeVllm, Scripted, serve
from tests.fixtures.service import MakeSettings

# One more item of a battery that a survey asked.
NEAR = "What importance does sport have in your life?"
NEAR_OPTIONS = [
    "Highly important",
    "Fairly important",
    "Not that important",
    "Not important at all",
]
OPTIONS = ["Not at all", "A little", "Very much"]
RAW = Calibration(0.5, offsets={3: np.array([0.4, 0.0, -0.4])})
POOL = Calibration(0.6, 0.7, offsets={3: np.array([1.0, 0.0, -1.0])})
FIGURES = {"raw": 0.6, "calibrated": 0.7, "related": 0.75, "pooled": 0.8}

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def save(
    settings: Settings,
    *,
    pool: Calibration,
    near: Calibration | None = None,
    model: str = MODEL,
    recipe: Recipe | None = None,
) -> str:
    """Save a calibration where `settings` say, and return its id; `near` is another pool there."""
    library = share_library(settings, read_catalogue())
    encoder = share_retrieval(settings, library).index.model_id
    origin = CalibrationOrigin.of(model, {"model root": model}, library=library, encoder=encoder)
    near_pool, far_pool = (
        CalibratedPool(each, Reached(**FIGURES), n_questions=25, n_answers=100)
        for each in (near or pool, pool)
    )
    fitted = CalibratedRecipe(recipe or settings.answer.recipe, RAW, near=near_pool, far=far_pool)
    assert settings.calibration is not None
    return save_calibration(settings.calibration, origin, [fitted], created="now").id


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calibration.json"


@pytest.fixture
def calibrated(make_settings: MakeSettings, file: Path) -> Serve:
    """Return a function that opens a service with a calibration."""

    @asynccontextmanager
    async def made(pool: Calibration = POOL, **overrides: Any) -> AsyncIterator[httpx.AsyncClient]:
        settings = make_settings(calibration=file, **{"vllm": {"n_retries": 0}} | overrides)
        save(settings, pool=pool)
        async with opened(settings) as client:
            yield client

    return made


def alter(file: Path) -> None:
    file.write_text(file.read_text().replace("0.6", "0.9", 1))


async def ask(client: httpx.AsyncClient, question: str = NEIGHBOURS, **fields: Any) -> Any:
    body = {"culture": "DE", "question": question, "options": OPTIONS} | fields
    reply = await client.post("/answer", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def shares_of(found: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    return np.array([share["share"] for share in found])


async def test_an_estimate_from_like_questions_is_pooled_with_the_model(
    calibrated: Serve, fake: FakeVllm
) -> None:
    async with calibrated() as client:
        alone = await ask(client, answer_from="tables")
        assert not fake.chats
        answer = await ask(client)

    assert len(fake.chats) == 1
    assert answer["source"] == alone["source"] == "related"
    model = answer["model"]
    said = shares_of(model["shares"])
    pooled = POOL.apply(said, shares_of(alone["shares"]))
    assert shares_of(answer["shares"]) == pytest.approx(pooled, abs=2e-3)
    assert shares_of(model["calibrated_shares"]) == pytest.approx(RAW.apply(said), abs=2e-3)
    assert shares_of(answer["shares"]) != pytest.approx(shares_of(alone["shares"]), abs=1e-2)
    assert model["exemplars"]
    assert alone["model"] is None


async def test_intervals_are_the_estimates_and_hold_the_pooled_shares(calibrated: Serve) -> None:
    async with calibrated(Calibration(0.0, 3.0, {3: np.array([3.0, 0.0, -3.0])})) as client:
        alone = await ask(client, answer_from="tables")
        answer = await ask(client)

    moved = 0
    for before, after in zip(alone["shares"], answer["shares"], strict=True):
        low, high = before["interval"]["low"], before["interval"]["high"]
        assert after["interval"]["low"] == pytest.approx(min(low, after["share"]), abs=1e-4)
        assert after["interval"]["high"] == pytest.approx(max(high, after["share"]), abs=1e-4)
        moved += not low <= after["share"] <= high
    assert moved
    assert answer["confident"] == alone["confident"]


async def test_answers_and_readiness_name_the_calibration(
    make_settings: MakeSettings, file: Path
) -> None:
    settings = make_settings(calibration=file)
    name = save(settings, pool=POOL)
    async with opened(settings) as client:
        answer, ready = await ask(client), (await client.get("/readyz")).json()

    assert answer["model"]["calibration"] == name
    assert ready["calibration"]["id"] == name
    assert ready["calibration_refused_because"] is None
    [method] = ready["calibration"]["methods"]
    assert method == {
        "method": "icl",
        "exemplar_style": "shares",
        "k": 5,
        "retriever": "dense",
        "orders": 1,
        "near": FIGURES | {"n_questions": 25},
        "far": FIGURES | {"n_questions": 25},
    }


async def test_the_model_is_not_asked_where_it_does_not_count(
    calibrated: Serve, fake: FakeVllm
) -> None:
    async with calibrated(TABLE_ALONE) as client:
        answer = await ask(client)
        assert not fake.chats
        named = await ask(client, method="icl")

    assert answer["model"] is None
    assert named["shares"] == answer["shares"]
    assert named["model"]["calibration"]


async def test_like_questions_that_tell_much_have_a_pool_of_their_own(
    make_settings: MakeSettings, file: Path, fake: FakeVllm
) -> None:
    settings = make_settings(calibration=file)
    save(settings, pool=POOL, near=TABLE_ALONE)
    async with opened(settings) as client:
        near = await ask(client, NEAR, options=NEAR_OPTIONS)
        assert not fake.chats
        far = await ask(client)

    assert near["source"] == far["source"] == "related"
    assert near["model"] is None
    assert far["model"]["calibration"]


async def test_the_model_alone_keeps_its_own_shares(calibrated: Serve) -> None:
    async with calibrated() as client:
        answer = await ask(client, RELIGION, answer_from="model")
        far = await ask(client, FAR)

    assert answer["source"] == "model"
    assert answer["shares"] == answer["model"]["shares"]
    assert answer["model"]["calibrated_shares"] != answer["model"]["shares"]
    # Where nothing is near, the prompt is another than the one that was calibrated.
    assert far["source"] == "model"
    assert far["model"]["calibration"] is None
    assert far["model"]["calibrated_shares"] is None


@pytest.mark.parametrize("fields", [{"method": "persona"}, {"k": 3}, {"orders": 2}])
async def test_what_was_not_calibrated_is_not_pooled(
    calibrated: Serve, fields: dict[str, Any]
) -> None:
    async with calibrated() as client:
        alone = await ask(client, answer_from="tables")
        answer = await ask(client, **fields)

    assert answer["shares"] == alone["shares"]
    assert answer["model"]["calibration"] is None


async def test_what_people_said_and_what_others_said_stands_without_the_model(
    calibrated: Serve, fake: FakeVllm
) -> None:
    async with calibrated() as client:
        survey = await ask(client, RELIGION, options=[])
        transfer = await ask(client, RELIGION, options=[], withhold=True)

    assert (survey["source"], transfer["source"]) == ("survey", "transfer")
    assert not fake.chats


@pytest.mark.parametrize(
    "step",
    [Scripted(status=500), Scripted(raw=b"<html>"), Scripted(status=400, message="too long")],
)
async def test_where_the_model_fails_the_estimate_stands_alone(
    calibrated: Serve, fake: FakeVllm, step: Scripted
) -> None:
    async with calibrated() as client:
        alone = await ask(client, answer_from="tables")
        await ask(client)
        fake.script(step)
        answer = await ask(client, seed=1)

    assert answer["shares"] == alone["shares"]
    assert answer["model"] is None
    [warning] = answer["warnings"]
    assert warning.startswith("the estimate stands alone, without the model's answer: ")


async def test_a_method_that_is_named_has_to_answer(calibrated: Serve, fake: FakeVllm) -> None:
    async with calibrated() as client:
        await ask(client)
        fake.script(Scripted(status=500))
        body = {"culture": "DE", "question": NEIGHBOURS, "options": OPTIONS, "method": "icl"}
        reply = await client.post("/answer", json=body)

    assert reply.status_code == 503


async def test_a_question_that_leaves_no_room_for_the_prompt_is_answered_by_the_estimate(
    calibrated: Serve,
) -> None:
    with serve(FakeVllm(max_model_len=40).app) as url:
        async with calibrated(vllm={"urls": (url,), "n_retries": 0}) as client:
            answer = await ask(client)

    assert answer["source"] == "related"
    assert answer["model"] is None
    assert "tokens" in answer["warnings"][0]


async def test_a_foreign_calibration_is_refused_and_the_service_does_without(
    make_settings: MakeSettings, file: Path, fake: FakeVllm, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(calibration=file)
    save(settings, pool=POOL, model="another")
    async with opened(settings) as client:
        ready = await client.get("/readyz")
        answer = await ask(client, method="icl")

    assert ready.status_code == 200
    assert ready.json()["calibration"] is None
    because = "calibration.json: found that of another, expected that of fake"
    assert because in ready.json()["calibration_refused_because"]
    assert [r.msg for r in caplog.records if r.msg.startswith("calib")] == ["calibration_refused"]
    assert answer["model"]["calibration"] is None


async def test_a_stale_or_altered_calibration_is_refused(
    make_settings: MakeSettings, file: Path
) -> None:
    settings = make_settings(calibration=file)
    save(settings, pool=POOL)
    fewer = make_settings(calibration=file, packs=("undp-ai-2025",))
    async with opened(fewer) as client:
        stale = (await client.get("/readyz")).json()
    alter(file)
    async with opened(settings) as client:
        altered = (await client.get("/readyz")).json()

    assert "packs climate-2022" in stale["calibration_refused_because"]
    assert "an altered file" in altered["calibration_refused_because"]


async def test_one_that_is_named_and_missing_is_said_to_be(
    make_settings: MakeSettings, file: Path
) -> None:
    async with opened(make_settings(calibration=file)) as client:
        ready = (await client.get("/readyz")).json()

    assert "calibration.json: found no file" in ready["calibration_refused_because"]


async def test_a_recipe_without_exemplars_is_pooled_too(
    make_settings: MakeSettings, file: Path
) -> None:
    answer = {"method": Method.PERSONA, "k": 7}
    settings = make_settings(calibration=file, answer=answer)
    save(settings, pool=POOL, recipe=Recipe(Method.PERSONA))
    async with opened(settings) as client:
        found = await ask(client)
        ready = (await client.get("/readyz")).json()

    assert found["source"] == "related"
    assert found["model"]["calibration"]
    assert ready["calibration"]["methods"][0]["exemplar_style"] is None
