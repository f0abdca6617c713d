"""What the service says when it has started, and what it leaves out of memory by then."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.serving import write_welcome
from app.state.examples import pick_examples
from survey_data.cultures import read_catalogue
from tests.app.service import opened, share_library
from tests.fixtures.service import MakeSettings

ROOT = Path(__file__).parents[2]
# Large, and not needed to pass a chat through.
UNUSED = ("matplotlib", "pandas", "scipy.optimize", "torch", "transformers")
# A block at the end keeps glibc from giving back by itself what is free before it.
SETTLE = """
import psutil
from app.serving import settle

blocks = [b"x" * 8000 for _ in range(10_000)]
last, process = b"x" * 8000, psutil.Process()
del blocks
before = process.memory_info().rss
settle()
print(before - process.memory_info().rss)
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_is_large_and_may_never_be_used_is_not_imported() -> None:
    found = "*(name for name in UNUSED if name in sys.modules)"
    assert run(f"import sys, app.serving\nUNUSED = {UNUSED}\nprint({found})") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries do it by themselves")
def test_memory_that_is_free_when_the_service_has_started_is_given_back() -> None:
    assert int(run(SETTLE)) > 40_000_000


@pytest.mark.parametrize("packs", [(), ("undp-ai-2025",)])
async def test_what_it_advises_is_answered_from_the_surveys_that_are_loaded(
    make_settings: MakeSettings, packs: tuple[str, ...]
) -> None:
    settings = make_settings(packs=packs, api_keys=(SecretStr("mine"),))
    said = write_welcome(settings, share_library(settings, read_catalogue()))
    _, address, _, header = shlex.split(said.splitlines()[-1])
    headers = dict([header.replace("KEY", "mine").split(": ", 1)])

    async with opened(settings) as client:
        reply = await client.get(address.removeprefix(settings.url), headers=headers)
        page = await client.get("/", headers=headers)

    assert reply.status_code == 200, reply.text
    assert reply.json()["source"] in ("survey", "transfer")
    assert 'class="example"' in page.text


@pytest.mark.parametrize("packs", [(), ("wvs7",), ("undp-ai-2025",), ("climate-2022",)])
def test_examples_are_of_the_packs_that_are_loaded(
    make_settings: MakeSettings, packs: tuple[str, ...]
) -> None:
    library = share_library(make_settings(packs=packs), read_catalogue())

    examples = pick_examples(library)

    assert examples
    for example in examples:
        assert library.cultures_of(example.key)
        assert set(library.catalogue.codes(example.cultures)) <= set(library.cultures)


def test_without_keys_it_advises_none(make_settings: MakeSettings) -> None:
    settings = make_settings()

    said = write_welcome(settings, share_library(settings, read_catalogue()))

    assert said.startswith(f"Milieu answers at {settings.url} - try:\n  curl 'http")
    assert "Authorization" not in said
