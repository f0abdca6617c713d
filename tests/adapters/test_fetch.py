from __future__ import annotations

from pathlib import Path

import pytest

from adapters.errors import AdapterNotFetched
from adapters.fetch import FILES, fetch, is_hub_id

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOUND = ("adapter_config.json", "adapter_model.safetensors", "README.md")


class Hub:
    """A cache as the hub's client fills it: blobs, and snapshots that link to them."""

    def __init__(self, cache: Path, files: tuple[str, ...] = SOUND) -> None:
        self.snapshot = cache / "models--org--lora" / "snapshots" / COMMIT
        self.snapshot.mkdir(parents=True)
        blobs = cache / "models--org--lora" / "blobs"
        blobs.mkdir()
        for name in files:
            (blobs / f"blob-{name}").write_text(name)
            (self.snapshot / name).symlink_to(f"../../blobs/blob-{name}")
        self.calls: list[dict[str, object]] = []

    def __call__(
        self,
        repo_id: str,
        *,
        revision: str | None,
        allow_patterns: list[str],
        local_files_only: bool,
    ) -> str:
        self.calls.append(
            {
                "repo_id": repo_id,
                "revision": revision,
                "allow_patterns": allow_patterns,
                "local_files_only": local_files_only,
            }
        )
        return str(self.snapshot)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "cache")


def test_the_files_are_copied_and_no_links(hub: Hub, tmp_path: Path) -> None:
    fetched = fetch("org/lora", "v1", tmp_path / "here", download=hub)

    assert fetched == (tmp_path / "here", f"org/lora@{COMMIT}")
    assert {file.name for file in fetched.folder.iterdir()} == set(SOUND)
    assert not any(file.is_symlink() for file in fetched.folder.iterdir())
    assert (fetched.folder / "README.md").read_text() == "README.md"


@pytest.mark.parametrize("offline", [True, False])
def test_no_other_files_are_asked_for(hub: Hub, tmp_path: Path, offline: bool) -> None:
    fetch("org/lora", None, tmp_path / "here", offline=offline, download=hub)

    (call,) = hub.calls
    assert call["allow_patterns"] == list(FILES)
    assert not any("*" in name or name.endswith(".bin") for name in FILES)
    assert call["local_files_only"] is offline


def test_other_files_in_the_cache_are_left_there(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "cache", (*SOUND, "adapter_model.bin"))

    fetch("org/lora", None, tmp_path / "here", download=hub)

    assert not (tmp_path / "here" / "adapter_model.bin").exists()


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_repository_without_an_adapter_is_refused(tmp_path: Path, missing: str) -> None:
    hub = Hub(tmp_path / "cache", tuple(name for name in SOUND if name != missing))

    with pytest.raises(AdapterNotFetched, match=missing):
        fetch("org/lora", None, tmp_path / "here", download=hub)

    assert not (tmp_path / "here").exists()


def test_a_link_out_of_the_cache_is_refused(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (hub.snapshot / "manifest.json").symlink_to(tmp_path / "secret")

    with pytest.raises(AdapterNotFetched, match="out of the cache"):
        fetch("org/lora", None, tmp_path / "here", download=hub)


@pytest.mark.parametrize(
    "text", ["lora", "../lora", "/etc/passwd", "a/b/c", "org/lo ra", "org/..", "org/", "-o/lora"]
)
def test_what_is_no_hub_id_is_not_asked_for(hub: Hub, tmp_path: Path, text: str) -> None:
    assert not is_hub_id(text)
    with pytest.raises(AdapterNotFetched, match="is invalid"):
        fetch(text, None, tmp_path / "here", download=hub)

    assert not hub.calls


@pytest.mark.parametrize("revision", ["", "../main", "--x", "a b"])
def test_what_is_no_revision_is_not_asked_for(hub: Hub, tmp_path: Path, revision: str) -> None:
    with pytest.raises(AdapterNotFetched, match="is invalid"):
        fetch("org/lora", revision, tmp_path / "here", download=hub)

    assert not hub.calls


def test_a_folder_in_use_is_not_written_to(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(AdapterNotFetched, match="files in"):
        fetch("org/lora", None, hub.snapshot, download=hub)


def test_a_failed_download_says_why(tmp_path: Path) -> None:
    def failing(
        repo_id: str, *, revision: str | None, allow_patterns: list[str], local_files_only: bool
    ) -> str:
        raise ConnectionError("no route to host")

    with pytest.raises(AdapterNotFetched, match="ConnectionError: no route to host"):
        fetch("org/lora", None, tmp_path / "here", download=failing)


def test_offline_an_adapter_that_is_not_cached_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(AdapterNotFetched, match="in the local cache"):
        fetch("milieu-tests/no-such-adapter", None, tmp_path / "here", offline=True)
