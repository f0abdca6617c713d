"""What parent and worker tell each other."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from app.settings import Settings

# A worker that has said nothing for so long hangs, and is killed.
SILENT_S = 30.0
BEAT_S = 1.0


class News(NamedTuple):
    """What a worker is told, whenever something of it changes.

    `vllm_url` and `vllm_key` are empty until the child of the parent runs.
    """

    vllm_url: str = ""
    vllm_key: str = ""
    n_vllm_restarts: int = 0
    n_worker_restarts: int = 0


class Said(StrEnum):
    """What a worker says of itself."""

    READY = "ready"
    ALIVE = "alive"
    FAILED = "failed"


class Report(NamedTuple):
    """What a worker says: where it is ready how to ask it, where it failed why."""

    said: Said
    text: str = ""


@dataclass(frozen=True)
class WorkerTerms:
    """What a worker is started with.

    Attributes:
        settings: those of the service, with the port that it has.
        listener: the socket of all workers.
        pipe: where it reads `News` and sends `Report`s; it ends with the parent.
        folder: what the workers share, see `app.state.shared`.
        has_vllm: whether the parent has a vLLM child.
    """

    settings: Settings
    listener: socket.socket
    pipe: Connection
    folder: Path
    has_vllm: bool

    @property
    def metrics_folder(self) -> Path:
        """Where each worker's metrics are."""
        return find_metrics_folder(self.folder)


def find_metrics_folder(folder: Path) -> Path:
    """Return where in the folder of a service its workers' metrics are."""
    return folder / "metrics"
