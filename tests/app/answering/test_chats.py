"""A chat is told what is known of what its user asks, and nothing that is not.

What the model is sent stands in golden files. Write them anew with
``python -m tests.app.answering.test_chats``, and read the diff.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from tests.app.experiments import Service, experiment_settings, service
from tests.app.service import (
    FAR,
    NEIGHBOURS,
    RELIGION,
    RELIGION_KEY,
    keys,
    opened,
    served,
    settings_for,
    share_library,
)
from tests.fakes.vllm import FakeVllm, serve
from tests.fixtures.service import FakeServer, MakeSettings

PATH = "/v1/chat/completions"
# Estimates are of these, whatever packs are added.
PACKS = ("undp-ai-2025", "wvs7")
GOLDEN = Path(__file__).parent / "golden_chats"
# Asked of 21 countries, but not of Kenya.
AI_QUESTION = "How much knowledge do you have of artificial intelligence (AI)?"
AI_KEY = "undp-ai-2025:Q8_AI_Familiarity"


class Case(NamedTuple):
    """A chat of one message, and the golden file of what the model is sent."""

    name: str
    culture: str
    question: str
    fields: Mapping[str, Any] = MappingProxyType({})


CASES = (
    Case("known", "DE", RELIGION),
    Case("known-named", "TH", "What place does God have in your life?", {"method": "persona+icl"}),
    Case("withheld", "DE", RELIGION, {"withhold": True}),
    Case("transferred", "KE", AI_QUESTION),
    # Of Indonesia only the survey on AI tells anything.
    Case("not-known", "ID", RELIGION),
    Case("perhaps-recognised", "DE", "Can most people be trusted?"),
    Case("unrecognised", "DE", NEIGHBOURS),
    Case("plain", "DE", RELIGION, {"method": "plain"}),
)


def body_of(question: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {
        "model": "fake",
        "culture": "DE",
        "messages": messages,
        "max_tokens": 4,
        "k": 2,
    } | fields


def ask(client: httpx.Client, question: str = RELIGION, **fields: Any) -> dict[str, Any]:
    reply = client.post(PATH, json=body_of(question, **fields))
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["milieu"]
    return found


def sent(fake: FakeVllm) -> str:
    """Return what the model was sent last."""
    messages = fake.chats[-1].body["messages"]
    return "\n".join(f"=== {message['role']}\n{message['content']}\n" for message in messages)


@pytest.fixture(scope="module")
def two_packs_url(
    fake_server: FakeServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("two-packs")
    with served(settings_for(fake_server.url, folder, packs=PACKS)) as url:
        yield url


@pytest.fixture
def client(two_packs_url: str, fake: FakeVllm) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=two_packs_url, timeout=30.0) as client:
        yield client


@pytest.fixture
def library(make_settings: MakeSettings) -> SurveyLibrary:
    return share_library(make_settings(packs=PACKS), read_catalogue())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_model_is_sent_the_golden_messages(
    client: httpx.Client, fake: FakeVllm, case: Case
) -> None:
    ask(client, case.question, culture=case.culture, **case.fields)

    assert sent(fake) == (GOLDEN / f"{case.name}.txt").read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == {case.name for case in CASES}


def test_what_is_known_is_told_and_returned(
    client: httpx.Client, fake: FakeVllm, library: SurveyLibrary
) -> None:
    found = ask(client)
    known, people = found["known"], library.distribution(RELIGION_KEY, "DEU")

    assert people is not None
    assert known["source"] == "survey"
    assert known["confident"]
    assert known["question_key"] == RELIGION_KEY
    assert [s["share"] for s in known["shares"]] == pytest.approx(people.shares, abs=1e-3)
    assert known["people"]["n_respondents"] == people.n_respondents
    assert known["transferred_from"] is None
    assert found["recognised"]["certain"]
    assert known["told"] in sent(fake)
    assert f"{round(100 * max(people.shares))}%" in known["told"]
    assert f"{people.n_respondents:,} people in Germany" in known["told"]
    # The like questions come after it, the question itself is not among them.
    assert RELIGION_KEY not in keys(found["exemplars"])
    assert len(found["exemplars"]) == 2


def test_what_is_withheld_is_estimated_and_not_told(
    client: httpx.Client, fake: FakeVllm, library: SurveyLibrary
) -> None:
    open_, found = ask(client), ask(client, withhold=True)
    known, people = found["known"], library.distribution(RELIGION_KEY, "DEU")

    assert people is not None
    assert open_["known"]["people"] is not None
    assert known["source"] == "transfer"
    assert known["people"] is None
    assert [s["share"] for s in known["shares"]] != pytest.approx(people.shares, abs=1e-2)
    assert "These are estimates" in known["told"]
    assert known["told"] in sent(fake)
    assert f"{people.n_respondents:,}" not in sent(fake)
    assert RELIGION_KEY not in keys(found["exemplars"])


def test_what_was_asked_elsewhere_is_told_as_an_estimate(client: httpx.Client) -> None:
    known = ask(client, AI_QUESTION, culture="KE")["known"]

    assert known["source"] == "transfer"
    assert known["question_key"] == AI_KEY
    assert known["people"] is None
    assert "it is estimated that" in known["told"]
    heaviest = known["transferred_from"]["cultures"][0]["culture"]["name"]
    assert f"mostly in {heaviest}" in known["told"]


async def test_it_is_said_that_a_survey_asked_some_of_the_people_only(
    make_settings: MakeSettings,
) -> None:
    async with opened(make_settings()) as client:
        asked = "How well informed are you about climate change?"
        reply = await client.post(PATH, json=body_of(asked, culture="FR"))

    told = reply.json()["milieu"]["known"]["told"]
    assert "people in France (population: Monthly active Facebook users) were asked" in told


def test_an_estimate_that_says_nothing_is_not_told(client: httpx.Client, fake: FakeVllm) -> None:
    known = ask(client, RELIGION, culture="ID")["known"]

    assert not known["confident"]
    assert known["told"] is None
    assert "estimate" not in sent(fake)


def test_a_question_that_it_may_be_is_not_told_of(client: httpx.Client, fake: FakeVllm) -> None:
    found = ask(client, "Can most people be trusted?")

    assert not found["recognised"]["certain"]
    assert found["recognised"]["questions"]
    assert found["known"] is None
    assert "In the survey" not in sent(fake)


def test_nothing_is_known_of_what_no_survey_asked(client: httpx.Client) -> None:
    assert ask(client, NEIGHBOURS)["known"] is None
    assert ask(client, FAR)["known"] is None
    assert ask(client, culture=None)["known"] is None


def test_plain_is_told_nothing_but_the_client_is(client: httpx.Client, fake: FakeVllm) -> None:
    found = ask(client, method="plain")

    assert found["known"]["source"] == "survey"
    assert found["known"]["told"] is None
    assert not found["steered"]
    assert sent(fake) == f"=== user\n{RELIGION}\n"


def test_only_the_last_message_is_recognised(client: httpx.Client, fake: FakeVllm) -> None:
    messages = [
        {"role": "user", "content": RELIGION},
        {"role": "assistant", "content": "Not that important."},
        {"role": "user", "content": "Why?"},
    ]
    found = ask(client, messages=messages)

    # The like questions are those of what was said before.
    assert found["exemplars"]
    assert found["known"] is found["recognised"] is None
    assert "In the survey" not in sent(fake)


async def test_where_room_is_short_what_is_known_is_left_out_last(cache_folder: Path) -> None:
    found = {}
    for n_tokens in (1000, 700, 300):
        vllm = FakeVllm(max_model_len=n_tokens)
        with serve(vllm.app) as url:
            async with opened(settings_for(url, cache_folder)) as client:
                reply = await client.post(PATH, json=body_of(RELIGION, k=5))
                found[n_tokens] = reply.json()["milieu"]

    some, told, none = found.values()
    assert 1 <= len(some["exemplars"]) < 5
    assert some["known"]["told"]
    assert told["exemplars"] == []
    assert told["known"]["told"]
    assert told["method"] == "icl"
    assert told["steered"]
    assert told["warnings"] == ["5 exemplars left out: the model reads 696 tokens"]
    assert none["known"]["told"] is None
    assert not none["steered"]
    assert none["warnings"] == [
        "5 exemplars and what is known left out: the model reads 296 tokens"
    ]
    assert none["fallbacks"] == [{"method": "icl", "because": none["warnings"][0]}]


async def test_in_an_experiment_the_arm_alone_says_what_is_told(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path, tmp_path: Path
) -> None:
    settings = experiment_settings(fake_server.url, cache_folder, tmp_path)
    async with service(settings) as milieu:
        await milieu.running()
        found = await _chat_in_arm(milieu, "icl")

    assert found["experiment"]["arm"] == "icl"
    assert found["known"] is None
    assert "In the survey" not in sent(fake)


async def _chat_in_arm(milieu: Service, arm: str) -> dict[str, Any]:
    for user in (f"u{i}" for i in range(100)):
        found: dict[str, Any] = (await milieu.chat(user))["milieu"]
        if found["experiment"]["arm"] == arm:
            return found
    raise AssertionError(f"none of a hundred users is in '{arm}'")


async def _write_golden() -> None:
    vllm = FakeVllm(max_model_len=16384)
    with tempfile.TemporaryDirectory() as folder, serve(vllm.app) as url:
        async with opened(settings_for(url, Path(folder), packs=PACKS)) as client:
            for name, culture, question, fields in CASES:
                body = body_of(question, culture=culture, **fields)
                (await client.post(PATH, json=body)).raise_for_status()
                (GOLDEN / f"{name}.txt").write_text(sent(vllm), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write_golden())
