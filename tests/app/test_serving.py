"""What the service says when it has started."""

from __future__ import annotations

import shlex

import pytest
from pydantic import SecretStr

from app.serving import write_welcome
from app.state.examples import pick_examples
from survey_data.cultures import read_catalogue
from tests.app.service import opened, share_library
from tests.fixtures.service import MakeSettings


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
