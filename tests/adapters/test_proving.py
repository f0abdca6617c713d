"""An adapter is proven once in full, by one canary after that, and never where it is altered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base_model import BaseModel
from adapters.canary import canary_prompts, measure
from adapters.errors import AdapterRefused, AdapterUnknown, LoraServerSilent, Reason
from adapters.manifest import WEIGHTS, About, Canary
from adapters.proving import Prover
from adapters.registry import AdapterRegistry
from survey_data.cultures import read_catalogue
from tests.adapters.loras import BASE_NAME, lora_tensors, write_lora
from tests.adapters.servers import AnsweringServer

CATALOGUE = read_catalogue()
N_QUESTIONS = 3


class Proofs:
    """A registry with one adapter that a server has, and what proves it."""

    def __init__(self, folder: Path, base: BaseModel) -> None:
        self.folder, self.base = folder, base
        self.registry = AdapterRegistry(folder / "registry")
        self.server = AnsweringServer()
        self.prover = self.prover_for(base)

    def prover_for(self, base: BaseModel) -> Prover:
        return Prover(
            self.registry, base, catalogue=CATALOGUE, canary_server=lambda url: self.server
        )

    def add(self, cultures: Sequence[str] = ("DEU",), canaries: tuple[Canary, ...] = ()) -> str:
        source = write_lora(self.folder / "source", lora_tensors(self.base))
        about = About(method="random", canaries=canaries)
        version = self.registry.add(
            source, base=self.base, max_rank=8, name="german", cultures=cultures, about=about
        ).version_name
        self.server.has[version] = self.registry.path(version)
        return version

    async def prove(self, version: str) -> None:
        await self.prover.prove(self.server, version)

    async def refused(self, version: str) -> Reason:
        with pytest.raises(AdapterRefused) as refused:
            await self.prove(version)
        return refused.value.reason


@pytest.fixture
def proofs(tmp_path: Path, base: BaseModel) -> Proofs:
    return Proofs(tmp_path, base)


async def test_the_first_time_every_canary_is_asked_and_kept(proofs: Proofs) -> None:
    version = proofs.add()

    await proofs.prove(version)

    kept = proofs.registry.canaries(version)
    # Plain, and as a German.
    assert len(kept) == 2 * N_QUESTIONS
    assert proofs.server.n_scored == {BASE_NAME: 2 * N_QUESTIONS, version: 2 * N_QUESTIONS}


async def test_after_that_one_canary_is_asked(proofs: Proofs) -> None:
    version = proofs.add()
    await proofs.prove(version)
    proofs.server.n_scored.clear()

    await proofs.prove(version)

    assert proofs.server.n_scored == {version: 1}


async def test_one_without_effect_is_refused_and_nothing_kept(proofs: Proofs) -> None:
    version = proofs.add()
    proofs.server.idle.add(version)

    assert await proofs.refused(version) is Reason.NO_EFFECT
    assert proofs.registry.canaries(version) == ()


async def test_another_effect_than_when_it_was_proven_is_refused(proofs: Proofs) -> None:
    version = proofs.add()
    await proofs.prove(version)
    proofs.server.turned = True

    assert await proofs.refused(version) is Reason.OTHER_EFFECT


@pytest.mark.parametrize("turned", [False, True])
async def test_its_publishers_canaries_are_asked_where_there_are_some(
    proofs: Proofs, turned: bool
) -> None:
    version = proofs.add()
    prompts = canary_prompts([CATALOGUE["JPN"]])[-2:]
    recorded = await measure(proofs.server, prompts, base_model=BASE_NAME, adapter=version)
    proofs.registry.remove(version)
    again = proofs.add(canaries=recorded)
    assert again == version
    proofs.server.turned = turned

    if turned:
        assert await proofs.refused(version) is Reason.OTHER_EFFECT
    else:
        await proofs.prove(version)
        assert proofs.registry.canaries(version) == recorded


async def test_a_culture_that_no_catalogue_knows_has_no_persona(proofs: Proofs) -> None:
    version = proofs.add(["DEU", "XXX"])

    await proofs.prove(version)

    assert len(proofs.registry.canaries(version)) == 2 * N_QUESTIONS


async def test_a_silent_server_proves_nothing(proofs: Proofs) -> None:
    version = proofs.add()
    proofs.server.is_down = True

    with pytest.raises(LoraServerSilent):
        await proofs.prove(version)
    assert proofs.registry.canaries(version) == ()


def test_the_files_of_a_sound_adapter_are_located(proofs: Proofs) -> None:
    version = proofs.add()

    assert proofs.prover.locate(version) == proofs.registry.path(version)


def test_what_is_altered_or_gone_is_not(proofs: Proofs) -> None:
    version = proofs.add()
    weights = proofs.registry.path(version) / WEIGHTS
    weights.chmod(0o644)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    with pytest.raises(AdapterRefused, match="hash"):
        proofs.prover.locate(version)
    with pytest.raises(AdapterUnknown):
        proofs.prover.locate("german@00000000")


def test_one_for_other_weights_of_the_model_is_not(proofs: Proofs, base: BaseModel) -> None:
    version = proofs.add()

    for changed in (replace(base, sha256="0" * 64), replace(base, name="llama")):
        with pytest.raises(AdapterRefused, match="base-model"):
            proofs.prover_for(changed).locate(version)
    # Where the weights are not at hand, the name has to do.
    located = proofs.prover_for(replace(base, sha256=None)).locate(version)
    assert located == proofs.registry.path(version)
