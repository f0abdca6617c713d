"""The vLLM child of the settings, and what a worker knows of the one that its parent started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.model_files import ModelFiles
from app.settings import Settings
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions, LoraOptions
from embedded_model.reader_files import RANK, READER_NAME


class ParentsVllm:
    """The vLLM child of the process that this worker is a child of."""

    def __init__(
        self, ask: Callable[[], Awaitable[tuple[str, str]]], n_restarts: Callable[[], int]
    ) -> None:
        """Take what waits for its address and key, and what tells how often it was restarted."""
        self._ask, self._n_restarts = ask, n_restarts
        self.url = self.api_key = ""

    async def start(self) -> None:
        """Wait until the parent has started it."""
        self.url, self.api_key = await self._ask()

    @property
    def n_restarts(self) -> int:
        """How often vLLM was started again since the parent started it first."""
        return self._n_restarts()


def make_local_vllm(settings: Settings, files: ModelFiles) -> LocalVllm | None:
    """Return the child that serves `files`, not yet started; None where servers are named."""
    of = settings.vllm
    if of.urls or files.folder is None:
        return None
    options = LocalVllmOptions(
        model_dir=files.folder,
        served_name=settings.model,
        dtype=files.dtype,
        temperature=files.temperature,
        n_threads=of.n_threads,
        max_model_len=of.max_model_len,
        kv_cache_gib=of.kv_cache_gib,
        log_file=settings.cache_folder / f"vllm-{settings.port}.log",
        start_deadline_s=of.start_deadline_s,
        lora=_make_loras(settings, files),
    )
    return LocalVllm(options)


def _make_loras(settings: Settings, files: ModelFiles) -> LoraOptions | None:
    """Return the room for adapters that the child needs, None where it has none to hold."""
    of = settings.vllm
    fixed = {} if files.reader is None else {READER_NAME: files.reader}
    if not of.takes_adapters:
        return LoraOptions(0, RANK, 0, fixed) if fixed else None
    rank = max(of.max_lora_rank, RANK) if fixed else of.max_lora_rank
    return LoraOptions(of.max_loras, rank, of.max_cpu_loras, fixed)
