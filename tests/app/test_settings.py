"""Settings come from the environment, whole and checked, and never change."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from app.addresses import is_loopback
from app.errors import SettingsInvalid
from app.settings import EMBEDDED_MODEL, Settings, read_settings
from prompting.recipe import Method


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.upper().startswith("MILIEU_"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_nothing_needs_to_be_set() -> None:
    settings = read_settings()

    assert settings.url == "http://127.0.0.1:8000"
    assert settings.model == EMBEDDED_MODEL
    assert settings.vllm.urls == ()
    assert settings.answer.method is Method.ICL
    assert settings.pack_roots[0].name == "packs"


def test_variables_are_read_by_prefix_and_group(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_PORT", "9000")
    environment.setenv("MILIEU_VLLM__URLS", "http://a:1, http://b:2 ,")
    environment.setenv("MILIEU_VLLM__MODEL", "llama")
    environment.setenv("MILIEU_ANSWER__METHOD", "persona+icl")
    environment.setenv("MILIEU_API_KEYS", "one,two")
    environment.setenv("MILIEU_PACKS", "wvs7")
    environment.setenv("MILIEU_PACK_FOLDERS", "/a,/b")
    settings = read_settings()

    assert settings.port == 9000
    assert settings.vllm.urls == ("http://a:1", "http://b:2")
    assert settings.model == "llama"
    assert settings.answer.method is Method.PERSONA_ICL
    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert settings.packs == ("wvs7",)
    assert [str(root) for root in settings.pack_roots[1:]] == ["/a", "/b"]


@pytest.mark.parametrize(("text", "rank"), [("8", 8), ("32", 32), ("512", 512)])
def test_the_rank_is_a_number_of_those_that_vllm_takes(
    environment: pytest.MonkeyPatch, text: str, rank: int
) -> None:
    environment.setenv("MILIEU_VLLM__MAX_LORA_RANK", text)
    assert read_settings().vllm.max_lora_rank == rank

    environment.setenv("MILIEU_VLLM__MAX_LORA_RANK", "12")
    with pytest.raises(SettingsInvalid, match="MAX_LORA_RANK: Input should be 1, 8, 16"):
        read_settings()


def test_a_group_may_be_json(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_VLLM", '{"urls": ["http://a:1"], "model": "llama"}')
    assert read_settings().vllm.urls == ("http://a:1",)
    environment.setenv("MILIEU_VLLM", "llama")
    with pytest.raises(SettingsInvalid, match="vllm"):
        read_settings()


def test_what_is_given_goes_before_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_PORT", "9000")

    assert read_settings(port=9001).port == 9001


@pytest.mark.parametrize(
    "name",
    ["MILIEU_PROT", "MILIEU_VLLM__URL", "MILIEU_PORT__X", "milieu_prot", "MILIEU_VLLM__"],
)
def test_an_unknown_variable_is_refused(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "1")

    with pytest.raises(SettingsInvalid, match=f"unknown variable {name};") as caught:
        read_settings()
    assert "MILIEU_VLLM__URLS" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MILIEU_PORT", "many", "valid integer.* found 'many'"),
        ("MILIEU_PORT", "70000", "less than or equal to 65535, found '70000'"),
        ("MILIEU_LOG_LEVEL", "LOUD", "found 'LOUD'"),
        ("MILIEU_LOG_FORMAT", "xml", "found 'xml'"),
        ("MILIEU_ANSWER__K", "0", "greater than or equal to 1"),
        ("MILIEU_ANSWER__METHOD", "tarot", "'cross-culture', .* found 'tarot'"),
        ("MILIEU_ANSWER__SIMILARITY_FLOOR", "1.5", "less than or equal to 1"),
        ("MILIEU_VLLM__TIMEOUT_S", "0", "greater than 0"),
        ("MILIEU_COMMERCIAL_USE", "perhaps", "valid boolean"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    environment.setenv(name, value)

    with pytest.raises(SettingsInvalid, match=f"^{name}: .*{said}"):
        read_settings()


def test_all_faults_are_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_PORT", "many")
    environment.setenv("MILIEU_ANSWER__K", "many")

    with pytest.raises(SettingsInvalid, match=r"MILIEU_PORT: .*; MILIEU_ANSWER__K: "):
        read_settings()


@pytest.mark.parametrize("url", ["a:1", "ftp://a", "/a"])
def test_a_server_is_named_by_url(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("MILIEU_VLLM__URLS", url)
    environment.setenv("MILIEU_VLLM__MODEL", "llama")

    with pytest.raises(SettingsInvalid, match=f"'{url}' is no URL; expected http://host:port"):
        read_settings()


def test_a_server_needs_the_name_of_its_model(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_VLLM__URLS", "http://a:1")

    with pytest.raises(SettingsInvalid, match="MILIEU_VLLM__URLS needs MILIEU_VLLM__MODEL"):
        read_settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "milieu.example"])
def test_without_a_key_it_cannot_be_reached_from_outside(
    environment: pytest.MonkeyPatch, host: str
) -> None:
    environment.setenv("MILIEU_HOST", host)
    with pytest.raises(SettingsInvalid, match="Set MILIEU_API_KEYS"):
        read_settings()
    environment.setenv("MILIEU_API_KEYS", "key")
    assert read_settings().host == host


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_loopback_needs_no_key(host: str, url: str) -> None:
    assert is_loopback(host)
    assert Settings(host=host).url == url


def test_keys_are_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_API_KEYS", "hidden")
    environment.setenv("MILIEU_VLLM__API_KEY", "hidden")
    environment.setenv("MILIEU_EXPERIMENTS__UNIT_SECRET", "hidden" * 8)
    environment.setenv("MILIEU_EXPERIMENTS__STORE", "postgresql://milieu:hidden@db/milieu")
    assert "hidden" not in repr(read_settings())
    environment.setenv("MILIEU_EXPERIMENTS__STORE", "mysql://milieu:hidden@db/milieu")
    environment.setenv("MILIEU_VLLM__URLS", "http://a:1")
    environment.setenv("MILIEU_PORT", "many")
    with pytest.raises(SettingsInvalid) as caught:
        read_settings()
    assert "hidden" not in str(caught.value)


def test_settings_are_frozen() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # that is what is tested
    with pytest.raises(ValidationError, match="frozen"):
        settings.answer.k = 1  # type: ignore[misc]  # that is what is tested


def test_the_embedded_model_is_not_served_under_another_name(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("MILIEU_VLLM__MODEL", "Qwen/Qwen2.5-7B-Instruct")

    with pytest.raises(SettingsInvalid, match="the embedded model would be served as 'Qwen"):
        read_settings()


def test_a_model_folder_may_have_a_name_of_its_own(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_VLLM__MODEL", "mine")
    environment.setenv("MILIEU_VLLM__MODEL_PATH", "/models/mine")

    assert read_settings().model == "mine"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/models/mine", "mine"),
        ("/models/mine/", "mine"),
        ("/models/other/../mine", "mine"),
        ("/hub/models--Owner--My-Model/snapshots/0a1b2c", "Owner/My-Model"),
    ],
)
def test_a_model_without_a_name_is_called_as_its_folder(
    environment: pytest.MonkeyPatch, folder: str, name: str
) -> None:
    environment.setenv("MILIEU_VLLM__MODEL_PATH", folder)

    assert read_settings().model == name


def test_what_the_child_computes_in_and_with_is_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_VLLM__DTYPE", "float32")
    environment.setenv("MILIEU_VLLM__N_THREADS", "2")
    assert (read_settings().vllm.dtype, read_settings().vllm.n_threads) == ("float32", 2)

    environment.setenv("MILIEU_VLLM__DTYPE", "int8")
    with pytest.raises(SettingsInvalid, match=r"MILIEU_VLLM__DTYPE: .*found 'int8'"):
        read_settings()


def test_a_password_in_a_url_is_refused_unshown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILIEU_VLLM__URLS", "http://me:hush@a:1")
    environment.setenv("MILIEU_VLLM__MODEL", "m")

    with pytest.raises(SettingsInvalid, match="MILIEU_VLLM__API_KEY"):
        read_settings()
