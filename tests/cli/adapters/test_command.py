"""`milieu adapters`: on the registry's folder, and through a running service."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.base_model import read_base_model
from adapters.culturespa.card import AdapterCard, write_card
from adapters.manifest import CONFIG, WEIGHTS, AdapterFacts
from adapters.registry import AdapterRegistry
from app.state.admin_key import FILE, keep_admin_key
from cli.adapters.jobs import run_add
from cli.main import cli
from tests.adapters.loras import (
    BASE_NAME,
    Tensors,
    lora_config,
    lora_tensors,
    raw_safetensors,
    write_lora,
)
from tests.app.adapters import adapter_settings
from tests.app.service import served
from tests.fakes.vllm import MODEL, FakeVllm, serve
from tests.tiny_llama import tiny_llama

COMMANDS = ("add", "list", "status", "show", "activate", "deactivate", "rollback", "remove")


class Adapters:
    """Runs `milieu adapters` in this process, on a registry of its own."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        defaults = {
            "MILIEU_DATA_FOLDER": str(folder / "data"),
            "MILIEU_VLLM__MODEL": BASE_NAME,
            "MILIEU_VLLM__MODEL_PATH": str(tiny_llama()),
            "COLUMNS": "250",
        }
        self.env = defaults | env
        self.registry = AdapterRegistry(folder / "data" / "adapters")

    def __call__(self, *arguments: str, **env: str) -> str:
        result = self.run(*arguments, **env)
        assert result.exit_code == 0, result.output
        return result.stdout

    def run(self, *arguments: str, **env: str) -> Result:
        return CliRunner().invoke(cli, ("adapters", *arguments), env=self.env | env)

    def refused(self, *arguments: str, **env: str) -> str:
        result = self.run(*arguments, **env)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        message = " ".join(result.stderr.split())
        assert message.startswith("milieu: ")
        return message

    def lora(self, name: str = "German LoRA", *, seed: int = 0, base_name: str = BASE_NAME) -> Path:
        config = lora_config(base_model_name_or_path=base_name)
        return write_lora(self.folder / name, tensors(seed), config)

    @property
    def names(self) -> list[str]:
        return [entry.version_name for entry in self.registry.entries()]


def tensors(seed: int = 0) -> Tensors:
    return lora_tensors(read_base_model(tiny_llama(), name=BASE_NAME), seed=seed)


