"""A batch on a Ray cluster: each worker of Ray Data answers by a service of its own."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from app.api.schemas.batch import BatchLine
from app.errors import OptionInvalid, SettingsInvalid
from app.logs import configure_logging
from app.settings import Settings, read_settings
from cli.batch.own_service import own_service
from cli.service_connection import connect

# Answers that a worker gives in one piece: what is lost at most where it ends, and is asked again.
N_AT_ONCE = 32
# A worker with the embedded model beside it.
EMBEDDED_BYTES = 5 * 2**30


def check_ray(*, url: str | None) -> None:
    """Return if a batch can be answered on Ray.

    Raises:
        OptionInvalid: Ray is not installed, or a service is named that is not asked then.
    """
    if url is not None:
        raise OptionInvalid("--url", url, "none beside --ray, whose workers ask no running service")
    if find_spec("ray") is None:
        install = "ray, which is not installed (pip install 'milieu[ray]'), or no --ray"
        raise OptionInvalid("--ray", "true", install)


def worker_settings() -> Settings:
    """Return the settings of a worker: those of its environment, without a store of one process.

    Raises:
        SettingsInvalid: as of `read_settings`.
    """
    settings = read_settings()
    of = settings.experiments
    if of.is_off or of.postgres_url is not None:
        return settings
    without = of.model_copy(update={"store": type(of.store)("none")})
    return settings.model_copy(update={"experiments": without})


class BatchWorker:
    """Answers bodies of `/answer` in a process of Ray's, by a service of its own."""

    def __init__(self) -> None:
        """Start the service."""
        settings = worker_settings()
        configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
        # Ends with the process, which Ray ends when nothing is left to do.
        self._stack = ExitStack()
        own = self._stack.enter_context(own_service(settings))
        self._milieu = self._stack.enter_context(connect(own, url=None))

    def __call__(self, asked: dict[str, Any]) -> dict[str, list[str]]:
        """Return `digest` and `line` for each `digest` and `body`, in the order they are done."""
        digests = [str(each) for each in asked["digest"]]
        results = self._milieu.batch([json.loads(str(each)) for each in asked["body"]])
        done = [(digests[result.index], result.model_dump_json()) for result in results]
        return {"digest": [digest for digest, _ in done], "line": [line for _, line in done]}


def answer_on_ray(missing: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, BatchLine]]:
    """Yield the digest of each body and what came of it, in the order they are done.

    Raises:
        SettingsInvalid: as of `read_settings`; or the workers cannot start.
    """
    # Ray would report how it is used; a cluster that somebody else started is theirs to set.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    settings = worker_settings()
    ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = [{"digest": key, "body": json.dumps(dict(body))} for key, body in missing.items()]
    n_batches = -(-len(rows) // N_AT_ONCE)
    needs: dict[str, Any] = {"num_cpus": 1}
    if not settings.vllm.urls:
        needs = {"num_cpus": 1 + settings.vllm.n_threads, "memory": EMBEDDED_BYTES}
    n_fit = max(1, int(ray.cluster_resources().get("CPU", 1) // needs["num_cpus"]))
    answered = ray.data.from_items(rows, override_num_blocks=n_batches).map_batches(
        BatchWorker,
        batch_size=N_AT_ONCE,
        concurrency=(1, max(1, min(n_fit, n_batches))),
        **needs,
    )
    try:
        for row in answered.iter_rows():
            yield str(row["digest"]), BatchLine.model_validate_json(row["line"])
    except ray.exceptions.RayError as exc:
        raise SettingsInvalid(f"the workers on Ray could not answer: {exc}") from exc
