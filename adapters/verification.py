"""Verify adapters on a server: in full the first time, by one canary at each later load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from adapters.base_model import AdapterBase
from adapters.canary import (
    TOLERANCE_NAT,
    CanaryServer,
    choose_prompts,
    list_prompts,
    measure,
    measure_difference_nat,
)
from adapters.errors import AdapterFault, AdapterRefused
from adapters.manifest import AdapterManifest, Canary
from adapters.registry import AdapterRegistry
from adapters.replica import LoraServer
from survey_data.cultures import CultureCatalogue


class Verifier:
    """Checks an adapter's files before a server loads it, and its answers after.

    A version is verified once, by all canaries; what was measured is kept in the registry. When it
    is loaded again, on this server or another, the one canary that it changed most is asked again.
    """

    def __init__(
        self,
        registry: AdapterRegistry,
        base: AdapterBase,
        *,
        catalogue: CultureCatalogue,
        canary_server: Callable[[str], CanaryServer],
    ) -> None:
        """Verify adapters of `registry` for `base`; `canary_server` gives the server at a URL."""
        self._registry, self._base = registry, base
        self._catalogue, self._canary_server = catalogue, canary_server

    def locate(self, version_name: str) -> Path:
        """Return the folder of an adapter whose files are as they were admitted. Reads them all.

        Raises:
            AdapterUnknown: there is no such adapter.
            AdapterRefused: a file is altered, or it was made for another base model.
            RegistryInvalid: its manifest is not as it was written.
        """
        try:
            self.check_base(self._registry.verify(version_name))
        except OSError as exc:
            raise AdapterRefused(
                AdapterFault.FILE_MISSING,
                found=f"a file of {version_name} that cannot be read ({exc.strerror})",
                expected="the files that were added",
                remedy="Remove the adapter, and add it again.",
            ) from exc
        return self._registry.path(version_name)

    def check_base(self, manifest: AdapterManifest) -> None:
        """Raise AdapterRefused if an adapter was admitted for a model other than the served one."""
        base, made_for = self._base, manifest.base_sha256
        if not base.is_named(manifest.base_model):
            raise _refuse_base(f"an adapter of '{manifest.base_model}'", f"one of '{base.name}'")
        if made_for is not None and base.sha256 is not None and made_for != base.sha256:
            raise _refuse_base(
                f"an adapter of a '{manifest.base_model}' with weights {made_for[:8]}",
                f"one of the weights {base.sha256[:8]}",
            )

    async def verify(self, server: LoraServer, version_name: str) -> None:
        """Ask `server`, which has loaded the adapter, and check what it answers.

        Raises:
            AdapterRefused: it has no effect, or one other than recorded.
            AdapterUnknown, RegistryInvalid, RegistryBusy: as the registry does.
        """
        asked = self._canary_server(server.url)
        kept = await asyncio.to_thread(self._registry.canaries, version_name)
        if kept:
            await _ask_again(asked, version_name, kept)
            return
        manifest = await asyncio.to_thread(self._registry.get, version_name)
        # A manifest that came with an adapter may name a culture that nobody knows.
        cultures = [culture for culture in self._catalogue if culture.code in manifest.cultures]
        prompts = list_prompts(manifest.about.canaries) or await choose_prompts(asked, cultures)
        found = await measure(asked, prompts, base_model=self._base.name, adapter=version_name)
        await asyncio.to_thread(self._registry.record_canaries, version_name, found)


async def _ask_again(server: CanaryServer, version_name: str, kept: Sequence[Canary]) -> None:
    strongest = max(
        kept, key=lambda c: measure_difference_nat([c.base_logprobs], [c.adapter_logprobs])
    )
    answered = await server.score(version_name, strongest.messages, strongest.labels)
    off_nat = measure_difference_nat([answered], [strongest.adapter_logprobs])
    if not off_nat <= TOLERANCE_NAT:
        raise AdapterRefused(
            AdapterFault.OTHER_EFFECT,
            found=f"an answer to a canary {off_nat:.3f} nat off what was measured when "
            f"{version_name} was verified",
            expected=f"at most {TOLERANCE_NAT:g}",
            remedy="See whether the served base model is still the same.",
        )


def _refuse_base(found: str, expected: str) -> AdapterRefused:
    remedy = "Serve the model that it was made for, or add an adapter that was made for this one."
    return AdapterRefused(AdapterFault.BASE_MODEL, found=found, expected=expected, remedy=remedy)
