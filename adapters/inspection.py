"""Checks a folder with a LoRA adapter before any server sees it.

vLLM silently takes an adapter whose weights have wrong names or are cut short, and then answers as
the base model does. So everything that can be told from the files is told here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from adapters.base_model import AdapterBase
from adapters.errors import AdapterFault, AdapterRefused, ManifestInvalid
from adapters.manifest import (
    CARD,
    CONFIG,
    MANIFEST,
    TRAINING,
    WEIGHTS,
    AdapterManifest,
    read_manifest,
    version_of,
)
from adapters.peft_config import PeftConfig, read_peft_config
from adapters.weights_file import Header, find_zero_tensors, read_header
from files.hashes import hash_file

MAX_BYTES = 2 * 2**30
# The two texts are read whole; a manifest holds canaries.
MAX_FILE_BYTES = {CONFIG: 2**20, CARD: 2**20, TRAINING: 2**20, MANIFEST: 8 * 2**20}
FILES = (CONFIG, WEIGHTS, CARD, TRAINING, MANIFEST)
PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_PICKLED = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_N_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a sound adapter's files say.

    Attributes:
        rank: of every pair of matrices.
        alpha: numerator of the scaling factor.
        target_modules: names as the config lists them, sorted.
        modules: full names of the base model's modules that it changes, sorted.
        sha256: hash of every file but the manifest.
        published: the manifest that came with it, true of these files; None if none came.
    """

    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    modules: tuple[str, ...] = field(repr=False)
    sha256: Mapping[str, str]
    published: AdapterManifest | None

    @property
    def version(self) -> str:
        """The version that these files are."""
        return version_of(self.sha256)


def inspect(
    folder: Path, base: AdapterBase, *, max_rank: int, max_bytes: int = MAX_BYTES
) -> Inspection:
    """Return what is in `folder`, a sound LoRA adapter for `base` of at most `max_rank`.

    Raises:
        AdapterRefused: it is not sound; `reason` says why.
    """
    sizes = measure_files(folder, max_bytes=max_bytes)
    published = _read_published(folder) if MANIFEST in sizes else None
    sha256 = {name: hash_file(folder / name) for name in sorted(sizes) if name != MANIFEST}
    if published is not None:
        check_hashes(published, sha256)
    config = read_peft_config(folder / CONFIG)
    _check_base(config, published, base=base)
    if config.r > max_rank:
        raise AdapterRefused(
            AdapterFault.RANK,
            found=f"rank {config.r}",
            expected=f"at most {max_rank}",
            remedy="Start the server with a higher LoRA rank, or train with a lower one.",
        )
    header = read_header(folder / WEIGHTS)
    modules = _find_modules(config, base=base)
    _check_keys(header, modules=modules)
    _check_shapes(header, base=base, modules=modules, rank=config.r)
    _check_effect(find_zero_tensors(folder / WEIGHTS, header), modules=modules)
    return Inspection(
        config.r,
        config.lora_alpha,
        tuple(sorted(config.target_modules)),
        modules,
        sha256,
        published,
    )


def measure_files(folder: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, int]:
    """Return the size in bytes of every file of an adapter's folder, by name.

    Raises:
        AdapterRefused: `FOLDER`, it is not a folder; `LINK`, it is a link or holds one; `PICKLED`,
            a file may run code when it is loaded; `FILE_UNEXPECTED`, something else is in it;
            `FILE_MISSING`, config or weights are missing; `OVERSIZED`, a file or all of them
            are too large.
    """
    if folder.is_symlink():
        raise _refuse_link(folder.name)
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    except OSError as exc:
        raise AdapterRefused(
            AdapterFault.FOLDER,
            found=f"{folder}, which cannot be listed ({exc})",
            expected="a folder",
        ) from exc
    for name, status in sorted(found.items()):
        _check_place(name, status)
    for name in (CONFIG, WEIGHTS):
        if name not in found:
            raise AdapterRefused(
                AdapterFault.FILE_MISSING,
                found=f"no {name}",
                expected="a LoRA adapter as peft saves it",
                remedy="Name the folder that it was saved to.",
            )
    sizes = {name: status.st_size for name, status in found.items()}
    for name, limit in MAX_FILE_BYTES.items():
        check_size(name, sizes.get(name, 0), limit=limit)
    check_size("all files", sum(sizes.values()), limit=max_bytes)
    return sizes


def check_size(name: str, n_bytes: int, *, limit: int) -> None:
    """Check the size of a file, or of several, against a limit.

    Raises:
        AdapterRefused: `OVERSIZED`.
    """
    if n_bytes > limit:
        raise AdapterRefused(
            AdapterFault.OVERSIZED,
            found=f"{n_bytes} bytes of {name}",
            expected=f"at most {limit}",
            remedy="See that this is an adapter, and not a whole model.",
        )


def check_hashes(manifest: AdapterManifest, sha256: Mapping[str, str]) -> None:
    """Check the hashes of an adapter's files against those that its manifest records.

    Raises:
        AdapterRefused: `OUTSIDE`, the manifest names a path; `HASH`, a file is altered, missing or
            not recorded, or the version is not that of the files.
    """
    for name in manifest.sha256:
        if Path(name).name != name or name in {"", ".", ".."} or "\\" in name:
            raise AdapterRefused(
                AdapterFault.OUTSIDE,
                found=f"the path '{name[:80]}' in {MANIFEST}",
                expected="names of files beside it",
            )
    for name in sorted({*manifest.sha256, *sha256}):
        recorded, found = manifest.sha256.get(name, "nothing"), sha256.get(name, "no such file")
        if found != recorded:
            raise _refuse_hash(f"{found} of {name}", recorded)
    if manifest.version != (version := version_of(sha256)):
        raise _refuse_hash(f"version {version} of the files", manifest.version)


