"""Other peoples' answers to the asked question are shown to a model where a recipe says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from tests.app.experiments import DEFINITION, experiment_settings, exposures, service
from tests.app.service import NEIGHBOURS, RELIGION, RELIGION_KEY, keys, opened, share_library
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import FakeServer, MakeSettings

HEADING = "people in other countries gave to the very question you are asked"


@pytest.fixture
def library(make_settings: MakeSettings) -> SurveyLibrary:
    return share_library(make_settings(), read_catalogue())


@pytest.fixture
def settings(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path, tmp_path: Path
) -> Settings:
    return experiment_settings(fake_server.url, cache_folder, tmp_path)


def ask(client: httpx.Client, question: str = RELIGION, **fields: Any) -> dict[str, Any]:
    body = {"question": question, "culture": "DE", "answer_from": "model", "k": 2} | fields
    reply = client.post("/answer", json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def split(answer: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the exemplars of other peoples, and the people's own."""
    exemplars = answer["exemplars"]
    return [e for e in exemplars if e["elsewhere"]], [e for e in exemplars if not e["elsewhere"]]


def sent(fake: FakeVllm) -> str:
    return "\n\n".join(message["content"] for message in fake.chats[-1].body["messages"])


def test_nothing_of_others_is_shown_by_default(client: httpx.Client, fake: FakeVllm) -> None:
    answer = ask(client)
    before = sent(fake)
    none = ask(client, elsewhere=0)

    assert not split(answer)[0]
    assert HEADING not in before
    assert sent(fake) == before
    assert none["shares"] == answer["shares"]


def test_the_heaviest_donors_answers_are_shown_with_their_weights(
    client: httpx.Client, fake: FakeVllm, library: SurveyLibrary
) -> None:
    answer = ask(client, elsewhere=3)
    estimate = ask(client, answer_from="tables")
    elsewhere, own = split(answer)
    donors = estimate["transferred_from"]["cultures"]

    assert [e["elsewhere"] for e in elsewhere] == donors[:3]
    assert set(keys(elsewhere)) == {RELIGION_KEY}
    for exemplar in elsewhere:
        code = exemplar["elsewhere"]["culture"]["code"]
        people = library.distribution(RELIGION_KEY, code)
        assert people is not None
        shares = [share["share"] for share in exemplar["shares"]]
        assert shares == pytest.approx(people.shares, abs=1e-3)
        assert exemplar["similarity"] is None
    # Beside the people's own answers to other questions, of which there are as many as before.
    assert own == split(ask(client))[1]
    assert len(own) == 2


@pytest.mark.parametrize("withhold", [False, True])
def test_the_peoples_own_answer_is_never_among_them(
    client: httpx.Client, fake: FakeVllm, withhold: bool
) -> None:
    elsewhere, own = split(ask(client, elsewhere=20, withhold=withhold))

    assert len(elsewhere) > 5
    assert all(e["elsewhere"]["weight"] > 0.0 for e in elsewhere)
    assert "DEU" not in {e["elsewhere"]["culture"]["code"] for e in elsewhere}
    assert RELIGION_KEY not in keys(own)
    assert HEADING in sent(fake)
    assert "In Germany" not in sent(fake)


@pytest.mark.parametrize(
    "fields",
    [
        {"question": NEIGHBOURS, "options": ["Yes", "No"]},
        # The survey's question, but with options of its own.
        {"options": ["Much", "Little"]},
        {"method": "persona"},
        {"method": "plain"},
    ],
)
def test_none_are_shown_where_there_are_none_to_show(
    client: httpx.Client, fake: FakeVllm, fields: dict[str, Any]
) -> None:
    answer = ask(client, elsewhere=3, **fields)

    assert not split(answer)[0]
    assert HEADING not in sent(fake)


def test_a_chat_is_shown_them_after_what_is_known(client: httpx.Client, fake: FakeVllm) -> None:
    messages = [{"role": "user", "content": RELIGION}]
    body = {"model": "fake@DE", "messages": messages, "elsewhere": 2, "k": 1}
    found = client.post("/v1/chat/completions", json=body).json()["milieu"]
    system = fake.chats[-1].body["messages"][0]["content"]

    assert len(split(found)[0]) == 2
    assert len(split(found)[1]) == 1
    places = [system.index(part) for part in (found["known"]["told"], HEADING, "other questions")]
    assert places == sorted(places)


async def test_the_settings_may_show_them_to_every_request(make_settings: MakeSettings) -> None:
    async with opened(make_settings(answer={"n_elsewhere": 2})) as client:
        body = {"question": RELIGION, "culture": "DE", "answer_from": "model"}
        showing = (await client.post("/answer", json=body)).json()
        not_showing = (await client.post("/answer", json=body | {"elsewhere": 0})).json()

    assert len(split(showing)[0]) == 2
    assert not split(not_showing)[0]


async def test_an_arm_of_an_experiment_may_show_them(settings: Settings) -> None:
    arms = {"icl": {"method": "icl"}, "elsewhere": {"method": "icl", "n_elsewhere": 3}}
    async with service(settings) as milieu:
        await milieu.running(arms=arms, control="icl", testers=["user:qa"])
        name = DEFINITION["name"]
        without = await milieu.ask("qa", arm=f"{name}/icl")
        shown = await milieu.ask("qa", arm=f"{name}/elsewhere")
    recorded = await exposures(settings)

    assert not split(without)[0]
    assert len(split(shown)[0]) == 3
    assert recorded[shown["id"]]["arm_id"] != recorded[without["id"]]["arm_id"]
    # They do not give the people's own answer away, so the model's can be compared with it.
    assert recorded[shown["id"]]["alignment"] is not None
