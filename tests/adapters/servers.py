"""A server of the model in memory: takes adapters, and answers canaries by a hash."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

from adapters.errors import AdapterLoadFailed, LoraServerSilent
from adapters.manifest import CONFIG
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message
from tests.adapters.loras import BASE_NAME


class AnsweringServer:
    """`LoraServer` and `CanaryServer` in one.

    Attributes:
        has: the adapters that it has, by name.
        n_loads: how often each was loaded.
        n_scored: how many canaries each model was asked.
        refuses: names that it refuses to load.
        idle: names that it takes, and then answers as if it had not.
        turned: whether adapters answer otherwise than before.
        gate: loads wait until it is set.
    """

    def __init__(self, url: str = "http://a") -> None:
        self.url = url
        self.has: dict[str, Path] = {}
        self.n_loads: dict[str, int] = {}
        self.n_scored: dict[str, int] = {}
        self.refuses: set[str] = set()
        self.idle: set[str] = set()
        self.turned = self.is_down = False
        self.labels = LabelScheme.NUMBERS
        self.gate = asyncio.Event()
        self.gate.set()

    async def loaded(self) -> frozenset[str]:
        await self._answer()
        return frozenset(self.has)

    async def load(self, name: str, path: Path) -> None:
        await self._answer()
        self.n_loads[name] = self.n_loads.get(name, 0) + 1
        await self.gate.wait()
        if name in self.refuses or not (path / CONFIG).is_file():
            raise AdapterLoadFailed(name, reason="no such file")
        self.has[name] = path

    async def unload(self, name: str) -> None:
        await self._answer()
        self.has.pop(name, None)

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme:
        return self.labels

    async def score(
        self, model: str, messages: Sequence[Message], labels: Sequence[str]
    ) -> Sequence[float]:
        await self._answer()
        assert model == BASE_NAME or model in self.has
        self.n_scored[model] = self.n_scored.get(model, 0) + 1
        said = f"{messages}" if model in self.idle | {BASE_NAME} else f"{messages}|{model}"
        said += "|turned" if self.turned and model != BASE_NAME else ""
        return [-1.0 - _share(f"{said}|{label}") for label in labels]

    def restart(self) -> None:
        self.has.clear()
        self.is_down = False

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise LoraServerSilent(self.url, "refused")


def _share(text: str) -> float:
    return hashlib.sha256(text.encode()).digest()[0] / 255
