"""What operators see: whether the service lives and is ready, and its metrics."""

from __future__ import annotations

import httpx
import pytest

from tests.app.service import FAR, NEIGHBOURS, RELIGION, counted
from tests.fakes.vllm import FakeVllm, Scripted


def test_it_lives(client: httpx.Client) -> None:
    reply = client.get("/livez")

    assert reply.status_code == 200
    assert reply.json()["status"] == "ok"


def test_it_is_ready_while_vllm_is_healthy(client: httpx.Client, fake: FakeVllm) -> None:
    without = {"calibration": None, "calibration_refused_because": None}
    assert client.get("/readyz").json() == {"status": "ok", "vllm": "ready"} | without

    fake.is_healthy = False
    reply = client.get("/readyz")

    assert reply.status_code == 503
    assert reply.json() == {"status": "unavailable", "vllm": "unavailable"} | without
    assert client.get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_both_can_be_asked_without_body(client: httpx.Client, path: str) -> None:
    reply = client.head(path)

    assert reply.status_code == 200
    assert reply.content == b""


def test_metrics_are_prometheus_text(client: httpx.Client) -> None:
    reply = client.get("/metrics")

    assert reply.headers["content-type"].startswith("text/plain; version=")
    for name in (
        "milieu_requests_total",
        "milieu_step_seconds",
        "milieu_retrieval_similarity",
        "milieu_answers_total",
        "milieu_upstream_errors_total",
        "milieu_upstream_retries_total",
        "milieu_upstream_in_flight",
        "milieu_vllm_restarts",
    ):
        assert f"# HELP {name} " in reply.text


def test_each_step_is_timed(client: httpx.Client) -> None:
    def counts() -> list[float]:
        metrics = client.get("/metrics").text
        steps = ("culture", "arm", "evidence", "weights", "words", "answer", "reading", "record")
        return [counted(metrics, "milieu_step_seconds_count", step=step) for step in steps]

    before = counts()
    client.get("/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"})

    assert counts() == [count + 1 for count in before]


def test_answers_are_counted_by_what_they_were(client: httpx.Client) -> None:
    def n(**labels: str) -> float:
        return counted(client.get("/metrics").text, "milieu_answers_total", **labels)

    steered = {"method": "icl", "steered": "true", "readable": "true"}
    unsteered = {"method": "plain", "steered": "false", "readable": "true"}
    known = {"method": "none", "steered": "true", "readable": "true"}
    before = n(**steered), n(**unsteered), n(**known)
    for question in (RELIGION, NEIGHBOURS, FAR):
        client.get("/answer", params={"culture": "DE", "question": question})
    chat = {"model": "fake@DE", "messages": [{"role": "user", "content": RELIGION}]}
    client.post("/v1/chat/completions", json=chat)

    found = n(**steered), n(**unsteered), n(**known)
    assert found == (before[0] + 2, before[1] + 1, before[2] + 1)


def test_the_similarity_of_what_was_found_is_observed(client: httpx.Client) -> None:
    def below(edge: str) -> float:
        metrics = client.get("/metrics").text
        return counted(metrics, "milieu_retrieval_similarity_bucket", le=edge)

    before = below("0.6"), below("0.65")
    answer = client.get(
        "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
    ).json()

    assert 0.6 < answer["nearest_similarity"] < 0.65
    assert (below("0.6"), below("0.65")) == (before[0], before[1] + 1)


def test_errors_and_retries_upstream_are_counted(client: httpx.Client, fake: FakeVllm) -> None:
    def n() -> tuple[float, float]:
        metrics = client.get("/metrics").text
        errors = counted(metrics, "milieu_upstream_errors_total", kind="UpstreamUnavailable")
        return errors, counted(metrics, "milieu_upstream_retries_total")

    before = n()
    fake.script(Scripted(status=503, headers={"Retry-After": "0"}), Scripted(status=500))
    reply = client.get(
        "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
    )

    assert reply.status_code == 503
    assert n() == (before[0] + 1, before[1] + 1)
    assert counted(client.get("/metrics").text, "milieu_upstream_in_flight") == 0.0


def test_cultures_are_listed_with_their_surveys(client: httpx.Client) -> None:
    cultures = client.get("/v1/cultures").json()["cultures"]

    codes = [culture["code"] for culture in cultures]
    assert codes == sorted(codes)
    assert len(codes) > 30
    germany = client.get("/v1/cultures/de-DE").json()
    assert germany in cultures
    assert germany["native_name"] == "Deutschland"
    assert germany["n_questions"] == sum(pack["n_questions"] for pack in germany["packs"])
    languages = {pack["id"]: pack["languages"] for pack in germany["packs"]}
    assert languages["wvs7"] == ["en", "de", "es", "pt", "ru", "zh"]


def test_exemplars_are_shown_without_asking_a_model(client: httpx.Client, fake: FakeVllm) -> None:
    body = {"culture": "DE", "question": RELIGION, "k": 3}
    found = client.post("/v1/exemplars", json=body).json()

    assert len(found["exemplars"]) == 3
    assert found["same_question"] == "wvs7:Q6"
    assert not found["below_floor"]
    assert fake.received == []
    answer = client.post("/answer", json=body).json()
    assert answer["exemplars"] == found["exemplars"]


def test_exemplars_below_the_floor_are_none(client: httpx.Client) -> None:
    found = client.post("/v1/exemplars", json={"culture": "DE", "question": FAR}).json()

    assert found["below_floor"]
    assert found["exemplars"] == []
    assert found["same_question"] is None
