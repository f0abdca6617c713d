from __future__ import annotations

import hashlib
from pathlib import Path

from files.hashes import hash_file


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")

    assert hash_file(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()
