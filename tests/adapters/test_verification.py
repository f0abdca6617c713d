"""An adapter is verified once in full, by one canary after that, and never where it is altered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base_model import AdapterBase
from adapters.canary import make_canary_prompts, measure
from adapters.errors import AdapterFault, AdapterRefused, AdapterUnknown, LoraServerSilent
from adapters.manifest import WEIGHTS, AdapterFacts, Canary
from adapters.registry import AdapterRegistry
from adapters.verification import Verifier
from prompting.labels import LabelScheme
from survey_data.cultures import read_catalogue
from tests.adapters.loras import BASE_NAME, lora_tensors, write_lora
from tests.adapters.servers import AnsweringServer

CATALOGUE = read_catalogue()
N_QUESTIONS = 3


class Checks:
    """A registry with one adapter that a server has, and what verifies it."""

    def __init__(self, folder: Path, base: AdapterBase) -> None:
        self.folder, self.base = folder, base
        self.registry = AdapterRegistry(folder / "registry")
        self.server = AnsweringServer()
        self.verifier = self.verifier_for(base)

    def verifier_for(self, base: AdapterBase) -> Verifier:
        return Verifier(
            self.registry, base, catalogue=CATALOGUE, canary_server=lambda url: self.server
        )

    def add(self, cultures: Sequence[str] = ("DEU",), canaries: tuple[Canary, ...] = ()) -> str:
        source = write_lora(self.folder / "source", lora_tensors(self.base))
        about = AdapterFacts(method="random", canaries=canaries)
        version = self.registry.add(
            source, base=self.base, max_rank=8, name="german", cultures=cultures, about=about
        ).version_name
        self.server.has[version] = self.registry.path(version)
        return version

    async def verify(self, version: str) -> None:
        await self.verifier.verify(self.server, version)

    async def refused(self, version: str) -> AdapterFault:
        with pytest.raises(AdapterRefused) as refused:
            await self.verify(version)
        return refused.value.reason


@pytest.fixture
def checks(tmp_path: Path, base: AdapterBase) -> Checks:
    return Checks(tmp_path, base)


async def test_the_first_time_every_canary_is_asked_and_kept(checks: Checks) -> None:
    version = checks.add()

    await checks.verify(version)

    kept = checks.registry.canaries(version)
    # Plain, and as a German.
    assert len(kept) == 2 * N_QUESTIONS
    assert checks.server.n_scored == {BASE_NAME: 2 * N_QUESTIONS, version: 2 * N_QUESTIONS}


async def test_after_that_one_canary_is_asked(checks: Checks) -> None:
    version = checks.add()
    await checks.verify(version)
    checks.server.n_scored.clear()

    await checks.verify(version)

    assert checks.server.n_scored == {version: 1}


async def test_one_without_effect_is_refused_and_nothing_kept(checks: Checks) -> None:
    version = checks.add()
    checks.server.idle.add(version)

    assert await checks.refused(version) is AdapterFault.NO_EFFECT
    assert checks.registry.canaries(version) == ()


async def test_another_effect_than_when_it_was_verified_is_refused(checks: Checks) -> None:
    version = checks.add()
    await checks.verify(version)
    checks.server.turned = True

    assert await checks.refused(version) is AdapterFault.OTHER_EFFECT


@pytest.mark.parametrize("turned", [False, True])
async def test_its_publishers_canaries_are_asked_where_there_are_some(
    checks: Checks, turned: bool
) -> None:
    version = checks.add()
    prompts = make_canary_prompts([CATALOGUE["JPN"]])[-2:]
    recorded = await measure(checks.server, prompts, base_model=BASE_NAME, adapter=version)
    checks.registry.remove(version)
    again = checks.add(canaries=recorded)
    assert again == version
    checks.server.turned = turned

    if turned:
        assert await checks.refused(version) is AdapterFault.OTHER_EFFECT
    else:
        await checks.verify(version)
        assert checks.registry.canaries(version) == recorded


async def test_the_canaries_have_the_labels_that_the_server_reads(checks: Checks) -> None:
    checks.server.labels = LabelScheme.LETTERS
    version = checks.add()

    await checks.verify(version)

    assert checks.registry.canaries(version)[0].labels == ("A", "B", "C", "D")


async def test_a_culture_that_no_catalogue_knows_has_no_persona(checks: Checks) -> None:
    version = checks.add(["DEU", "XXX"])

    await checks.verify(version)

    assert len(checks.registry.canaries(version)) == 2 * N_QUESTIONS


async def test_a_silent_server_verifies_nothing(checks: Checks) -> None:
    version = checks.add()
    checks.server.is_down = True

    with pytest.raises(LoraServerSilent):
        await checks.verify(version)
    assert checks.registry.canaries(version) == ()


def test_the_files_of_a_sound_adapter_are_located(checks: Checks) -> None:
    version = checks.add()

    assert checks.verifier.locate(version) == checks.registry.path(version)


def test_what_is_altered_or_gone_is_not(checks: Checks) -> None:
    version = checks.add()
    weights = checks.registry.path(version) / WEIGHTS
    weights.chmod(0o644)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    with pytest.raises(AdapterRefused, match="hash"):
        checks.verifier.locate(version)
    with pytest.raises(AdapterUnknown):
        checks.verifier.locate("german@00000000")


def test_one_for_other_weights_of_the_model_is_not(checks: Checks, base: AdapterBase) -> None:
    version = checks.add()

    for changed in (replace(base, sha256="0" * 64), replace(base, name="llama")):
        with pytest.raises(AdapterRefused, match="base-model"):
            checks.verifier_for(changed).locate(version)
    # Where the weights are not at hand, the name has to do.
    located = checks.verifier_for(replace(base, sha256=None)).locate(version)
    assert located == checks.registry.path(version)
