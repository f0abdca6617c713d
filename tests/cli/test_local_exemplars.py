"""Looking exemplars up without a service loads nothing that only a service or training needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "transformers", "sentence_transformers", "fastapi", "matplotlib", "polars")


def test_exemplars_are_found_without_what_only_a_service_needs(cache_folder: Path) -> None:
    code = f"""
import sys
from app.settings import read_settings
from cli.service.local_exemplars import look_up_exemplars

found = look_up_exemplars(read_settings(), "How important is family?", "DE", k=3)
assert len(found.exemplars) == 3
print(*(name for name in {HEAVY} if name in sys.modules))
"""

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={"MILIEU_CACHE_FOLDER": str(cache_folder)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == ""
