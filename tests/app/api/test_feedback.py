"""Outcomes: taken once, for known answers, in their time, and durable when acknowledged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.app.experiments import NAME, experiment_settings, service, store_of
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import FakeServer

PATH = "/v1/feedback"
RATING = {
    "metric": "stars", "kind": "rating", "direction": "higher", "lowest": 1, "highest": 5,
    "smallest_effect": 0.2,
}  # fmt: skip


@pytest.fixture
def settings(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path, tmp_path: Path
) -> Settings:
    return experiment_settings(fake_server.url, cache_folder, tmp_path)


async def outcomes(settings: Settings) -> list[tuple[Any, ...]]:
    """Return metric, kind, number, preferred and comment of what was kept, in order of keys."""
    async with store_of(settings) as store:
        rows = [row async for part in store.rows("outcomes") for row in part]
    return [(row[1], row[2], row[3], row[7], row[8]) for row in rows]


async def test_every_kind_of_outcome_is_kept(settings: Settings) -> None:
    async with service(settings) as milieu:
        one, other = (await milieu.ask())["id"], (await milieu.ask())["id"]
        given: list[dict[str, Any]] = [
            {"metric": "a", "value": False},
            {"metric": "b", "value": 2.5, "comment": "so"},
            {"metric": "c", "rating": 4},
            {"metric": "d", "preferred": one},
            {"metric": "e", "preferred": other},
            {"comment": "nothing else"},
        ]
        for fields in given:
            reply = await milieu.client.post(PATH, json={"answer_id": one} | fields)
            assert reply.status_code == 200, reply.text

    assert await outcomes(settings) == [
        ("a", "boolean", 0.0, "", ""),
        ("b", "number", 2.5, "", "so"),
        ("c", "rating", 4.0, "", ""),
        ("comment", "comment", None, "", "nothing else"),
        ("d", "preferred", 1.0, one, ""),
        ("e", "preferred", 0.0, other, ""),
    ]


async def test_an_outcome_counts_in_the_experiment_of_its_answer(settings: Settings) -> None:
    async with service(settings) as milieu:
        outside = await milieu.feedback((await milieu.ask("u1"))["id"])
        await milieu.running()
        inside = await milieu.feedback((await milieu.ask("u1"))["id"])
        chatted = await milieu.feedback((await milieu.chat("u2"))["id"], value=False)
        report = await milieu.admin("GET", f"/{NAME}/report")

    assert (outside["experiment"], outside["counts"]) == (None, False)
    assert outside["notes"] == [
        "kept, and counted in no result: the answer was given outside of experiments"
    ]
    assert (inside["experiment"], inside["counts"], inside["notes"]) == (NAME, True, [])
    assert chatted["counts"]
    settled = [
        coverage["n_settled"]
        for arm in report["arms"]
        for coverage in arm["coverage"]
        if coverage["metric"] == "helpful"
    ]
    assert sum(settled) == 2


async def test_a_metric_that_the_experiment_does_not_have_is_kept_and_not_counted(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        answer = await milieu.ask("u1")
        receipt = await milieu.feedback(answer["id"], metric="thumbs")

    assert not receipt["counts"]
    [note] = receipt["notes"]
    assert "has no metric 'thumbs'; it has helpful" in note
    assert [row[0] for row in await outcomes(settings)] == ["thumbs"]


async def test_what_a_tester_chose_is_kept_and_not_counted(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        receipt = await milieu.feedback((await milieu.ask("qa", arm=f"{NAME}/icl"))["id"])
    assert not receipt["counts"]
    assert "a tester chose the arm" in receipt["notes"][0]


async def test_after_the_users_window_an_outcome_is_kept_and_not_counted(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running(outcome_window_s=1.0)
        await milieu.ask("u1")
        await asyncio.sleep(1.1)
        receipt = await milieu.feedback((await milieu.ask("u1"))["id"])
    assert not receipt["counts"]
    assert "window, from the first answer in the experiment on, is over" in receipt["notes"][0]


async def test_the_same_outcome_sent_again_is_taken_once(settings: Settings) -> None:
    async with service(settings) as milieu:
        answer = (await milieu.ask())["id"]
        first = await milieu.feedback(answer)
        again = await milieu.feedback(answer)
        body = {"answer_id": answer, "metric": "more", "value": 3}
        headers = {"Idempotency-Key": "k-1"}
        keyed = [
            (await milieu.client.post(PATH, json=body, headers=headers)).json() for _ in range(2)
        ]

    assert (first["repeated"], again["repeated"]) == (False, True)
    assert again["received_ms"] == first["received_ms"]
    assert [receipt["key"] for receipt in keyed] == ["k-1", "k-1"]
    assert [receipt["repeated"] for receipt in keyed] == [False, True]
    assert len(await outcomes(settings)) == 2


async def test_many_at_once_with_one_key_are_one(settings: Settings) -> None:
    async with service(settings) as milieu:
        answer = (await milieu.ask())["id"]
        receipts = await asyncio.gather(*(milieu.feedback(answer) for _ in range(12)))

    assert [receipt["repeated"] for receipt in receipts].count(False) == 1
    assert len(await outcomes(settings)) == 1


async def test_an_outcome_of_a_user_names_the_experiment(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        await milieu.ask("u1")
        body = {"experiment": NAME, "user": "u1", "metric": "helpful", "value": True}
        receipt = (await milieu.client.post(PATH, json=body)).json()

        assert (receipt["experiment"], receipt["counts"]) == (NAME, True)
        unknown = body | {"metric": "thumbs"}
        assert "expected one of: helpful" in await milieu.refused(422, "POST", PATH, json=unknown)
        nobody = body | {"user": "u2"}
        assert "unit-unknown" in await milieu.refused(404, "POST", PATH, json=nobody)
        nowhere = body | {"experiment": "other"}
        assert "No experiment here is named 'other'" in await milieu.refused(
            404, "POST", PATH, json=nowhere
        )


async def test_feedback_after_the_window_is_refused(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running(outcome_window_s=0.2)
        answer = (await milieu.ask("u1"))["id"]
        await asyncio.sleep(0.3)
        body = {"answer_id": answer, "metric": "helpful", "value": True}
        assert "outcome-late: " in await milieu.refused(409, "POST", PATH, json=body)
    assert await outcomes(settings) == []


async def test_feedback_is_taken_after_the_stop(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        answer = (await milieu.ask("u1"))["id"]
        await milieu.admin("POST", f"/{NAME}/stop")
        assert (await milieu.feedback(answer))["counts"]


async def test_an_unknown_answer_and_a_second_outcome_are_refused(settings: Settings) -> None:
    async with service(settings) as milieu:
        answer = (await milieu.ask())["id"]
        await milieu.feedback(answer)
        body: dict[str, Any] = {"answer_id": answer, "metric": "helpful", "value": True}
        other_key = await milieu.refused(409, "POST", PATH, json=body | {"key": "other"})
        other_value = await milieu.refused(409, "POST", PATH, json=body | {"value": False})
        unknown = await milieu.refused(404, "POST", PATH, json=body | {"answer_id": "ans_1"})
        of_other = {"metric": "best", "preferred": "ans_2", "value": None}
        preferred = await milieu.refused(404, "POST", PATH, json=body | of_other)

    assert other_key.startswith("outcome-taken: Metric 'helpful': found a second outcome")
    assert other_value.startswith("outcome-conflict: Key '")
    assert unknown.startswith("answer-unknown: No answer 'ans_1' is recorded")
    assert preferred.startswith("answer-unknown: No answer 'ans_2'")
    assert len(await outcomes(settings)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value": "yes"}, "body.value"),
        ({"value": None}, "found nothing to take"),
        ({"rating": 3}, "found value and rating, expected one of them"),
        ({"metric": None}, "found a value without a metric"),
        ({"metric": "Very Helpful"}, "body.metric"),
        ({"metric": "latency_ms"}, "found 'latency_ms', expected a name other than those that"),
        ({"answer_id": None}, "expected an answer_id; or an experiment"),
        ({"experiment": NAME}, "expected an answer_id; or an experiment"),
        ({"key": ""}, "body.key"),
        ({"comment": "c" * 4001}, "body.comment"),
        ({"score": 3}, "body.score"),
        ({"value": 1.7e308}, "body.value"),
        ({"value": 10**400}, "body.value"),
    ],
)
async def test_feedback_that_makes_no_sense_is_refused(
    settings: Settings, fields: dict[str, Any], said: str
) -> None:
    async with service(settings) as milieu:
        answer = (await milieu.ask())["id"]
        body: dict[str, Any] = {"answer_id": answer, "metric": "helpful", "value": True}
        assert said in await milieu.refused(422, "POST", PATH, json=body | fields)
    assert await outcomes(settings) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rating": 6}, "found 6.0, expected 1 to 5"),
        ({"value": True}, "found a boolean, expected a rating"),
    ],
)
async def test_a_value_that_is_none_of_the_metric_is_refused(
    settings: Settings, fields: dict[str, Any], said: str
) -> None:
    async with service(settings) as milieu:
        await milieu.running(primary=RATING)
        answer = (await milieu.ask("u1"))["id"]
        body = {"answer_id": answer, "metric": "stars"} | fields
        assert said in await milieu.refused(422, "POST", PATH, json=body)


async def test_two_keys_are_refused(settings: Settings) -> None:
    async with service(settings) as milieu:
        answer = (await milieu.ask())["id"]
        body = {"answer_id": answer, "metric": "helpful", "value": True, "key": "one"}
        said = await milieu.refused(
            422, "POST", PATH, json=body, headers={"Idempotency-Key": "other"}
        )
    assert "another one than the Idempotency-Key" in said


async def test_feedback_needs_the_key_of_a_client(
    fake_server: FakeServer, cache_folder: Path, tmp_path: Path
) -> None:
    settings = experiment_settings(fake_server.url, cache_folder, tmp_path, api_keys="client")
    body = {"answer_id": "ans_1", "metric": "helpful", "value": True}
    async with service(settings) as milieu:
        assert "key-refused" in await milieu.refused(401, "POST", PATH, json=body, headers={})
        headers = {"X-API-Key": "client"}
        assert "answer-unknown" in await milieu.refused(
            404, "POST", PATH, json=body, headers=headers
        )
