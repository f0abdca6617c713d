"""An experiment decides how requests are answered, and what was answered how is recorded."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.state.event_store import make_unit_hasher
from experiments.unit import Unit, UnitKind
from survey_data.cultures import read_catalogue
from survey_data.distances import distribution_similarity
from survey_data.library import open_library
from tests.app.experiments import (
    DEFINITION,
    NAME,
    Service,
    experiment_settings,
    exposures,
    service,
    store_of,
)
from tests.app.service import FAR, RELIGION, RELIGION_KEY, events
from tests.fakes.vllm import FakeVllm, Scripted
from tests.fixtures.service import FakeServer

ARMS = set(DEFINITION["arms"])


@pytest.fixture
def fake_url(fake_server: FakeServer, fake: FakeVllm) -> str:
    return fake_server.url


@pytest.fixture
def settings(fake_url: str, cache_folder: Path, tmp_path: Path) -> Settings:
    return experiment_settings(fake_url, cache_folder, tmp_path)


async def test_a_user_keeps_the_arm_in_answers_and_chats(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        arms: dict[str, set[str]] = {}
        for user in (f"u{i}" for i in range(12)):
            answer, chat = await milieu.ask(user), await milieu.chat(user)
            again = await milieu.ask(user, question=FAR)
            found = (answer["experiment"], chat["milieu"]["experiment"], again["experiment"])
            arms[user] = {each["arm"] for each in found}
            assert all(each["name"] == NAME and not each["overridden"] for each in found)

    assert all(len(found) == 1 for found in arms.values())
    # By chance twelve users are in one arm once in four million tests of another salt.
    assert len(set.union(*arms.values())) > 1


async def test_an_arm_decides_method_and_k(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        by_arm = {arm: await milieu.ask("qa", arm=f"{NAME}/{arm}") for arm in ARMS}

    assert {arm: answer["requested_method"] for arm, answer in by_arm.items()} == {
        "plain": "plain",
        "icl": "icl",
        "adapter": "adapter",
        "both": "adapter+icl",
    }
    assert len(by_arm["icl"]["exemplars"]) == 3
    assert len(by_arm["both"]["exemplars"]) == 5


async def test_the_decoding_of_an_arm_goes_before_that_of_the_request(
    settings: Settings, fake: FakeVllm
) -> None:
    decoding = {"temperature": 0.25, "max_tokens": 7}
    arms = {"plain": {"method": "plain"}, "icl": {"method": "icl", "decoding": decoding}}
    async with service(settings) as milieu:
        await milieu.running(arms=arms)
        sent = []
        for arm in arms:
            fields: dict[str, Any] = {"arm": f"{NAME}/{arm}", "temperature": 1.0, "max_tokens": 9}
            await milieu.ask("qa", question="Would you lend money to your neighbours?", **fields)
            await milieu.chat("qa", **fields)
            sent += [chat.body for chat in fake.chats[-2:]]

    assert [(body["temperature"], body["max_tokens"]) for body in sent] == [
        (1.0, 9),
        (1.0, 9),
        (0.25, 7),
        (0.25, 7),
    ]


async def test_a_request_that_says_how_or_names_no_culture_is_in_no_experiment(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        for fields in ({"method": "icl"}, {"k": 2}, {"orders": 2}, {"adapter": "none"}):
            answer = await milieu.ask("u1", **fields)
            assert answer["experiment"] is None
        chat = await milieu.chat("u1", model="fake")
        assert chat["milieu"]["experiment"] is None
        assert (await milieu.ask("u1"))["experiment"] is not None


async def test_an_experiment_applies_to_its_cultures_only(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running(cultures=["KEN", "DEU"])
        assert (await milieu.ask("u1", culture="Kenya"))["experiment"] is not None
        assert (await milieu.ask("u1", culture="BR"))["experiment"] is None


async def test_a_draft_and_a_stopped_experiment_decide_nothing(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.admin("POST", json=DEFINITION)
        assert (await milieu.ask("u1"))["experiment"] is None
        await milieu.admin("POST", f"/{NAME}/start", json={"allow_unsent": True})
        assert (await milieu.ask("u1"))["experiment"] is not None
        await milieu.admin("POST", f"/{NAME}/stop")
        assert (await milieu.ask("u1"))["experiment"] is None


async def test_without_user_and_session_each_request_is_a_unit(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        answers = [await milieu.ask() for _ in range(24)]
        await milieu.ask(session="s1")
        await milieu.ask("u1", session="s1")

    recorded = await exposures(settings)
    kinds = Counter(row["unit_kind"] for row in recorded.values())
    assert kinds == {"request": 24, "session": 1, "user": 1}
    assert len({row["unit"] for row in recorded.values()}) == 26
    assert len({answer["experiment"]["arm"] for answer in answers}) > 1


async def test_an_exposure_says_what_was_assigned_and_what_came_of_it(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        answers = [await milieu.ask(f"u{i}") for i in range(12)]

    recorded = await exposures(settings)
    hasher = make_unit_hasher(settings)
    for i, answer in enumerate(answers):
        row = recorded[answer["id"]]
        arm = answer["experiment"]["arm"]
        assert (row["experiment"], row["revision"], row["arm"]) == (NAME, 2, arm)
        assert row["unit"] == hasher.hash(Unit(UnitKind.USER, f"u{i}"))
        assert (row["culture"], row["method"], row["model"]) == ("DEU", answer["method"], "fake")
        assert row["steered"] == answer["steered"]
        assert (row["overridden"], row["settled"], row["readable"]) == (0, 1, 1)
        assert row["refused"] is None
        assert row["label_mass"] == pytest.approx(answer["label_mass"], abs=1e-4)
        assert row["n_prompt_tokens"] == answer["usage"]["prompt_tokens"] > 0
        assert 0.0 < row["latency_ms"] <= answer["timings_ms"]["total"]
        # No adapter is active: who was assigned one got exemplars, which counts in the arm.
        fell = json.loads(row["fallbacks"])
        assert len(fell) == (arm in ("adapter", "both"))
        assert all("no adapter is active for Germany" in each for each in fell)


async def test_the_alignment_of_a_survey_question_is_recorded(settings: Settings) -> None:
    async with service(settings) as milieu:
        known = await milieu.ask(answer_from="model")
        own = await milieu.ask(options=["Much", "Little"])
        free = await milieu.ask(question=FAR)

    library = open_library(settings.pack_roots, catalogue=read_catalogue())
    people = library.distribution(RELIGION_KEY, "DEU")
    assert people is not None
    shares = [option["share"] for option in known["shares"]]
    total = sum(shares)
    expected = distribution_similarity([share / total for share in shares], people.shares)
    recorded = await exposures(settings)
    assert recorded[known["id"]]["alignment"] == pytest.approx(expected, abs=1e-3)
    assert recorded[own["id"]]["alignment"] is None
    assert recorded[free["id"]]["alignment"] is None
    assert recorded[free["id"]]["refused"] == 0


async def test_a_stream_is_recorded_when_it_has_ended(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        body = {"question": FAR, "culture": "DE", "user": "u1", "stream": True, "max_tokens": 5}
        reply = await milieu.client.post("/answer", json=body)
        answer = events(reply.text)[-1].data
        chat = {"messages": [{"role": "user", "content": FAR}], "stream": True, "user": "u1"}
        text = (
            await milieu.client.post("/v1/chat/completions", json=chat | {"model": "fake@DE"})
        ).text
        chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]

    recorded = await exposures(settings)
    ids = {chunk["id"] for chunk in chunks}
    assert set(recorded) == ids | {answer["id"]}
    assert {row["arm"] for row in recorded.values()} == {answer["experiment"]["arm"]}
    assert all(row["n_reply_tokens"] > 0 for row in recorded.values())


async def test_an_assigned_request_that_fails_is_recorded_as_failed(
    settings: Settings, fake: FakeVllm
) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        fake.script(Scripted(status=400, message="no"))
        body = {"question": RELIGION, "culture": "DE", "user": "u1"}
        assert "vllm-rejected" in await milieu.refused(422, "POST", "/answer", json=body)
        fake.script(Scripted(error_after=2))
        chat = {"model": "fake@DE", "messages": [{"role": "user", "content": FAR}], "user": "u1"}
        await milieu.client.post("/v1/chat/completions", json=chat | {"stream": True})
        report = await reported(milieu, n_answers=2)

    found = list((await exposures(settings)).values())
    assert [row["failed"] for row in found] == [1, 1]
    [figures] = [arm for arm in report["arms"] if arm["name"] == found[0]["arm"]]
    assert figures["shares"]["failed"] == 1.0
    assert figures["means"].get("alignment") is None


async def test_a_client_that_leaves_is_recorded_as_failed(
    settings: Settings, fake: FakeVllm
) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        fake.delay_s = 30.0
        body = {"question": RELIGION, "culture": "DE", "user": "u1"}
        asking = asyncio.create_task(milieu.client.post("/answer", json=body))
        while not fake.n_running:  # noqa: ASYNC110  # the fake has no event for it
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await reported(milieu, n_answers=1)

    assert [row["failed"] for row in (await exposures(settings)).values()] == [1]


async def test_a_failure_outside_experiments_is_not_recorded(
    settings: Settings, fake: FakeVllm
) -> None:
    async with service(settings) as milieu:
        fake.script(Scripted(status=400, message="no"))
        body = {"question": RELIGION, "culture": "DE", "user": "u1", "answer_from": "model"}
        await milieu.refused(422, "POST", "/answer", json=body)

    assert await exposures(settings) == {}


async def reported(milieu: Service, *, n_answers: int) -> dict[str, Any]:
    """Return the report as soon as it has so many answers: failures are not waited for."""
    async with asyncio.timeout(10.0):
        while True:
            report = await milieu.admin("GET", f"/{NAME}/report")
            if report["progress"]["n_answers"] == n_answers:
                return report
            await asyncio.sleep(0.05)


async def test_a_stream_is_recorded_before_its_last_word(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        chat = {"model": "fake@DE", "messages": [{"role": "user", "content": FAR}], "user": "u1"}
        async with milieu.client.stream(
            "POST", "/v1/chat/completions", json=chat | {"stream": True}
        ) as reply:
            async for line in reply.aiter_lines():
                chunk = json.loads(line[6:]) if line.startswith("data: {") else {}
                if any(choice["finish_reason"] for choice in chunk.get("choices", ())):
                    assert (await milieu.feedback(chunk["id"]))["counts"]
                    return
    raise AssertionError("no last word")


async def test_texts_are_kept_as_set(fake_url: str, cache_folder: Path, tmp_path: Path) -> None:
    kept = {}
    for texts in ("none", "consented", "all"):
        settings = experiment_settings(
            fake_url, cache_folder, tmp_path / texts, experiments={"texts": texts}
        )
        async with service(settings) as milieu:
            await milieu.ask("u1", consent=True)
            await milieu.ask("u2")
            await milieu.chat("u3", consent=True)
        async with store_of(settings) as store:
            rows = [row async for part in store.rows("texts") for row in part]
            consented = [text async for text in store.texts()]
        kept[texts] = (len(rows), len(consented))
        for text in consented:
            request = json.loads(text.request)
            chatted = [message["content"] for message in request.get("messages", [])]
            assert RELIGION in (request.get("question"), *chatted)
            assert text.answer

    assert kept == {"none": (0, 0), "consented": (2, 2), "all": (3, 2)}


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"user": "u1"}, 403, "override-refused: "),
        ({"arm": f"{NAME}/nope"}, 404, "expected one of: plain, icl, adapter, both"),
        ({"arm": "other/icl"}, 404, "No experiment here is named 'other'"),
        ({"k": 3}, 422, "found the arm 'religion/icl' of an experiment together with 'k'"),
        ({"arm": "icl"}, 422, "request-invalid: body.arm"),
    ],
)
async def test_an_arm_that_cannot_be_had_is_refused(
    settings: Settings, fields: dict[str, Any], status: int, said: str
) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        body = {"question": RELIGION, "culture": "DE", "user": "qa", "arm": f"{NAME}/icl"}
        assert said in await milieu.refused(status, "POST", "/answer", json=body | fields)


async def test_a_tester_is_recorded_and_left_out_of_the_report(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        for arm in ARMS:
            answer = await milieu.ask("qa", arm=f"{NAME}/{arm}")
            assert answer["experiment"]["overridden"]
        report = await milieu.admin("GET", f"/{NAME}/report")

    assert report["left_out"]["n_overridden"] == 4
    assert report["progress"]["n_answers"] == 0
    assert {row["overridden"] for row in (await exposures(settings)).values()} == {1}


async def test_without_a_store_answers_are_given_and_experiments_refused(
    fake_url: str, cache_folder: Path, tmp_path: Path
) -> None:
    settings = experiment_settings(fake_url, cache_folder, tmp_path, experiments={"store": "none"})
    async with service(settings) as milieu:
        answer = await milieu.ask("u1")
        assert answer["warnings"] == []
        off = "experiments-off: Experiments are off here"
        body = {"answer_id": answer["id"], "metric": "helpful", "value": True}
        assert off in await milieu.refused(422, "POST", "/v1/feedback", json=body)
        assert off in await milieu.refused(422, "GET", "/v1/experiments")
        asked = {"question": RELIGION, "culture": "DE", "arm": "a/b"}
        assert off in await milieu.refused(422, "POST", "/answer", json=asked)
    assert not settings.events_file.exists()


async def test_two_services_of_one_store_are_of_one_secret(
    fake_url: str, cache_folder: Path, tmp_path: Path
) -> None:
    async with service(experiment_settings(fake_url, cache_folder, tmp_path)) as milieu:
        await milieu.ask("u1")
    secret = (tmp_path / "unit-secret").read_text().strip()
    same = experiment_settings(
        fake_url, cache_folder, tmp_path, experiments={"unit_secret": secret}
    )
    async with service(same) as milieu:
        await milieu.ask("u1")

    assert len({row["unit"] for row in (await exposures(same)).values()}) == 1
