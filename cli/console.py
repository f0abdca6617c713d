"""Where the `milieu` command prints: its result to `out`, and what it says besides to `notes`."""

from __future__ import annotations

from rich.console import Console

# Questions and options may hold what rich would take for its markup.
out = Console(markup=False)
notes = Console(stderr=True)
