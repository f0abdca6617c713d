"""Keys are kept as digests, compared as such, and stand in no log line and no reply."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsInvalid
from app.keys import find_clear, hash_key, match_key
from app.logs import LineFormatter
from app.settings import read_settings
from tests.app.service import NEIGHBOURS, make_app, opened
from tests.fakes.vllm import FakeVllm, Scripted, serve
from tests.fixtures.service import MakeSettings

CLIENT_KEY = "client-secret-3f9a1c77e2b84d60"
ADMIN_KEY = "admin-secret-91b7d2c45e8f60a3b7d2c45e8f60"
UPSTREAM_KEY = "upstream-secret-c0ffee0ddba11"
WRONG_KEY = "wrong-secret-5ca1ab1e"
STORE_PASSWORD = "store-secret-0ff1ce"
UNIT_SECRET = "unit-secret-of-16-bytes-or-more"
SECRETS = (CLIENT_KEY, ADMIN_KEY, UPSTREAM_KEY, WRONG_KEY, STORE_PASSWORD, UNIT_SECRET)


def test_a_key_is_known_by_its_digest_which_is_no_key_itself() -> None:
    # By `printf %s one | sha256sum`.
    digest = "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"

    assert hash_key("one") == digest
    assert match_key("one", (hash_key("other"), digest))
    assert not match_key("two", (digest,))
    assert not match_key(digest, (digest,))
    assert find_clear([digest, "one"]) == "one"
    assert find_clear([digest]) is None


async def test_keys_may_be_set_as_digests(make_settings: MakeSettings) -> None:
    settings = make_settings(api_keys=hash_key(CLIENT_KEY), admin_keys=hash_key(ADMIN_KEY))
    async with opened(settings) as client:
        found = {}
        for key in (CLIENT_KEY, ADMIN_KEY, WRONG_KEY, hash_key(CLIENT_KEY), hash_key(ADMIN_KEY)):
            headers = {"Authorization": f"Bearer {key}"}
            asked = [
                await client.get(path, headers=headers)
                for path in ("/v1/cultures", "/v1/experiments")
            ]
            found[key] = [each.status_code for each in asked]

    assert found == {
        CLIENT_KEY: [200, 403],
        ADMIN_KEY: [200, 200],
        WRONG_KEY: [401, 401],
        hash_key(CLIENT_KEY): [401, 401],
        hash_key(ADMIN_KEY): [401, 401],
    }


async def test_no_key_is_kept_in_clear_by_what_checks_it(make_settings: MakeSettings) -> None:
    app = make_app(make_settings(api_keys=CLIENT_KEY, admin_keys=ADMIN_KEY))

    kept = repr([middleware.kwargs for middleware in app.user_middleware]) + repr(
        app.state.pages.keys
    )
    assert CLIENT_KEY not in kept
    assert ADMIN_KEY not in kept
    assert hash_key(CLIENT_KEY) in kept


@pytest.mark.parametrize("key", ["sha256:1234", f"sha256:{'A' * 64}", "sha256:"])
def test_half_a_digest_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("MILIEU_API_KEYS", f"{CLIENT_KEY},{key}")

    with pytest.raises(SettingsInvalid, match="64 digits") as refused:
        read_settings()
    assert CLIENT_KEY not in str(refused.value)


async def test_no_secret_stands_in_a_log_line_or_a_reply(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    vllm = FakeVllm(max_model_len=16384, api_key=UPSTREAM_KEY)
    said: list[str] = []
    with serve(vllm.app) as url:
        settings = make_settings(
            api_keys=CLIENT_KEY,
            admin_keys=ADMIN_KEY,
            data_folder=tmp_path,
            vllm={"urls": (url,), "api_key": UPSTREAM_KEY, "n_retries": 0},
            experiments={"unit_secret": UNIT_SECRET},
        )
        async with opened(settings) as client:
            for key in (CLIENT_KEY, ADMIN_KEY, WRONG_KEY):
                for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
                    said += await _exchange(client, headers, vllm)
            entered = await client.post("/key", data={"key": WRONG_KEY, "next_path": "/"})
            said += [entered.text, repr(entered.headers)]
    # Now nobody is there, which is told of in full.
    async with opened(settings) as client:
        said += await _exchange(client, {"X-API-Key": CLIENT_KEY}, vllm)

    lines = [
        LineFormatter(as_json=j).format(record) for record in caplog.records for j in (False, True)
    ]
    assert any("request_served" in line for line in lines)
    assert any("vllm_not_reached" in line for line in lines)
    assert len(said) > 50
    for secret in SECRETS:
        assert not [line for line in lines if secret in line], secret
        assert not [text for text in said if secret in text], secret
        assert not [text for text in (repr(settings), str(settings)) if secret in text], secret


async def _exchange(client: Any, headers: dict[str, str], vllm: FakeVllm) -> list[str]:
    """Return what replies of all kinds say, bodies and headers."""
    question = {"culture": "DE", "question": NEIGHBOURS, "method": "icl"}
    chat = {"model": "fake@DE", "messages": [{"role": "user", "content": NEIGHBOURS}]}
    vllm_refuses = Scripted(status=401, message="Unauthorized")
    replies = []
    for path, body in (
        ("/answer", question),
        ("/answer", question | {"k": -1}),
        ("/answer", question | {"user": "u1", "stream": True}),
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", chat | {"stream": True}),
        ("/v1/experiments", {"name": 3}),
    ):
        replies.append(await client.post(path, json=body, headers=headers))
    if replies[0].status_code == 200:
        vllm.script(vllm_refuses)
        replies.append(await client.post("/answer", json=question, headers=headers))
        assert replies[-1].status_code == 502
    for path in (
        "/v1/adapters",
        "/v1/experiments",
        "/metrics",
        "/readyz",
        "/",
        "/docs",
        "/none",
    ):
        replies.append(await client.get(path, headers=headers))
    return [part for reply in replies for part in (reply.text, repr(reply.headers))]


def test_a_store_that_cannot_be_had_does_not_tell_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"mysql://milieu:{STORE_PASSWORD}@db/milieu"
    monkeypatch.setenv("MILIEU_EXPERIMENTS__STORE", url)

    with pytest.raises(SettingsInvalid) as refused:
        read_settings()
    assert STORE_PASSWORD not in str(refused.value)
