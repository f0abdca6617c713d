"""The base model of the settings on disk: the embedded one, unpacked when it is first needed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from app.settings import Settings
from embedded_model.manifest import MANIFEST
from embedded_model.reader_files import MANIFEST as READER_MANIFEST
from embedded_model.reader_files import READER_NAME, check_reader
from embedded_model.unpack import ensure_unpacked
from files.hashes import hash_file


class ModelFiles(NamedTuple):
    """Where the base model is, and how it is computed.

    Attributes:
        folder: of its files; None where only the servers of the settings have them.
        dtype: that vLLM computes in.
        is_embedded: whether it is the embedded model, whose folder has been checked.
        reader_name: by which the adapter is served that reads what prompts tell of a people, None
            without one.
        reader: its folder, None where the servers have it.
    """

    folder: Path | None
    dtype: str
    is_embedded: bool = False
    reader_name: str | None = None
    reader: Path | None = None

    @property
    def temperature(self) -> float | None:
        """That of a reply whose client names none; None as the model's generation config says.

        So small a model rambles where its replies are sampled.
        """
        return 0.0 if self.is_embedded else None

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of every file of the model, and of its reader's manifest.

        Of the embedded model, the manifest's alone: that has the others', which were checked.
        """
        files = [] if self.folder is None else [f for f in self.folder.iterdir() if f.is_file()]
        if self.is_embedded:
            files = [file for file in files if file.name == MANIFEST]
        found = {file.name: hash_file(file) for file in files}
        if self.reader is not None:
            found["reader"] = hash_file(self.reader / READER_MANIFEST)
        return found


def prepare_model_files(settings: Settings) -> ModelFiles:
    """Return the base model of the settings; the embedded one is unpacked if it is not yet.

    Raises:
        EmbeddedModelError: the embedded model cannot be had, or its files were altered.
    """
    of = settings.vllm
    if not of.is_embedded:
        return ModelFiles(of.model_path, of.dtype, reader_name=of.named_reader)
    folder = ensure_unpacked(settings.models_folder)
    # What it replies in bfloat16 is every third time something else.
    dtype = "float32" if of.dtype == "auto" else of.dtype
    files = ModelFiles(folder, dtype, is_embedded=True)
    if not settings.uses_reader:
        return files
    return files._replace(reader_name=READER_NAME, reader=check_reader())
