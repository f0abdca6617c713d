"""`/answer` answers as the people of a culture answer, and shows by which evidence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from prompting.recipe import PROMPT_METHODS, Method
from retrieval.selector_name import SelectorName
from tests.app.service import (
    FAR,
    NEIGHBOURS,
    RELIGION,
    RELIGION_KEY,
    events,
    keys,
    opened,
    settings_for,
)
from tests.fakes.tokenizers import Kind, make_tokenizer
from tests.fakes.vllm import FakeVllm, Scripted, serve
from tests.fixtures.service import MakeSettings

FIELDS = {
    "id", "culture", "experiment", "question", "options_from", "answer", "option", "shares",
    "label_mass", "method", "requested_method", "fallbacks", "exemplar_style", "retriever",
    "adapter", "steered", "not_steered_because", "nearest_similarity", "exemplars", "warnings",
    "model", "usage", "timings_ms", "source", "confident", "people", "transferred_from",
    "recognised", "asks_value", "prompt_language",
}  # fmt: skip
STEPS = (
    *("culture", "arm", "weights", "evidence", "estimate"),
    *("words", "answer", "reading", "pool", "record", "total"),
)


def ask(client: httpx.Client, question: str = RELIGION, **fields: Any) -> dict[str, Any]:
    reply = client.post(
        "/answer", json={"culture": "DE", "question": question, "answer_from": "model"} | fields
    )
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def prompts(fake: FakeVllm) -> list[str]:
    return ["\n".join(m["content"] for m in chat.body["messages"]) for chat in fake.chats]


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_an_answer_has_every_field(client: httpx.Client, verb: str) -> None:
    fields = {"culture": "DE", "question": RELIGION, "answer_from": "model"}
    sent: dict[str, Any] = {"params" if verb == "GET" else "json": fields}
    reply = client.request(verb, "/answer", **sent)

    assert reply.status_code == 200
    answer = reply.json()
    assert set(answer) == FIELDS
    assert answer["culture"] == {"code": "DEU", "alpha2": "DE", "name": "Germany"}
    assert answer["question"] == RELIGION
    assert answer["source"] == "model"
    assert answer["model"]["name"] == "fake"
    assert answer["steered"]
    assert answer["not_steered_because"] is None
    assert answer["method"] == answer["requested_method"] == "icl"
    assert answer["usage"]["completion_tokens"] == 1


def test_get_and_post_answer_alike(client: httpx.Client) -> None:
    options = ["yes", "no", "perhaps"]
    fields: dict[str, Any] = {"options": options, "k": 3, "method": "persona+icl"}
    got = client.get(
        "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model", **fields}
    ).json()
    posted = ask(client, **fields)

    for found in (got, posted):
        del found["id"], found["timings_ms"], found["usage"]
    assert got == posted


def test_options_are_those_of_the_request(client: httpx.Client) -> None:
    answer = ask(client, options=["a lot", "a little"])

    assert answer["options_from"] == "request"
    assert [share["label"] for share in answer["shares"]] == ["a lot", "a little"]
    assert [share["number"] for share in answer["shares"]] == [1, 2]


def test_else_options_are_those_of_the_same_survey_question(client: httpx.Client) -> None:
    answer = ask(client)

    assert answer["options_from"] == RELIGION_KEY
    assert answer["shares"][0]["label"] == "Highly important"
    assert answer["answer"] == answer["option"]["label"]


def test_vllm_is_told_the_id_under_which_the_request_is_logged(
    client: httpx.Client, fake: FakeVllm
) -> None:
    headers = {"X-Request-Id": "trace-7"}
    reads: list[list[str]] = []
    for fields in (
        {"orders": 2},
        {"question": NEIGHBOURS, "max_tokens": 2},
        {"question": NEIGHBOURS, "max_tokens": 2, "stream": True},
    ):
        n_before = len(fake.chats)
        body = {"question": RELIGION, "culture": "DE"} | fields
        reply = client.post("/answer", json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        sent = [chat.headers.get("x-request-id", "") for chat in fake.chats[n_before:]]
        reads.append(sorted(sent))

    # A server may hold two calls of one id to be the same.
    assert reads == [["trace-7", "trace-7-1"], ["trace-7"], ["trace-7"]]


def test_else_the_answer_is_free_text(client: httpx.Client, fake: FakeVllm) -> None:
    answer = ask(client, NEIGHBOURS, max_tokens=5, temperature=0.7, top_p=0.9, seed=4)

    assert len(answer["answer"].split()) == 5
    for field in ("options_from", "option", "shares", "label_mass"):
        assert answer[field] is None
    sent = fake.chats[-1].body
    assert (sent["max_tokens"], sent["temperature"], sent["top_p"], sent["seed"]) == (
        5,
        0.7,
        0.9,
        4,
    )


def test_shares_sum_to_one_and_the_largest_is_the_answer(client: httpx.Client) -> None:
    answer = ask(client)

    shares = {share["number"]: share["share"] for share in answer["shares"]}
    # Each is rounded to four digits.
    assert sum(shares.values()) == pytest.approx(1.0, abs=5e-4)
    assert answer["option"]["number"] == max(shares, key=shares.__getitem__)
    # The fake gives a label 0.01 to 0.025.
    assert 0.04 <= answer["label_mass"] <= 0.1


def test_evidence_says_who_answered_what_and_when(client: httpx.Client) -> None:
    shown = ask(client)["exemplars"][0]

    assert shown["pack"] == "wvs7"
    assert shown["question_key"] == f"wvs7:{shown['source_item']}"
    assert "World Values Survey" in shown["survey"]
    assert "Haerpfer" in shown["citation"]
    assert re.fullmatch(r"20\d\d(-20\d\d)?", shown["years"])
    assert shown["n_respondents"] == 1528
    assert 0.0 <= shown["non_response"] < 1.0
    assert 0.35 <= shown["similarity"] <= 1.0
    assert shown["wording"] == "own"
    shares = {share["number"]: share["share"] for share in shown["shares"]}
    assert sum(shares.values()) == pytest.approx(1.0, abs=5e-4)
    assert shown["answer"]["number"] == max(shares, key=shares.__getitem__)


def test_what_is_shown_is_in_the_prompt_and_nothing_of_it_in_the_wrong_order(
    client: httpx.Client, fake: FakeVllm
) -> None:
    answer = ask(client)

    prompt = prompts(fake)[-1]
    places = [prompt.index(exemplar["question"]) for exemplar in answer["exemplars"]]
    assert places == sorted(places)
    similarities = [exemplar["similarity"] for exemplar in answer["exemplars"]]
    assert similarities == sorted(similarities, reverse=True)
    assert answer["nearest_similarity"] == similarities[0]
    assert prompt.index(RELIGION) > places[-1]


@pytest.mark.parametrize("retriever", list(SelectorName))
def test_the_asked_item_is_no_exemplar(client: httpx.Client, retriever: SelectorName) -> None:
    answer = ask(client, k=20, retriever=retriever)

    assert len(answer["exemplars"]) == 20
    assert RELIGION_KEY not in keys(answer["exemplars"])
    assert answer["retriever"] == retriever


@pytest.mark.parametrize("method", PROMPT_METHODS)
def test_a_method_shows_the_culture_in_its_own_way(
    client: httpx.Client, fake: FakeVllm, method: Method
) -> None:
    answer = ask(client, method=method)

    system, user = (message["content"] for message in fake.chats[-1].body["messages"])
    assert answer["method"] == method
    assert answer["steered"] == (method is not Method.PLAIN)
    assert bool(answer["exemplars"]) == method.shows_exemplars
    assert ("a German cultural background" in system) == method.names_culture
    assert ("is much like that of" in system) == method.compares_cultures
    assert user.count("Answer: ") == len(answer["exemplars"])


def test_plain_says_why_it_is_not_steered(client: httpx.Client) -> None:
    assert "does not show the culture" in ask(client, method="plain")["not_steered_because"]


def test_below_the_floor_nothing_is_steered_and_the_answer_says_so(
    client: httpx.Client, fake: FakeVllm
) -> None:
    answer = ask(client, FAR)

    assert not answer["steered"]
    assert answer["exemplars"] == []
    assert (answer["requested_method"], answer["method"]) == ("icl", "plain")
    assert answer["nearest_similarity"] < 0.30
    assert "of Germany is near enough" in answer["not_steered_because"]
    assert "0.30" in answer["not_steered_because"]
    assert "German" not in prompts(fake)[-1]


def test_orders_are_averaged(client: httpx.Client, fake: FakeVllm) -> None:
    options = ["never", "seldom", "often"]
    forwards = ask(client, options=options, orders=2)
    backwards = ask(client, options=options[::-1], orders=2)

    # Both ask the same two prompts, so each option gets the same average.
    assert len({*prompts(fake)}) == 2
    assert forwards["shares"] != backwards["shares"]
    by_label = [
        {share["label"]: share["share"] for share in answer["shares"]}
        for answer in (forwards, backwards)
    ]
    assert by_label[0] == by_label[1]
    assert forwards["label_mass"] == backwards["label_mass"]
    assert forwards["usage"]["completion_tokens"] == 2
    single = ask(client, options=options)
    assert {share["label"]: share["share"] for share in single["shares"]} != by_label[0]


@pytest.mark.parametrize("k", [1, 20])
def test_k_exemplars_are_shown(client: httpx.Client, k: int) -> None:
    answer = ask(client, k=k)

    assert len(answer["exemplars"]) == k
    assert answer["warnings"] == []


@pytest.mark.parametrize(
    "fields", [{"retriever": "random"}, {"exemplar_style": "draw", "k": 10, "culture": "KE"}]
)
def test_a_seed_decides_every_draw(
    client: httpx.Client, fake: FakeVllm, fields: dict[str, Any]
) -> None:
    for seed in (1, 1, 2):
        ask(client, seed=seed, **fields)

    one, again, other = prompts(fake)
    assert one == again
    assert one != other


def test_an_exemplar_style_changes_the_prompt(client: httpx.Client, fake: FakeVllm) -> None:
    for style in ("mode", "shares"):
        assert ask(client, exemplar_style=style)["exemplar_style"] == style

    mode, shares = prompts(fake)
    assert "Shares: " not in mode
    assert "Shares: " in shares


@pytest.mark.parametrize("culture", ["DE", "deu", "Germany", "de-DE", "Deutschland"])
def test_a_culture_is_found_by_any_of_its_names(client: httpx.Client, culture: str) -> None:
    assert ask(client, culture=culture)["culture"]["code"] == "DEU"


def test_cultures_differ_in_their_evidence(client: httpx.Client) -> None:
    german, kenyan = (ask(client, culture=culture)["exemplars"] for culture in ("DE", "KE"))

    assert [e["shares"] for e in german] != [e["shares"] for e in kenyan]


def test_an_unknown_culture_is_not_guessed(client: httpx.Client) -> None:
    reply = client.get("/answer", params={"culture": "Germny", "question": RELIGION})

    assert reply.status_code == 404
    assert reply.json()["type"] == "urn:milieu:problem:culture-unknown"
    assert "Did you mean Germany" in reply.json()["detail"]


def test_a_culture_without_survey_is_told_the_nearest_covered_one(client: httpx.Client) -> None:
    reply = client.get("/answer", params={"culture": "IS", "question": RELIGION})

    assert reply.status_code == 404
    assert reply.json()["type"] == "urn:milieu:problem:culture-not-covered"
    for part in ("Iceland", "wvs7", "undp-ai-2025", "climate-2022", "nearest covered culture"):
        assert part in reply.json()["detail"]


def test_different_cultures_in_query_and_body_conflict(client: httpx.Client) -> None:
    body = {"question": RELIGION, "culture": "Germany"}
    conflict = client.post("/answer?culture=KE", json=body)

    assert conflict.status_code == 422
    assert "KE and Germany" in conflict.json()["detail"]
    assert client.post("/answer?culture=DE", json=body).status_code == 200


def test_the_time_of_each_step_is_told_in_body_and_header(client: httpx.Client) -> None:
    reply = client.get(
        "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
    )

    timings = reply.json()["timings_ms"]
    assert tuple(timings) == STEPS
    assert sum(value for name, value in timings.items() if name != "total") <= timings["total"]
    header = ", ".join(f"{name};dur={value:.2f}" for name, value in timings.items())
    assert reply.headers["Server-Timing"] == header


def test_a_stream_of_free_text_gives_evidence_pieces_and_the_whole(client: httpx.Client) -> None:
    body = {"culture": "DE", "question": NEIGHBOURS, "stream": True, "max_tokens": 4}
    reply = client.post("/answer", json=body)

    assert reply.headers["content-type"].startswith("text/event-stream")
    first, *pieces, last = events(reply.text)
    assert first.name == "evidence"
    assert len(first.data["exemplars"]) == 5
    assert [piece.name for piece in pieces] == ["delta"] * 4
    assert last.name == "answer"
    assert set(last.data) == FIELDS
    assert last.data["id"] == first.data["id"]
    assert last.data["answer"] == "".join(piece.data["text"] for piece in pieces)
    assert last.data["usage"]["completion_tokens"] == 4


def test_a_stream_with_options_has_no_pieces(client: httpx.Client) -> None:
    params: dict[str, Any] = {
        "culture": "DE",
        "question": RELIGION,
        "answer_from": "model",
        "stream": True,
    }
    found = events(client.get("/answer", params=params).text)

    assert [event.name for event in found] == ["evidence", "answer"]
    assert found[1].data["option"]["label"] == found[1].data["answer"]


def test_a_stream_that_breaks_ends_in_a_problem(client: httpx.Client, fake: FakeVllm) -> None:
    fake.script(Scripted(error_after=2))
    body = {"culture": "DE", "question": NEIGHBOURS, "stream": True}
    found = events(client.post("/answer", json=body).text)

    assert [event.name for event in found] == ["evidence", "delta", "problem"]
    assert found[-1].data["status"] == 503


def test_a_stream_is_refused_before_its_first_byte(client: httpx.Client) -> None:
    reply = client.post("/answer", json={"culture": "XX", "question": RELIGION, "stream": True})

    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        (Scripted(status=500), 503, "vllm-unavailable"),
        (Scripted(raw=b"<html>"), 502, "vllm-invalid"),
        (Scripted(raw=b'{"choices": []}'), 502, "vllm-invalid"),
        (Scripted(status=400, message="too long"), 422, "vllm-rejected"),
        (Scripted(status=401), 502, "vllm-invalid"),
    ],
)
def test_what_goes_wrong_in_vllm_is_a_problem(
    client: httpx.Client, fake: FakeVllm, step: Scripted, status: int, code: str
) -> None:
    fake.script(step)
    reply = client.post(
        "/answer", json={"culture": "DE", "question": RELIGION, "answer_from": "model"}
    )

    assert reply.status_code == status
    assert reply.json()["type"] == f"urn:milieu:problem:{code}"
    assert ("Retry-After" in reply.headers) == (status == 503)


def completion(*, logprob: float) -> bytes:
    """Return a score of four labels, which are tokens 11 to 14 of the fake."""
    tops = [{"token": f"token_id:{n}", "logprob": logprob} for n in range(11, 15)]
    choice = {
        "index": 0,
        "message": {"content": "1"},
        "logprobs": {"content": [{"token": "1", "top_logprobs": tops}]},
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    head = {"id": "x", "created": 1, "model": "fake"}
    return json.dumps({**head, "choices": [choice], "usage": usage}).encode()


def test_probabilities_that_are_none_are_vllms_fault(client: httpx.Client, fake: FakeVllm) -> None:
    body = {"culture": "DE", "question": RELIGION, "answer_from": "model"}
    fake.script(Scripted(raw=completion(logprob=-2.0)), Scripted(raw=completion(logprob=0.5)))

    assert client.post("/answer", json=body).json()["shares"][0]["share"] == 0.25
    assert client.post("/answer", json=body).status_code == 502
    fake.script(Scripted(raw=completion(logprob=0.5)))
    found = events(client.post("/answer", json=body | {"stream": True}).text)
    assert [event.name for event in found] == ["evidence", "problem"]
    assert found[-1].data["status"] == 502


async def test_a_slow_vllm_is_a_timeout(make_settings: MakeSettings, fake: FakeVllm) -> None:
    fake.delay_s = 2.0
    async with opened(make_settings(vllm={"timeout_s": 0.2})) as client:
        reply = await client.get(
            "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
        )

    assert reply.status_code == 504
    assert "0.2 s" in reply.json()["detail"]


async def test_too_many_at_once_are_turned_away(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    body = {
        "culture": "DE",
        "question": RELIGION,
        "answer_from": "model",
        "options": ["a", "b", "c"],
        "orders": 2,
    }
    async with opened(make_settings(vllm={"max_in_flight": 1, "max_queued": 0})) as client:
        reply = await client.post("/answer", json=body)

    assert reply.status_code == 503
    assert reply.json()["type"] == "urn:milieu:problem:vllm-busy"
    assert int(reply.headers["Retry-After"]) >= 1


async def test_a_void_reading_is_an_answer_without_option(make_settings: MakeSettings) -> None:
    async with opened(make_settings(answer={"min_label_mass": 0.9})) as client:
        reply = await client.get(
            "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
        )
        metrics = (await client.get("/metrics")).text

    answer = reply.json()
    assert reply.status_code == 200
    assert answer["answer"] is answer["option"] is answer["shares"] is None
    assert 0.0 < answer["label_mass"] < 0.9
    assert "at least 0.9 is needed" in answer["warnings"][0]
    assert 'milieu_answers_total{method="icl",readable="false",steered="true"} 1.0' in metrics


def scale(n_points: int) -> list[str]:
    """A scale that is named at its ends only, as those of the World Values Survey are."""
    return ["Never", *(str(point) for point in range(2, n_points)), "Always"]


@pytest.mark.parametrize("kind", [Kind.QWEN, Kind.SMOLLM])
@pytest.mark.parametrize("n_points", [10, 11])
async def test_a_model_that_splits_digits_gives_every_point_a_probability(
    cache_folder: Path, kind: Kind, n_points: int
) -> None:
    fake = FakeVllm(max_model_len=16384, tokenizer=make_tokenizer(kind))
    body = {"culture": "DE", "question": NEIGHBOURS, "method": "icl", "orders": 2}
    with serve(fake.app) as url:
        async with opened(settings_for(url, cache_folder)) as client:
            reply = await client.post("/answer", json=body | {"options": scale(n_points)})

    answer = reply.json()
    model = answer["model"]
    assert model["labels"] == "letters"
    assert [share["number"] for share in model["shares"]] == list(range(1, n_points + 1))
    assert min(share["share"] for share in model["shares"]) > 0.0
    assert model["label_mass"] > 0.0
    assert answer["warnings"] == []
    letters = make_tokenizer(kind).convert_tokens_to_ids(list("ABCDEFGHIJK"[:n_points]))
    assert [chat.body["logprob_token_ids"] for chat in fake.chats] == [letters] * 2


async def test_exemplars_and_question_have_the_labels_that_are_read(cache_folder: Path) -> None:
    fake = FakeVllm(max_model_len=16384, tokenizer=make_tokenizer(Kind.SMOLLM))
    body = {"culture": "DE", "question": NEIGHBOURS, "method": "icl"}
    with serve(fake.app) as url:
        async with opened(settings_for(url, cache_folder)) as client:
            await client.post("/answer", json=body | {"options": ["yes", "perhaps", "no"]})
            await client.post("/answer", json=body | {"options": scale(11)})

    few, many = prompts(fake)
    assert len(re.findall(r"^Answer: \d", few, re.MULTILINE)) == 5
    assert "the number of the option" in few
    assert "\n1. yes\n2. perhaps\n3. no" in few
    assert len(re.findall(r"^Answer: [A-K]\b", many, re.MULTILINE)) == 5
    assert len(re.findall(r"^Shares: A\. \d+%, B\. ", many, re.MULTILINE)) == 5
    assert "the letter of the option" in many
    assert "\nA. Never\nB. 2\n" in many
    assert "\nJ. 10\nK. Always" in many
    assert not re.search(r"^\d+\.", many, re.MULTILINE)


async def test_a_model_without_tokens_for_labels_is_read_from_a_reply(cache_folder: Path) -> None:
    fake = FakeVllm(max_model_len=16384, tokenizer=make_tokenizer(Kind.REASONING))
    options = [f"option {letter}" for letter in "abcdefghijkl"]
    body = {"culture": "DE", "question": RELIGION, "answer_from": "model", "options": options}
    with serve(fake.app) as url:
        async with opened(settings_for(url, cache_folder)) as client:
            answer = (await client.post("/answer", json=body)).json()

    assert answer["shares"] is answer["label_mass"] is None
    assert "several tokens" in answer["warnings"][0]
    assert answer["answer"] == options[answer["option"]["number"] - 1]
    sent = fake.chats[-1].body
    assert sent["structured_outputs"] == {"choice": [str(n) for n in range(1, 13)]}
    assert sent["max_tokens"] < 10


async def test_exemplars_that_do_not_fit_are_left_out(cache_folder: Path) -> None:
    fake = FakeVllm(max_model_len=1000)
    with serve(fake.app) as url:
        async with opened(settings_for(url, cache_folder)) as client:
            reply = await client.get(
                "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
            )

    answer = reply.json()
    assert answer["steered"]
    assert 1 <= len(answer["exemplars"]) < 5
    n_left_out = 5 - len(answer["exemplars"])
    assert answer["warnings"] == [f"{n_left_out} exemplars left out: the model reads 996 tokens"]
    assert answer["exemplars"][0]["similarity"] == answer["nearest_similarity"]
    assert answer["usage"]["prompt_tokens"] <= 996


async def test_without_room_for_any_exemplar_nothing_is_steered(cache_folder: Path) -> None:
    fake = FakeVllm(max_model_len=380)
    with serve(fake.app) as url:
        async with opened(settings_for(url, cache_folder)) as client:
            reply = await client.get(
                "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
            )

    answer = reply.json()
    assert reply.status_code == 200
    assert not answer["steered"]
    assert answer["exemplars"] == []
    assert answer["not_steered_because"] == answer["warnings"][0]
    assert answer["warnings"][0].startswith("5 exemplars left out")


async def test_a_question_longer_than_the_context_is_refused(cache_folder: Path) -> None:
    fake = FakeVllm(max_model_len=500)
    params = {"culture": "DE", "question": f"{RELIGION} " + "Very? " * 200}
    with serve(fake.app) as url:
        async with opened(settings_for(url, cache_folder)) as client:
            reply = await client.get("/answer", params=params)

    assert reply.status_code == 422
    assert reply.json()["type"] == "urn:milieu:problem:prompt-too-long"
    assert re.search(r"has \d+ tokens without evidence", reply.json()["detail"])
    assert fake.chats == []


def test_fewer_orders_than_asked_for_are_said(client: httpx.Client) -> None:
    answer = ask(client, options=["a", "b", "c"], orders=8)

    assert "2 orders used: these options have no more that keep the scale" in answer["warnings"]


async def test_more_requests_than_can_wait_are_turned_away(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    async with opened(make_settings(encoder={"max_waiting": 0})) as milieu:
        reply = await milieu.get(
            "/answer", params={"culture": "DE", "question": RELIGION, "answer_from": "model"}
        )

    assert reply.status_code == 503
    assert reply.headers["Retry-After"] == "1"
    assert not fake.chats