@pytest.fixture
def adapters(tmp_path: Path) -> Adapters:
    return Adapters(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example(adapters: Adapters, command: str) -> None:
    assert f"Example: milieu adapters {command}" in adapters(command, "--help")


def test_help_lists_the_commands(adapters: Adapters) -> None:
    for command in COMMANDS:
        assert f"  {command} " in adapters("--help")


def test_an_adapter_is_added_and_what_comes_next_is_said(adapters: Adapters) -> None:
    said = adapters(
        "add", str(adapters.lora()), "-c", "Germany", "-c", "AT",
        "--licence", "CC0-1.0", "--method", "random", "--data", "none",
    )  # fmt: skip

    [name] = adapters.names
    assert name.startswith("german-lora@")
    assert said.splitlines() == [
        f"Added {name} for AUT, DEU. Next:",
        f"  milieu adapters activate {name}",
    ]
    about = adapters.registry.get(name).about
    assert (about.licence, about.method, about.data) == ("CC0-1.0", "random", "none")
    assert adapters.registry.active() == {}


def test_one_for_any_culture_says_that_cultures_are_to_be_named(adapters: Adapters) -> None:
    said = adapters("add", str(adapters.lora()), "--name", "mine")

    assert "Added mine@" in said
    assert "for any culture" in said
    assert said.rstrip().endswith("--culture …")


def test_what_its_training_wrote_of_it_is_taken_over(adapters: Adapters) -> None:
    folder = adapters.lora()
    card = AdapterCard(
        mode="specific", base_model=BASE_NAME, base_config_sha256="0" * 64, cultures=("DEU",),
        n_examples={"DEU": 7}, left_out={}, data={}, sources={}, licence="CC-BY-4.0", settings={},
        n_steps=1, losses=(1.0,), label_logprob={"before": -2.0, "after": -1.0}, versions={},
    )  # fmt: skip
    write_card(folder, card)

    assert " for DEU. Next:" in adapters("add", str(folder))

    [entry] = adapters.registry.entries()
    assert entry.cultures == ("DEU",)
    assert (entry.about.method, entry.about.licence) == ("culturespa-specific", "CC-BY-4.0")
    assert entry.about.metrics["label_logprob_after"] == -1.0
    (folder / "card.json").write_text('{"cultures": 3}')
    assert "card.json" in adapters.refused("add", str(folder), "--name", "other")


def test_what_its_manifest_says_is_taken_over(adapters: Adapters, tmp_path: Path) -> None:
    adapters("add", str(adapters.lora()), "-c", "DE", "--name", "first", "--licence", "MIT")
    again = Adapters(tmp_path / "other")

    again("add", str(adapters.registry.path(adapters.names[0])))

    assert again.registry.entries() == adapters.registry.entries()


def test_adapters_are_a_table_and_json(adapters: Adapters) -> None:
    assert "No adapters" in adapters("list")
    adapters("add", str(adapters.lora()), "-c", "DE", "--licence", "CC0-1.0")
    [name] = adapters.names
    adapters("activate", name, "--offline")

    [row] = [line for line in adapters("list").splitlines() if name in line]
    assert "DEU" in row
    assert "CC0-1.0" in row
    [found] = json.loads(adapters("list", "--json"))
    assert (found["version_name"], found["active_for"]) == (name, ["DEU"])
    assert found["loaded"] is None
    assert not found["proven"]


def test_one_is_shown_whole(adapters: Adapters) -> None:
    adapters("add", str(adapters.lora()), "-c", "DE", "--data", "two\nlines \x1b[31m of it")

    shown = adapters("show", "german-lora")
    for part in ("german-lora@", "DEU", "not measured yet", BASE_NAME, "q_proj, v_proj"):
        assert part in shown
    # What somebody else wrote does not reach the terminal as it is.
    assert "\x1b" not in shown
    assert "lines ?[31m of it" in shown
    found = json.loads(adapters("show", "german-lora", "--json"))
    assert (found["rank"], found["alpha"], found["effect_nat"]) == (4, 16.0, None)


Plant = Callable[[Path], object]


def _with_config(**changes: object) -> Plant:
    return lambda folder: (folder / CONFIG).write_text(json.dumps(lora_config() | changes))


def _with_weights(data: bytes) -> Plant:
    return lambda folder: (folder / WEIGHTS).write_bytes(data)


def _not_finite(folder: Path) -> None:
    broken = tensors()
    next(iter(broken.values()))[0, 0] = float("nan")
    write_lora(folder, broken)


def _pickled(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({}))


def _linked(folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/etc/hostname")


PLANTED: list[tuple[str, Plant, str]] = [
    ("pickled-weights", _pickled, "adapter_model.bin"),
    ("link", _linked, "README.md"),
    ("missing-file", lambda folder: (folder / CONFIG).unlink(), "no adapter_config.json"),
    ("unexpected-file", lambda folder: (folder / "run.sh").write_text(""), "run.sh"),
    ("truncated", _with_weights(b"\x08"), ""),
    ("header", _with_weights(raw_safetensors(b"{")), ""),
    ("config", lambda folder: (folder / CONFIG).write_text("{"), ""),
    ("base-model", _with_config(base_model_name_or_path="meta/llama"), "llama"),
    ("rank", _with_config(r=512), "512"),
    ("unsupported-feature", _with_config(use_dora=True), "use_dora"),
    ("not-lora", _with_config(peft_type="IA3"), "IA3"),
    ("not-finite", _not_finite, ""),
]


@pytest.mark.parametrize(("reason", "plant", "said"), PLANTED, ids=[case[0] for case in PLANTED])
def test_what_is_not_sound_is_refused_with_its_reason(
    adapters: Adapters, reason: str, plant: Plant, said: str
) -> None:
    adapters("add", str(adapters.lora("good", seed=1)), "-c", "DE")
    adapters("activate", "good", "--offline")
    before = adapters.registry.entries(), adapters.registry.active()
    bad = adapters.lora("bad")
    plant(bad)

    message = adapters.refused("add", str(bad), "-c", "DE")

    assert message.startswith(f"milieu: {reason}: found ")
    assert said in message
    assert "expected " in message
    assert (adapters.registry.entries(), adapters.registry.active()) == before


def test_the_same_weights_with_other_words_are_refused(adapters: Adapters) -> None:
    folder = str(adapters.lora())
    adapters("add", folder, "-c", "DE")
    adapters("add", folder, "-c", "DE")

    assert "other cultures" in adapters.refused("add", folder, "-c", "FR")
    assert len(adapters.names) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "nowhere"], "'nowhere': found no such folder, expected one with an adapter"),
        (["add", "/etc/hostname"], "folder: found "),
        (["add", "{lora}", "-c", "Germny"], "Did you mean Germany"),
        (["add", "{lora}", "--name", "Not A Name"], "name: found the name 'Not A Name'"),
        (["show", "nobody"], "'nobody' is not an adapter in the registry"),
        (["activate", "nobody", "--offline"], "'nobody' is not an adapter in the registry"),
        (["remove", "../x", "--offline"], "'../x' is not an adapter in the registry"),
        (["rollback", "-c", "DE", "--offline"], "No earlier state is known for 'DEU'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_message(
    adapters: Adapters, arguments: list[str], said: str
) -> None:
    lora = str(adapters.lora())
    assert said in adapters.refused(*[part.replace("{lora}", lora) for part in arguments])


