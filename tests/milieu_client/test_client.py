"""Both clients against the real service, on a fake vLLM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from milieu_client import (
    Answer,
    AsyncMilieu,
    ChatEvidence,
    Delta,
    Evidence,
    ExtraMissing,
    KeyUnsendable,
    Milieu,
    RecipeFields,
    ServiceRefused,
    ServiceUnreachable,
    to_polars,
)
from tests.app.service import FAR, RELIGION, RELIGION_KEY, make_app, served, settings_for
from tests.fakes.vllm import MODEL, FakeVllm
from tests.fixtures.service import FakeServer, MakeSettings

OPEN = "Tell me about your family."
SAID = {"Yes": 0.4, "No": 0.6}


def test_an_answer_has_all_that_the_service_sends(milieu: Milieu, client: httpx.Client) -> None:
    answer = milieu.ask(RELIGION, "DE", method="icl", k=3)
    sent = client.get(
        "/answer", params={"question": RELIGION, "culture": "DE", "method": "icl", "k": 3}
    ).json()

    found = answer.model_dump(mode="json")
    differs = {"id", "timings_ms", "usage"}
    assert list(found) == list(sent)
    assert {name: found[name] for name in sent if name not in differs} == {
        name: sent[name] for name in sent if name not in differs
    }
    assert answer.source == "survey"
    assert answer.people is not None
    assert answer.people.n_respondents == 1528
    assert answer.model is not None
    assert len(answer.exemplars) == 3


def test_own_options_are_answered(milieu: Milieu) -> None:
    answer = milieu.ask(RELIGION, "KE", options=["Yes", "No"], answer_from="model", orders=2)

    assert answer.options_from == "request"
    assert answer.shares is not None
    assert answer.share_of("yes") == answer.shares[0].share
    with pytest.raises(KeyError, match="expected one of: Yes, No"):
        answer.share_of("Perhaps")


def test_a_refusal_tells_what_the_problem_tells(milieu: Milieu) -> None:
    with pytest.raises(ServiceRefused, match="Did you mean Germany") as caught:
        milieu.ask(RELIGION, "Germny")

    error = caught.value
    assert (error.status, error.title) == (404, "Unknown culture")
    assert error.type == "urn:milieu:problem:culture-unknown"
    assert error.request_id
    assert str(error).startswith("Unknown culture: ")
    assert str(error).endswith("(404)")


def test_a_faulty_field_is_named(milieu: Milieu) -> None:
    with pytest.raises(ServiceRefused, match=r"body\.k") as caught:
        milieu.ask(RELIGION, "DE", k=0)

    assert caught.value.status == 422
    assert caught.value.errors[0]["where"] == "body.k"


def test_a_refusal_of_openai_s_form_is_told_as_well(milieu: Milieu) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    with pytest.raises(ServiceRefused, match="nope") as caught:
        milieu.request("POST", "/v1/chat/completions", {"model": "nope", "messages": messages})

    assert (caught.value.status, caught.value.type) == (404, "model_not_found")


def test_cultures_are_compared_in_their_order(milieu: Milieu) -> None:
    found = milieu.compare(RELIGION, ["NG", "DE", "Nigeria", "JP"])

    assert [answer.culture.code for answer in found] == ["NGA", "DEU", "NGA", "JPN"]
    assert [answer.source for answer in found] == ["survey", "survey", "survey", "transfer"]
    assert found.refused == {}
    assert {answer.question for answer in found} == {RELIGION}


def test_who_cannot_be_compared_is_named_beside_the_others(milieu: Milieu) -> None:
    found = milieu.compare(RELIGION, ["DE", "JP"], answer_from="survey")

    assert [answer.culture.code for answer in found] == ["DEU"]
    assert found.refused["JP"].title == "No answer from this source"


def test_a_comparison_of_nobody_is_refused(milieu: Milieu) -> None:
    with pytest.raises(ServiceRefused, match="Unknown culture"):
        milieu.compare(RELIGION, ["Germny", "Nigria"])


def test_exemplars_and_cultures(milieu: Milieu) -> None:
    found = milieu.exemplars(RELIGION, "Germany", k=2)
    cultures = milieu.cultures()

    assert found.same_question == RELIGION_KEY
    assert len(found.exemplars) == 2
    assert len(cultures) > 30
    [germany] = [culture for culture in cultures if culture.code == "DEU"]
    assert germany == milieu.culture("de-DE")
    assert germany.cultural_map is not None
    with pytest.raises(ServiceRefused):
        milieu.culture("../models")


def test_questions_are_found_and_shown(milieu: Milieu) -> None:
    page = milieu.questions(
        search="Vertrauen in die Polizei", culture=["DE", "NG"], pack="wvs7", limit=3
    )
    topics = milieu.questions(topic="Migration", offset=8)

    assert "police" in page[0].question
    assert len(page) == 3 < page.total
    assert [terms.id for terms in page.packs] == ["wvs7"]
    assert (topics.total, topics.offset, len(topics)) == (10, 8, 2)
    question = milieu.question(RELIGION_KEY, culture="DE")
    assert [figures.culture.code for figures in question.people] == ["DEU"]
    assert question.rows()[0]["share"] == milieu.ask(RELIGION, "DE").rows()[0]["share"]
    assert milieu.question(RELIGION_KEY, language="de").language == "de"
    assert page.to_polars()["question_key"].to_list() == [each.question_key for each in page]
    with pytest.raises(ServiceRefused):
        milieu.question("../cultures")


def test_a_batch_is_answered_as_its_questions_are(milieu: Milieu) -> None:
    own: dict[str, Any] = {"question": RELIGION, "culture": "NG", "options": None}
    questions: list[str | dict[str, Any]] = [RELIGION, own, {"k": 3}]
    results = list(milieu.batch(questions, ["DE", "Germny"], [{"answer_from": "tables"}]))
    by_index = {result.index: result for result in results}

    assert sorted(by_index) == list(range(5))
    germany, unknown, nigeria, *faulty = (by_index[index] for index in range(5))
    assert germany.answer is not None
    assert germany.answer.rows() == milieu.ask(RELIGION, "DE", answer_from="tables").rows()
    assert germany.versions is not None
    assert list(germany.versions.packs) == ["wvs7"]
    assert (unknown.culture, unknown.answer) == ("Germny", None)
    assert unknown.problem is not None
    assert unknown.problem.title == "Unknown culture"
    assert (nigeria.row, nigeria.culture) == (1, "NG")
    assert [result.problem.status for result in faulty if result.problem] == [422, 422]
    table = to_polars(results)
    assert table.height == 4 + 1 + 4 + 2
    assert table.filter(index=1)["problem"].item().startswith("Unknown culture: ")
    assert table.filter(index=1)["culture"].item() == "Germny"
    assert table.columns == [
        "index", "row", "recipe", *milieu.ask(RELIGION, "DE").to_polars().columns, "problem"
    ]  # fmt: skip


def test_a_batch_of_nothing_is_refused(milieu: Milieu) -> None:
    with pytest.raises(ServiceRefused, match="at least one question"):
        next(milieu.batch([], ["DE"]))


def test_leaving_a_batch_ends_the_work(milieu: Milieu, fake: FakeVllm) -> None:
    fake.delay_s = 0.05
    model: list[RecipeFields] = [{"answer_from": "model", "seed": seed} for seed in range(40)]
    results = milieu.batch([RELIGION], ["DE", "NG"], model)
    next(results)
    results.close()

    wait_for(lambda: fake.n_running == 0)
    assert len(fake.chats) < 80


def test_a_recent_answer_is_recalled(milieu: Milieu, client: httpx.Client) -> None:
    answer = milieu.ask(RELIGION, "DE")
    messages = [{"role": "user", "content": RELIGION}]
    chat = client.post(
        "/v1/chat/completions", json={"model": f"{MODEL}@DE", "messages": messages}
    ).json()

    assert milieu.recall(answer.id) == answer
    evidence = milieu.recall(chat["id"])
    assert isinstance(evidence, ChatEvidence)
    assert evidence.model_dump(mode="json") == chat["milieu"]
    with pytest.raises(ServiceRefused):
        milieu.recall("ans_0")


def test_what_came_of_an_answer_is_told_once(milieu: Milieu) -> None:
    answer = milieu.ask(RELIGION, "DE")
    first = milieu.feedback(answer_id=answer.id, metric="helpful", value=True)
    again = milieu.feedback(answer_id=answer.id, metric="helpful", value=True)

    assert (first.repeated, again.repeated) == (False, True)
    assert first.key == again.key


def test_text_comes_as_it_is_written(milieu: Milieu) -> None:
    evidence, *deltas, answer = milieu.stream(OPEN, "DE", max_tokens=12, steer="always")

    assert isinstance(evidence, Evidence)
    assert isinstance(answer, Answer)
    texts = [delta.text for delta in deltas if isinstance(delta, Delta)]
    assert len(texts) == len(deltas) > 1
    assert "".join(texts) == answer.answer


def test_a_stream_that_is_refused_says_so_before_it_begins(milieu: Milieu) -> None:
    with pytest.raises(ServiceRefused, match="Unknown culture"):
        next(iter(milieu.stream(RELIGION, "Germny")))


def test_leaving_a_stream_ends_the_work(milieu: Milieu, fake: FakeVllm) -> None:
    fake.chunk_delay_s = 0.05
    events = milieu.stream(OPEN, "DE", max_tokens=500, steer="always")
    for event in events:
        if isinstance(event, Delta):
            break
    events.close()

    wait_for(lambda: fake.n_running == 0)
    assert fake.n_left == 1


def wait_for(is_so: Callable[[], bool], *, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_answers_are_tables(milieu: Milieu) -> None:
    found = milieu.compare(RELIGION, ["DE", "JP"])
    table = found.to_polars()

    assert table.height == 8
    assert table["culture"].to_list() == ["DEU"] * 4 + ["JPN"] * 4
    assert table["n_respondents"].to_list() == [1528] * 4 + [None] * 4
    assert table.equals(to_polars(found))
    frame = found.to_pandas()
    assert frame.shape == (8, table.width)
    assert list(frame.columns) == table.columns
    assert milieu.cultures().to_polars().height == len(milieu.cultures())
    exemplars = milieu.exemplars(RELIGION, "DE", k=2)
    assert exemplars.to_polars()["question_key"].n_unique() == 2
    assert milieu.ask(OPEN, "DE", steer="always", max_tokens=3).to_polars().height == 1


@pytest.mark.parametrize("package", ["polars", "pandas"])
def test_without_its_package_a_table_names_the_extra(
    milieu: Milieu, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    answer = milieu.ask(RELIGION, "DE")
    monkeypatch.setattr("milieu_client.tables.import_module", missing)
    with pytest.raises(ExtraMissing, match=rf"milieu-client\[{package}\]"):
        getattr(answer, f"to_{package}")()


def test_a_key_is_sent_and_never_shown(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path
) -> None:
    with served(settings_for(fake_server.url, cache_folder, api_keys="s3cret")) as url:
        with Milieu(url, key="s3cret") as milieu:
            assert milieu.ask(RELIGION, "DE").source == "survey"
        with Milieu(url, key="wrong-one") as milieu, pytest.raises(ServiceRefused) as caught:
            milieu.compare(RELIGION, ["DE", "NG"])

    assert caught.value.status == 401
    assert "wrong-one" not in f"{caught.value}{milieu!r}{vars(milieu)}"


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    with pytest.raises(KeyUnsendable) as caught:
        Milieu(key=key)

    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "file:///etc/passwd", "http://[", "http://:x", "http://", ""]
)
def test_an_address_has_to_be_one_of_http(url: str) -> None:
    with pytest.raises(ServiceUnreachable, match="no http URL"):
        Milieu(url)


async def test_the_async_client_answers_the_same(milieu: Milieu, async_milieu: AsyncMilieu) -> None:
    found = await async_milieu.ask(RELIGION, "DE")
    compared = await async_milieu.compare(RELIGION, ["DE", "JP", "Germany"])
    cultures = await async_milieu.cultures()
    exemplars = await async_milieu.exemplars(RELIGION, "DE", k=2)

    asked = milieu.ask(RELIGION, "DE")
    assert found.rows() == asked.rows()
    assert compared.rows() == milieu.compare(RELIGION, ["DE", "JP", "Germany"]).rows()
    assert list(cultures) == list(milieu.cultures())
    assert exemplars == milieu.exemplars(RELIGION, "DE", k=2)
    assert await async_milieu.recall(asked.id) == asked
    assert (await async_milieu.feedback(answer_id=asked.id, comment="Good.")).key
    assert await async_milieu.question(RELIGION_KEY) == milieu.question(RELIGION_KEY)
    assert list(await async_milieu.questions(limit=4)) == list(milieu.questions(limit=4))
    assert await async_milieu.culture("DE") == milieu.culture("DE")
    assert await async_milieu.request("GET", "/livez") == milieu.request("GET", "/livez")


async def test_the_async_client_is_refused_the_same(async_milieu: AsyncMilieu) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: async_milieu.ask(RELIGION, "Germny"),
        lambda: async_milieu.compare(RELIGION, ["Germny"]),
        lambda: anext(aiter(async_milieu.stream(RELIGION, "Germny"))),
    ]
    for call in calls:
        with pytest.raises(ServiceRefused, match="Unknown culture"):
            await call()
    found = await async_milieu.compare(RELIGION, ["DE", "JP"], answer_from="survey")
    assert list(found.refused) == ["JP"]


async def test_the_async_client_streams(async_milieu: AsyncMilieu, fake: FakeVllm) -> None:
    events = [
        event async for event in async_milieu.stream(OPEN, "DE", max_tokens=12, steer="always")
    ]

    assert isinstance(events[0], Evidence)
    assert isinstance(events[-1], Answer)
    assert "".join(e.text for e in events if isinstance(e, Delta)) == events[-1].answer

    fake.chunk_delay_s = 0.05
    stream = async_milieu.stream(OPEN, "DE", max_tokens=500, steer="always")
    async with aclosing(stream):
        async for event in stream:
            if isinstance(event, Delta):
                break
    await asyncio.to_thread(wait_for, lambda: fake.n_running == 0)


async def test_the_async_client_asks_batches(async_milieu: AsyncMilieu, fake: FakeVllm) -> None:
    found = [result async for result in async_milieu.batch([RELIGION], ["DE", "Germny"])]
    assert sorted(result.index for result in found) == [0, 1]
    assert [result.culture for result in found if result.problem] == ["Germny"]

    fake.delay_s = 30.0
    asked = async_milieu.batch([RELIGION], ["DE"], [{"answer_from": "model"}])
    asking = asyncio.create_task(anext(asked))
    await asyncio.to_thread(wait_for, lambda: fake.n_running == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.to_thread(wait_for, lambda: fake.n_running == 0)


async def test_a_cancelled_question_ends_at_the_service(
    async_milieu: AsyncMilieu, fake: FakeVllm
) -> None:
    fake.delay_s = 30.0
    asking = asyncio.create_task(async_milieu.compare(RELIGION, ["DE", "NG"], answer_from="model"))
    await asyncio.to_thread(wait_for, lambda: fake.n_running == 2)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.to_thread(wait_for, lambda: fake.n_running == 0)
    assert fake.n_left == 2


async def test_it_speaks_to_a_service_in_the_same_process(make_settings: MakeSettings) -> None:
    app = make_app(make_settings())
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with AsyncMilieu("http://milieu", transport=transport) as milieu:
            assert (await milieu.ask(FAR, "DE", options=["Yes", "No"])).culture.code == "DEU"