def _check_place(name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _refuse_link(name)
    if Path(name).suffix.lower() in _PICKLED:
        raise AdapterRefused(
            AdapterFault.PICKLED,
            found=f"{name[:80]}, which may hold pickled code",
            expected="weights as safetensors only",
            remedy="Save the adapter again as safetensors, and delete that file.",
        )
    if not stat.S_ISREG(status.st_mode) or name not in FILES:
        raise AdapterRefused(
            AdapterFault.FILE_UNEXPECTED,
            found=f"{name[:80]!r}",
            expected=f"the files {', '.join(FILES)} only",
            remedy="Copy those to a folder of their own.",
        )


def _read_published(folder: Path) -> AdapterManifest:
    try:
        return read_manifest(folder / MANIFEST)
    except ManifestInvalid as exc:
        raise AdapterRefused(
            AdapterFault.MANIFEST,
            found=f"an invalid manifest ({exc})",
            expected="that of an adapter",
        ) from exc


def _check_base(
    config: PeftConfig, published: AdapterManifest | None, *, base: AdapterBase
) -> None:
    """Check that the adapter is for `base`: by the weights' hash, else by what it is called."""
    named = config.base_model_name_or_path or "no base model"
    if published is not None:
        named = published.base_model
        if published.base_sha256 is not None and base.sha256 is not None:
            if published.base_sha256 == base.sha256:
                return
            named += f" with the weights {published.base_sha256}"
    if not base.is_named(named):
        raise AdapterRefused(
            AdapterFault.BASE_MODEL,
            found=f"an adapter for {named[:200]}",
            expected=f"one for {base.name}"
            + ("" if base.sha256 is None else f" with the weights {base.sha256}"),
            remedy="Train it for that model; if it was, set base_model_name_or_path in its "
            f"{CONFIG} to '{base.name}'.",
        )


def _find_modules(config: PeftConfig, *, base: AdapterBase) -> tuple[str, ...]:
    """Return the modules that the targets name, by peft's rule: the whole name or its end."""
    targets = set(config.target_modules)
    ends = {
        module: set(accumulate(reversed(module.split(".")), lambda end, part: f"{part}.{end}"))
        for module in base.shapes
    }
    if unmet := sorted(targets.difference(*ends.values())):
        raise AdapterRefused(
            AdapterFault.KEYS_MISSING,
            found=f"the target {_list_names(unmet)}, no linear module of {base.name}",
            expected=f"some of {', '.join(sorted({m.rpartition('.')[2] for m in base.shapes}))}",
            remedy="Train on linear layers only; embeddings and output head are not served.",
        )
    return tuple(sorted(module for module, of in ends.items() if targets & of))


def _check_keys(header: Header, *, modules: tuple[str, ...]) -> None:
    expected = {f"{PREFIX}{module}{end}" for module in modules for end in (_A, _B)}
    if unexpected := sorted(header.tensors.keys() - expected):
        raise AdapterRefused(
            AdapterFault.KEYS_UNEXPECTED,
            found=f"{len(unexpected)} weights such as {_list_names(unexpected)}",
            expected=f"only such as {min(expected)}",
            remedy="The server would leave them out. Save the adapter again with peft.",
        )
    if missing := sorted(expected - header.tensors.keys()):
        raise AdapterRefused(
            AdapterFault.KEYS_MISSING,
            found=f"no {_list_names(missing)}, of {len(missing)} that are missing",
            expected="a pair of weights for every module that the config targets",
            remedy="The server would answer there as the base does. Save the adapter again.",
        )


def _check_shapes(
    header: Header, *, base: AdapterBase, modules: tuple[str, ...], rank: int
) -> None:
    for module in modules:
        n_out, n_in = base.shapes[module]
        for end, expected in ((_A, (rank, n_in)), (_B, (n_out, rank))):
            found = header.tensors[f"{PREFIX}{module}{end}"].shape
            if found != expected:
                raise AdapterRefused(
                    AdapterFault.SHAPE,
                    found=f"{found} for {module}{end}",
                    expected=f"{expected}, by rank {rank} and the shape of {base.name}",
                    remedy="Take the adapter that was trained for this base model.",
                )


def _check_effect(zero: frozenset[str], *, modules: tuple[str, ...]) -> None:
    def is_zero(module: str) -> bool:
        return f"{PREFIX}{module}{_A}" in zero or f"{PREFIX}{module}{_B}" in zero

    if all(map(is_zero, modules)):
        raise AdapterRefused(
            AdapterFault.NO_EFFECT,
            found=f"nothing but zeros on one side of all {len(modules)} pairs",
            expected="trained weights",
            remedy="This is how an untrained adapter looks; train it first.",
        )


def _refuse_link(name: str) -> AdapterRefused:
    return AdapterRefused(
        AdapterFault.LINK,
        found=f"the link {name[:80]!r}",
        expected="files that lie in the folder themselves",
        remedy="Copy what it points to.",
    )


def _refuse_hash(found: str, expected: str) -> AdapterRefused:
    remedy = "Copy the adapter again from where it was made."
    return AdapterRefused(AdapterFault.HASH, found=found, expected=expected, remedy=remedy)


def _list_names(names: list[str]) -> str:
    return ", ".join(f"'{name[:120]}'" for name in names[:_N_SHOWN])