def test_what_a_hub_id_names_is_added_with_where_it_is_from(
    adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = adapters.folder / "models--owner--German.LoRA" / "snapshots" / "0a1b2c"
    asked = []

    def download(
        repo_id: str,
        *,
        revision: str | None,
        allow_patterns: list[str],
        local_files_only: bool,
    ) -> str:
        asked.append((repo_id, revision))
        return str(write_lora(commit, tensors(), lora_config()))

    for variable, value in adapters.env.items():
        monkeypatch.setenv(variable, value)
    run_add(
        "owner/German.LoRA",
        AdapterFacts(licence="MIT"),
        revision="v1",
        name=None,
        cultures=["DEU"],
        download=download,
    )

    [manifest] = adapters.registry.entries()
    assert asked == [("owner/German.LoRA", "v1")]
    assert manifest.name == "german-lora"
    assert (manifest.about.source, manifest.about.licence) == ("owner/German.LoRA@0a1b2c", "MIT")


def test_a_folder_goes_before_a_hub_id(adapters: Adapters, monkeypatch: pytest.MonkeyPatch) -> None:
    adapters.lora("owner/german")
    monkeypatch.chdir(adapters.folder)

    assert "Added german@" in adapters("add", "owner/german", "-c", "DE")
    message = adapters.refused("add", "owner/other", "--revision", "../x")
    assert "'owner/other': found an id or revision ('../x') that is invalid on the hub" in message


def test_offline_the_folder_is_changed(adapters: Adapters) -> None:
    adapters("add", str(adapters.lora("a", seed=1)), "-c", "DE", "-c", "AT")
    adapters("add", str(adapters.lora("b", seed=2)), "-c", "DE")
    first, second = adapters.names

    said = adapters("activate", "a", "--offline")
    assert f"{first} answers for AUT, DEU now.\n" in said
    assert "measured when a service loads it" in said
    adapters("activate", second, "-c", "DE", "--offline")
    assert adapters.registry.active() == {"AUT": first, "DEU": second}
    assert "is active for DEU" in adapters.refused("remove", "b", "--offline")
    assert adapters("rollback", "-c", "DE", "--offline") == f"{first} answers for DEU now.\n"
    said = adapters("deactivate", "-c", "DE", "--offline")
    assert said == "The model as it is answers for DEU now.\n"
    assert adapters("remove", "b", "--offline") == f"Removed {second}.\n"
    assert adapters.names == [first]


def test_without_a_service_it_is_said_what_can_be_done(adapters: Adapters) -> None:
    keep_admin_key(adapters.folder / "data")
    for arguments in (
        ["activate", "x"],
        ["deactivate", "-c", "DE"],
        ["rollback", "-c", "DE"],
        ["remove", "x"],
    ):
        message = adapters.refused(*arguments, "--url", "http://127.0.0.1:9")
        assert "No service at http://127.0.0.1:9" in message
        assert "Start one with `milieu serve`. With --offline the folder itself" in message


@pytest.fixture(scope="module")
def house(
    cache_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Adapters]]:
    """A service whose admin key is in its data folder, and a command beside it."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "data").mkdir()
    key = keep_admin_key(folder / "data")
    with serve(FakeVllm(max_model_len=16384).app) as vllm_url:
        settings = adapter_settings(vllm_url, cache_folder, folder / "data", admin_keys=key)
        env = {
            "MILIEU_VLLM__URLS": vllm_url,
            "MILIEU_VLLM__MODEL": MODEL,
            "MILIEU_VLLM__LORA": "1",
            "MILIEU_VLLM__MODEL_PATH": str(settings.vllm.model_path),
        }
        with served(settings) as url:
            yield url, Adapters(folder, **env)


def test_through_a_service_adapters_are_changed_as_it_runs(house: tuple[str, Adapters]) -> None:
    url, adapters = house
    for name, seed in (("a", 1), ("b", 2)):
        adapters("add", str(adapters.lora(name, seed=seed, base_name=MODEL)), "-c", "DE")
    first, second = adapters.names

    assert f"{first} answers for DEU now (" in adapters("activate", "a", "--url", url)
    assert f"{second} answers for DEU now (" in adapters("activate", second, "--url", url)
    shown = json.loads(adapters("show", "b", "--json"))
    assert shown["active_for"] == ["DEU"]
    assert shown["effect_nat"] > 0.1
    message = adapters.refused("remove", "b", "--url", url)
    assert "is active for DEU" in message
    assert "(409)" in message
    assert first in adapters("rollback", "-c", "DE", "--url", url)
    assert adapters("remove", "b", "--url", f"{url}/") == f"Removed {second}.\n"
    assert "The model as it is" in adapters("deactivate", "-c", "Germany", "--url", url)
    assert "(404)" in adapters.refused("activate", "../x", "--url", url)
    assert "(422)" in adapters.refused("activate", "a", "-c", "NG", "--url", url)
    assert "(404)" in adapters.refused("activate", "a", "-c", "VA", "--url", url)
    assert adapters.registry.active() == {}


def test_without_a_service_the_status_says_where_to_look(adapters: Adapters) -> None:
    keep_admin_key(adapters.folder / "data")

    message = adapters.refused("status", "--url", "http://127.0.0.1:9")

    assert "No service at http://127.0.0.1:9" in message
    assert "`milieu adapters list` shows the registry" in message


def test_the_settings_key_is_sent_before_the_files(house: tuple[str, Adapters]) -> None:
    url, adapters = house

    message = adapters.refused("activate", "a", "--url", url, MILIEU_ADMIN_KEYS="wrong")
    assert "Send an admin key as" in message
    assert "(401)" in message


def test_without_any_key_it_is_said_where_one_would_be(
    house: tuple[str, Adapters], tmp_path: Path
) -> None:
    url, adapters = house

    message = adapters.refused("activate", "a", "--url", url, MILIEU_DATA_FOLDER=str(tmp_path))
    assert f"No admin key for {url}" in message
    assert str(tmp_path / FILE) in message


def test_a_key_that_others_may_read_is_not_used(
    house: tuple[str, Adapters], tmp_path: Path
) -> None:
    url, adapters = house
    shutil.copy(adapters.folder / "data" / FILE, tmp_path / FILE)
    (tmp_path / FILE).chmod(0o644)

    message = adapters.refused("activate", "a", "--url", url, MILIEU_DATA_FOLDER=str(tmp_path))
    assert "found mode 644" in message


def test_the_files_key_goes_to_no_other_machine(adapters: Adapters) -> None:
    key = keep_admin_key(adapters.folder / "data")

    # A name that no resolver knows.
    message = adapters.refused("activate", "a", "--url", "http://milieu.invalid")
    assert "No service at http://milieu.invalid" in message
    assert key not in message


def test_a_redirect_is_not_followed_with_the_key(adapters: Adapters) -> None:
    keep_admin_key(adapters.folder / "data")
    seen: list[Any] = []

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        headers = [(b"location", b"/stolen"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    with serve(elsewhere) as url:
        assert "(307)" in adapters.refused("remove", "a", "--url", url)
    assert seen == ["/v1/adapters/a"]
