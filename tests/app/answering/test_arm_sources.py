"""An arm decides what an answer stands on, and what was known is recorded with each exposure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from survey_data.cultures import read_catalogue
from survey_data.distances import distribution_similarity
from tests.app.api.test_calibration import OPTIONS, POOL, save
from tests.app.experiments import (
    ADMIN,
    NAME,
    Service,
    experiment_settings,
    exposures,
    service,
)
from tests.app.service import FAR, NEIGHBOURS, RELIGION, RELIGION_KEY, events, share_library
from tests.fakes.vllm import FakeVllm, Scripted
from tests.fixtures.service import FakeServer

# Asked of 21 countries, but not of Kenya.
AI_QUESTION = "How much knowledge do you have of artificial intelligence (AI)?"
ELSEWHERE = {"question": AI_QUESTION, "culture": "KE"}
NOWHERE = {"question": NEIGHBOURS, "options": ["Yes", "No"]}
ARMS: dict[str, Any] = {
    "icl": {"method": "icl"},
    "estimate": {"answer_from": "auto"},
    "tables": {"answer_from": "tables"},
    "survey": {"answer_from": "survey"},
}
WAYS = {"arms": ARMS, "control": "icl"}


@pytest.fixture
def settings(fake_server: FakeServer, cache_folder: Path, tmp_path: Path) -> Settings:
    return experiment_settings(fake_server.url, cache_folder, tmp_path)


async def ask_arm(milieu: Service, arm: str, **fields: Any) -> dict[str, Any]:
    return await milieu.ask("qa", arm=f"{NAME}/{arm}", **fields)


async def test_an_arm_by_the_best_source_asks_no_model_where_the_people_were_asked(
    settings: Settings, fake: FakeVllm
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        answer = await ask_arm(milieu, "estimate")
        outside = await milieu.ask(culture="DE", answer_from="auto")

    assert not fake.chats
    assert answer["experiment"]["arm"] == "estimate"
    assert (answer["source"], answer["model"], answer["method"]) == ("survey", None, None)
    assert answer["shares"] == outside["shares"]
    assert answer["warnings"] == []
    row = (await exposures(settings))[answer["id"]]
    assert (row["source"], row["best_source"], row["model_asked"]) == ("survey", "survey", 0)
    assert row["question_key"] == RELIGION_KEY
    assert row["similarity"] == pytest.approx(
        answer["recognised"]["questions"][0]["similarity"], abs=1e-4
    )
    assert (row["n_prompt_tokens"], row["n_reply_tokens"], row["readable"]) == (0, 0, 1)
    assert (row["label_mass"], row["fallbacks"]) == (None, "[]")
    assert 0.0 < row["latency_ms"] <= answer["timings_ms"]["total"]


@pytest.mark.parametrize(
    ("fields", "best"),
    [
        ({}, "survey"),
        ({"withhold": True}, "transfer"),
        (ELSEWHERE, "transfer"),
        (NOWHERE, "related"),
        ({"question": FAR}, "model"),
        ({"question": FAR, "options": ["Yes", "No"]}, "model"),
    ],
    ids=["survey", "withheld", "transfer", "related", "text", "far"],
)
async def test_what_would_have_been_known_is_recorded_of_every_arm(
    settings: Settings, fake: FakeVllm, fields: dict[str, Any], best: str
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        by_model = await ask_arm(milieu, "icl", **fields)
        n_asked = len(fake.chats)
        by_best = await ask_arm(milieu, "estimate", **fields)

    assert (by_model["source"], by_best["source"]) == ("model", best)
    assert (by_best["model"] is None) == (best != "model")
    assert len(fake.chats) - n_asked == (best == "model")
    rows = await exposures(settings)
    known = ("best_source", "question_key", "similarity")
    one, other = rows[by_model["id"]], rows[by_best["id"]]
    assert [one[name] for name in known] == [other[name] for name in known]
    assert (one["source"], one["best_source"], one["model_asked"]) == ("model", best, 1)
    assert (other["source"], other["model_asked"]) == (best, best == "model")
    if best != "model":
        assert one["similarity"] is not None


async def test_an_answer_outside_experiments_says_what_was_known_too(settings: Settings) -> None:
    async with service(settings) as milieu:
        by_best, by_model = await milieu.ask(), await milieu.ask(answer_from="model")

    rows = await exposures(settings)
    found = [rows[answer["id"]] for answer in (by_best, by_model)]
    assert [(row["source"], row["best_source"], row["model_asked"]) for row in found] == [
        ("survey", "survey", 0),
        ("model", "survey", 1),
    ]


async def test_an_estimate_is_aligned_and_the_peoples_own_figures_are_not(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        answers = {arm: await ask_arm(milieu, arm) for arm in ARMS}

    rows = await exposures(settings)
    found = {arm: rows[answer["id"]]["alignment"] for arm, answer in answers.items()}
    people = share_library(settings, read_catalogue()).distribution(RELIGION_KEY, "DEU")
    assert people is not None
    shares = [option["share"] for option in answers["tables"]["shares"]]
    expected = distribution_similarity([share / sum(shares) for share in shares], people.shares)
    assert answers["tables"]["source"] == "transfer"
    assert found["tables"] == pytest.approx(expected, abs=1e-3)
    assert 0.0 < found["tables"] < 1.0
    assert found["icl"] is not None
    assert found["estimate"] is found["survey"] is None


async def test_an_arm_whose_source_has_no_answer_falls_back_to_the_best_one(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        elsewhere = await ask_arm(milieu, "survey", **ELSEWHERE)
        far = await ask_arm(milieu, "tables", question=FAR, options=["Yes", "No"])
        for answer_from in ("survey", "tables"):
            body = {"question": FAR, "options": ["Yes", "No"], "culture": "DE"}
            said = await milieu.refused(
                404, "POST", "/answer", json=body | {"answer_from": answer_from}
            )
            assert "source-unavailable" in said

    assert elsewhere["source"] == "transfer"
    assert "the arm answers from 'survey', which has none: " in elsewhere["warnings"][0]
    assert "was not asked in Kenya" in elsewhere["warnings"][0]
    assert (far["source"], far["method"]) == ("model", "plain")
    rows = await exposures(settings)
    [fell] = json.loads(rows[elsewhere["id"]]["fallbacks"])
    assert fell.startswith("survey: undp-ai-2025:")
    first, second = json.loads(rows[far["id"]]["fallbacks"])
    assert first.startswith("tables: it is no survey question")
    # Nothing is near enough to show either.
    assert second.startswith("icl: no survey question of Germany is near enough")


async def test_an_arm_by_the_best_source_answers_while_the_model_does_not(
    settings: Settings, fake: FakeVllm
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        fake.script(Scripted(status=400, message="no"))
        answer = await ask_arm(milieu, "estimate")
        body = {"question": RELIGION, "culture": "DE", "user": "qa", "arm": f"{NAME}/icl"}
        assert "vllm-rejected" in await milieu.refused(422, "POST", "/answer", json=body)

    assert answer["source"] == "survey"
    # What was known of the one that failed is recorded as well.
    [failed] = [row for row in (await exposures(settings)).values() if row["failed"]]
    assert (failed["best_source"], failed["question_key"]) == ("survey", RELIGION_KEY)


async def test_an_arm_by_the_best_source_pools_with_a_calibrated_model(
    fake_server: FakeServer, cache_folder: Path, tmp_path: Path, fake: FakeVllm
) -> None:
    settings = experiment_settings(
        fake_server.url, cache_folder, tmp_path, calibration=tmp_path / "calibration.json"
    )
    save(settings, pool=POOL)
    fields: dict[str, Any] = {"question": NEIGHBOURS, "options": OPTIONS}
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        alone = await ask_arm(milieu, "tables", **fields)
        assert not fake.chats
        pooled = await ask_arm(milieu, "estimate", **fields)
        as_asked = await milieu.ask(answer_from="auto", **fields)

    assert (alone["source"], alone["model"]) == ("related", None)
    assert pooled["source"] == "related"
    assert pooled["model"]["calibration"] is not None
    assert pooled["shares"] == as_asked["shares"] != alone["shares"]
    row = (await exposures(settings))[pooled["id"]]
    assert (row["source"], row["best_source"], row["model_asked"]) == ("related", "related", 1)
    assert row["alignment"] is None


@pytest.mark.parametrize("answer_from", ["auto", "survey", "tables", "model"])
async def test_a_request_that_says_what_it_stands_on_is_in_no_experiment(
    settings: Settings, answer_from: str
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        answer = await milieu.ask("u1", answer_from=answer_from)
        asked = {"question": RELIGION, "culture": "DE", "user": "u1", "answer_from": answer_from}
        by_query = await milieu.client.get("/answer", params=asked)
        assert (await milieu.ask("u1"))["experiment"] is not None
        body = {"question": RELIGION, "culture": "DE", "user": "qa", "arm": f"{NAME}/estimate"}
        said = await milieu.refused(
            422, "POST", "/answer", json=body | {"answer_from": answer_from}
        )

    assert answer["experiment"] is by_query.json()["experiment"] is None
    assert "arm-conflict: " in said
    assert "together with 'answer_from'" in said


async def test_a_method_that_a_request_names_conflicts_with_an_arm_by_the_best_source(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        assert (await milieu.ask("u1", method="icl"))["experiment"] is None
        body = {"question": RELIGION, "culture": "DE", "user": "qa", "arm": f"{NAME}/estimate"}
        said = await milieu.refused(422, "POST", "/answer", json=body | {"method": "icl"})

    assert "together with 'method'" in said


async def test_a_chat_is_told_what_is_known_by_an_arm_of_the_best_source(
    settings: Settings, fake: FakeVllm
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        replies = {arm: await milieu.chat("qa", arm=f"{NAME}/{arm}") for arm in ARMS}

    known = {arm: reply["milieu"]["known"] for arm, reply in replies.items()}
    assert known.pop("icl") is None
    told: dict[str, str] = {arm: each["told"] for arm, each in known.items()}
    assert told["estimate"] == told["survey"]
    assert "people in Germany were asked" in told["survey"]
    assert "It is not known how people in Germany answer" in told["tables"]
    rows = await exposures(settings)
    # A reply is the model's, whatever it was told.
    assert {(r["source"], r["best_source"], r["model_asked"]) for r in rows.values()} == {
        ("model", "survey", 1)
    }


async def test_users_are_assigned_to_arms_that_answer_from_elsewhere(
    settings: Settings, fake: FakeVllm
) -> None:
    two = {name: ARMS[name] for name in ("icl", "estimate")}
    async with service(settings) as milieu:
        await milieu.running(arms=two, control="icl")
        answers = [await milieu.ask(f"u{i}") for i in range(24)]
        for answer in answers:
            assert (await milieu.feedback(answer["id"]))["counts"]
        report = await milieu.admin("GET", f"/{NAME}/report")
        page = await milieu.client.get(
            f"/v1/experiments/{NAME}/report", params={"format": "html"}, headers=ADMIN
        )

    by_arm = {arm: [a for a in answers if a["experiment"]["arm"] == arm] for arm in two}
    assert {a["source"] for a in by_arm["estimate"]} == {"survey"}
    assert {a["source"] for a in by_arm["icl"]} == {"model"}
    icl, estimate = report["arms"]
    n_icl, n_estimate = len(by_arm["icl"]), len(by_arm["estimate"])
    assert icl["sources"] == [
        {"source": "survey", "n_answers": 0, "n_best": n_icl},
        {"source": "model", "n_answers": n_icl, "n_best": 0},
    ]
    assert estimate["sources"] == [
        {"source": "survey", "n_answers": n_estimate, "n_best": n_estimate}
    ]
    assert (icl["n_model_asked"], estimate["n_model_asked"]) == (n_icl, 0)
    assert icl["means"]["alignment"] is not None
    assert estimate["means"]["alignment"] is None
    assert estimate["latency_ms"]["50"] > 0.0
    assert estimate["means"]["n_prompt_tokens"] == 0.0
    assert estimate["about"].startswith("the best source; where it needs the model: method icl")
    assert "Answers stand on" in page.text
    assert f"themselves: {n_estimate} answers of estimate." in page.text


async def test_a_stream_of_an_arm_by_the_best_source_says_its_source(
    settings: Settings, fake: FakeVllm
) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        body = {"question": RELIGION, "culture": "DE", "user": "qa", "arm": f"{NAME}/estimate"}
        reply = await milieu.client.post("/answer", json=body | {"stream": True})

    names = [event.name for event in events(reply.text)]
    assert names == ["evidence", "answer"]
    assert events(reply.text)[-1].data["source"] == "survey"
    assert not fake.chats


async def test_starting_says_that_the_peoples_own_figures_have_no_alignment(
    settings: Settings,
) -> None:
    primary = {
        "metric": "alignment",
        "kind": "mean",
        "direction": "higher",
        "smallest_effect": 0.02,
    }
    async with service(settings) as milieu:
        for name, fields in (("by-distance", {"primary": primary}), ("by-votes", {})):
            definition = {"name": name, "hypothesis": "h", "guardrails": [], **WAYS} | fields
            definition.setdefault("primary", primary | {"metric": "helpful", "kind": "proportion"})
            await milieu.admin("POST", json=definition)
        started = {
            name: await milieu.admin("POST", f"/{name}/start", json={"allow_unsent": True})
            for name in ("by-distance", "by-votes")
        }

    notes = {
        name: [n for n in each["notes"] if "own figures" in n] for name, each in started.items()
    }
    assert notes["by-votes"] == []
    assert [note.split(" gives ")[0] for note in notes["by-distance"]] == [
        "arm 'estimate'",
        "arm 'survey'",
    ]


async def test_a_definition_comes_back_as_it_was_sent(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running(**WAYS)
        definition = (await milieu.admin("GET", f"/{NAME}"))["definition"]
        body = {"name": "bad", **WAYS, "arms": {**ARMS, "estimate": {"answer_from": "best"}}}
        said = await milieu.refused(422, "POST", "/v1/experiments", json=definition | body)

    assert definition["arms"]["estimate"]["answer_from"] == "auto"
    assert definition["arms"]["estimate"]["method"] == "icl"
    assert "answer_from" not in definition["arms"]["icl"]
    assert "field 'arms.estimate.answer_from': found 'best', expected 'auto', 'survey'" in said
