"""The admin routes of experiments: what they do, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.app.experiments import (
    DEFINITION,
    NAME,
    experiment_settings,
    exposures,
    service,
    store_of,
)
from tests.fakes.vllm import FakeVllm
from tests.fixtures.service import FakeServer

ROOT = "/v1/experiments"


@pytest.fixture
def settings(
    fake_server: FakeServer, fake: FakeVllm, cache_folder: Path, tmp_path: Path
) -> Settings:
    return experiment_settings(
        fake_server.url, cache_folder, tmp_path, experiments={"texts": "all"}
    )


async def test_an_experiment_goes_from_draft_to_decided(settings: Settings) -> None:
    async with service(settings) as milieu:
        drafted = await milieu.admin("POST", json=DEFINITION)
        wanted = DEFINITION | {"hypothesis": "Another one."}
        revised = await milieu.admin("PUT", f"/{NAME}", json=wanted)
        await milieu.admin("POST", f"/{NAME}/start", json={"allow_unsent": True})
        stopped = await milieu.admin("POST", f"/{NAME}/stop")
        decided = await milieu.admin("POST", f"/{NAME}/decide", json={"decision": "Ship icl."})
        listed = await milieu.admin("GET")

    assert (drafted["state"], drafted["revision"]) == ("draft", 1)
    assert (revised["revision"], revised["hypothesis"]) == (2, "Another one.")
    assert stopped["state"] == "stopped"
    assert decided["definition"]["decision"] == "Ship icl."
    states = [revision["state"] for revision in decided["revisions"]]
    assert states == ["draft", "draft", "running", "stopped", "decided"]
    [summary] = listed["experiments"]
    assert summary == {key: decided[key] for key in summary}


async def test_what_is_shown_can_be_sent_again(settings: Settings) -> None:
    async with service(settings) as milieu:
        shown = (await milieu.admin("POST", json=DEFINITION))["definition"]
        again = await milieu.admin("PUT", f"/{NAME}", json=shown)

    assert again["revision"] == 1
    assert again["definition"] == shown


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weights": {"plain": 0.5, "icl": 0.5, "adapter": 0.5, "both": 0.5}}, "a sum of 2"),
        ({"weights": {"plain": 1.0}}, "'weights' for exactly the arms plain, icl"),
        ({"control": "none"}, "field 'control': found 'none', expected one of plain, icl"),
        ({"arms": {"plain": {"method": "magic"}, "icl": {"method": "icl"}}}, "arms.plain.method"),
        ({"cultures": ["ATA"]}, "field 'cultures': found"),
        ({"primary": {"metric": "helpful"}}, "field 'primary.kind': found nothing"),
        ({"trafic": 0.5}, "field 'trafic'"),
        ({"name": "No Name"}, "field 'name'"),
        ({"primary": DEFINITION["primary"] | {"metric": "failed", "kind": "mean"}}, "'proportion'"),
        (
            {"arms": {"plain": {"method": "plain", "model": "gpt"}, "icl": {"method": "icl"}}},
            "'gpt'",
        ),
    ],
)
async def test_a_definition_that_does_not_fit_is_refused_with_its_field(
    settings: Settings, fields: dict[str, Any], said: str
) -> None:
    async with service(settings) as milieu:
        found = await milieu.refused(422, "POST", ROOT, json=DEFINITION | fields)
        assert found.startswith("definition-invalid: ")
        assert said in found
        assert (await milieu.admin("GET"))["experiments"] == []


async def test_a_name_is_given_once(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.admin("POST", json=DEFINITION)
        other = DEFINITION | {"hypothesis": "Another one."}
        assert "experiment-taken" in await milieu.refused(409, "POST", ROOT, json=other)
        assert "field 'name'" in await milieu.refused(
            422, "PUT", f"{ROOT}/{NAME}", json=DEFINITION | {"name": "renamed"}
        )


async def test_a_metric_that_no_one_sends_stops_the_start(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.admin("POST", json=DEFINITION)
        await milieu.feedback((await milieu.ask())["id"], metric="helpfull")
        said = await milieu.refused(422, "POST", f"{ROOT}/{NAME}/start")
        assert said.startswith("metric-not-sent: ")
        assert "'helpful'" in said
        assert "helpfull" in said.replace("'helpful'", "")
        await milieu.feedback((await milieu.ask())["id"], metric="helpful")
        assert (await milieu.admin("POST", f"/{NAME}/start"))["state"] == "running"


async def test_a_running_experiment_keeps_its_promises(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        for fields in (
            {"control": "icl"},
            {"alpha": 0.1},
            {"outcome_window_s": 60.0},
            {"cultures": ["DEU"]},
            {"unit_value": "mean"},
        ):
            said = await milieu.refused(409, "PUT", f"{ROOT}/{NAME}", json=DEFINITION | fields)
            assert said.startswith("change-refused: ")
            assert next(iter(fields)) in said
        weights = {"plain": 0.1, "icl": 0.7, "adapter": 0.1, "both": 0.1}
        changed = await milieu.admin("PUT", f"/{NAME}", json=DEFINITION | {"weights": weights})
        assert changed["definition"]["weights"] == weights


async def test_a_change_of_an_old_revision_is_refused(settings: Settings) -> None:
    async with service(settings) as milieu:
        shown = (await milieu.admin("POST", json=DEFINITION))["definition"]
        await milieu.admin("PUT", f"/{NAME}", json=shown | {"traffic_share": 0.5})
        late = shown | {"hypothesis": "Made from the first revision."}
        said = await milieu.refused(409, "PUT", f"{ROOT}/{NAME}", json=late)
    assert said.startswith("revision-conflict: Experiment 'religion': found revision 2, expected 3")


async def test_states_are_not_skipped(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.admin("POST", json=DEFINITION)
        decision = {"decision": "Early."}
        for path, body in (("stop", None), ("decide", decision)):
            said = await milieu.refused(409, "POST", f"{ROOT}/{NAME}/{path}", json=body)
            assert said.startswith("transition-refused: ")


async def test_experiments_that_want_the_same_users_do_not_run_together(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running(layer={"name": "answers", "first": 0, "last": 499})
        other = DEFINITION | {"name": "other", "layer": {"name": "answers", "first": 400}}
        await milieu.admin("POST", json=other)
        said = await milieu.refused(409, "POST", f"{ROOT}/other/start", json={"allow_unsent": True})
        assert said.startswith("layer-overlap: Layer 'answers'")
        apart = other | {"layer": {"name": "answers", "first": 500}}
        await milieu.admin("PUT", "/other", json=apart)
        await milieu.admin("POST", "/other/start", json={"allow_unsent": True})
        experiments = {(await milieu.ask(f"u{i}"))["experiment"]["name"] for i in range(24)}
        assert experiments == {NAME, "other"}


@pytest.mark.parametrize("path", ["", "/report", "/start", "/stop"])
async def test_an_unknown_experiment_is_not_found(settings: Settings, path: str) -> None:
    verb = "GET" if path in ("", "/report") else "POST"
    async with service(settings) as milieu:
        said = await milieu.refused(404, verb, f"{ROOT}/nobody{path}")
    assert said.startswith("experiment-unknown: No experiment is named 'nobody'; there are: none.")


async def test_a_start_says_which_arms_cannot_be_had(settings: Settings) -> None:
    pinned = {"method": "adapter", "adapter": "nobody@12345678"}
    arms = {"plain": {"method": "plain"}, "own": {"method": "adapter"}, "pinned": pinned}
    async with service(settings) as milieu:
        await milieu.admin("POST", json=DEFINITION | {"arms": arms, "cultures": ["DEU", "KEN"]})
        started = await milieu.admin("POST", f"/{NAME}/start", json={"allow_unsent": True})
        await milieu.admin("POST", json=DEFINITION | {"name": "later"})
        later = await milieu.admin("POST", "/later/start", json={"allow_unsent": True})

    own, wanted = started["notes"]
    assert own.startswith("arm 'own': no adapter is active for DEU, KEN; its users are answered by")
    assert wanted.startswith("arm 'pinned': ")
    assert "nobody@12345678" in wanted
    assert "'religion' started earlier" in later["notes"][-1]


async def test_which_experiments_there_are_is_told_to_admins_only(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.admin("POST", json=DEFINITION)
        body = {"experiment": "nobody", "user": "u1", "metric": "helpful", "value": True}
        said = await milieu.refused(404, "POST", "/v1/feedback", json=body)
    assert said.startswith("experiment-unknown: No experiment here is named 'nobody'.")
    assert NAME not in said


async def test_experiments_with_different_hold_outs_do_not_run_together(
    settings: Settings,
) -> None:
    async with service(settings) as milieu:
        await milieu.running(hold_out={"share": 0.3})
        await milieu.admin("POST", json=DEFINITION | {"name": "other"})
        start = {"json": {"allow_unsent": True}}
        said = await milieu.refused(409, "POST", f"{ROOT}/other/start", **start)
        assert said.startswith("hold-out-differs: Experiment 'other': found a hold-out of 0, ")
        own = DEFINITION | {"name": "other", "hold_out": {"share": 0.0, "salt": "own"}}
        await milieu.admin("PUT", "/other", json=own)
        await milieu.admin("POST", "/other/start", **start)


async def test_the_report_is_json_or_a_page(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        for i in range(6):
            await milieu.feedback((await milieu.ask(f"u{i}"))["id"], value=i % 2 == 0)
        report = await milieu.admin("GET", f"/{NAME}/report")
        headers = {"X-API-Key": "root-of-the-tests"}
        page = await milieu.client.get(f"{ROOT}/{NAME}/report?format=html", headers=headers)
        refused = await milieu.refused(422, "GET", f"{ROOT}/{NAME}/report?format=pdf")

    assert report["decision"]["verdict"] == "continue"
    assert report["progress"]["n_units"] == 6
    assert {each["arm"] for each in report["comparisons"]} == {"icl", "adapter", "both"}
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.startswith("<!DOCTYPE html>")
    assert NAME in page.text
    assert refused.startswith("request-invalid: ")


async def test_all_that_is_kept_of_a_user_is_deleted(settings: Settings) -> None:
    async with service(settings) as milieu:
        await milieu.running()
        kept = await milieu.ask("u1", session="s")
        gone = [await milieu.ask("u2"), await milieu.chat("u2")]
        for answer in (kept, *gone):
            await milieu.feedback(answer["id"])
        counts = await milieu.admin("POST", "/forget", json={"user": "u2"})
        assert await milieu.refused(422, "POST", f"{ROOT}/forget", json={})

    assert counts == {"n_exposures": 2, "n_outcomes": 2, "n_texts": 2, "n_assignments": 1}
    assert set(await exposures(settings)) == {kept["id"]}
    async with store_of(settings) as store:
        texts = [row async for part in store.rows("texts") for row in part]
        assert len(texts) == 1


async def test_experiments_are_an_admins(
    fake_server: FakeServer, cache_folder: Path, tmp_path: Path
) -> None:
    settings = experiment_settings(fake_server.url, cache_folder, tmp_path, api_keys="client")
    async with service(settings) as milieu:
        for verb, path in (
            ("GET", ROOT),
            ("POST", ROOT),
            ("GET", f"{ROOT}/{NAME}/report"),
            ("POST", f"{ROOT}/forget"),
        ):
            assert "key-refused" in await milieu.refused(401, verb, path, headers={})
            client = {"X-API-Key": "client"}
            assert "admin-key-refused" in await milieu.refused(403, verb, path, headers=client)
