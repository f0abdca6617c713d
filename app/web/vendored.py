"""The files that come from elsewhere: which, from where, and whether they still are what they were.

`python -m app.web.vendored` fetches them again, by npm, and says which are others than recorded.
To take a newer version, write it into `vendored.json`, run it, and put the hashes that it tells
into the file once you have looked at what changed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"


@dataclass(frozen=True, slots=True)
class Vendored:
    """A file of somebody else's.

    `file` is where it lies below `static`, `path` where in the package; `sha256` is in hex.
    """

    file: str
    package: str
    version: str
    path: str
    licence: str
    licence_file: str
    sha256: str


def read_vendored() -> tuple[Vendored, ...]:
    """Return all files that come from elsewhere."""
    rows = json.loads((FOLDER / "vendored.json").read_text(encoding="utf-8"))
    return tuple(Vendored(**row) for row in rows)


def hash_file(file: Path) -> str:
    """Return the sha256 of a file, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fetch(each: Vendored, folder: Path) -> bytes:
    """Return a file as its package has it; the package is put into `folder`.

    Raises:
        subprocess.CalledProcessError: npm cannot get it.
    """
    name = f"{each.package}@{each.version}"
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), name]
    packed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    with tarfile.open(folder / packed.splitlines()[-1]) as archive:
        found = archive.extractfile(f"package/{each.path}")
        assert found is not None  # a file, not a folder
        return found.read()


def main() -> int:
    """Fetch every file; return 1 where one is another than recorded."""
    n_others = 0
    with tempfile.TemporaryDirectory() as folder:
        for each in read_vendored():
            target = STATIC / each.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(fetch(each, Path(folder)))
            found = hash_file(target)
            n_others += found != each.sha256
            state = "as recorded" if found == each.sha256 else f"another: {found}"
            print(f"{each.file}  {each.package} {each.version}  {state}")
    return 1 if n_others else 0


if __name__ == "__main__":
    sys.exit(main())
