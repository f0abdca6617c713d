"""The notebooks of docs/examples/, run as a reader runs them.

`python -m tests.notebooks` runs them beside `make serve` and stores what they show.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.pages import ADDRESS, DOCS, environment

NOTEBOOKS = sorted((DOCS / "examples").glob("*.ipynb"))
# Where a notebook starts a service of its own.
SECOND_ADDRESS = "127.0.0.1:8001"
MAX_CELL_S = 120
JsonObject = dict[str, Any]
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def run_notebook(
    path: Path, address: str, variables: Mapping[str, str] | None = None
) -> list[JsonObject]:
    """Return the cells of a notebook after a run beside the service at `address`."""
    notebook = nbformat.read(path, as_version=4)
    second = f"127.0.0.1:{find_free_port()}"
    for cell in notebook.cells:
        moved = cell.source.replace(ADDRESS, address).replace(SECOND_ADDRESS, second)
        port = second.rpartition(":")[2]
        cell.source = moved.replace('"MILIEU_PORT": "8001"', f'"MILIEU_PORT": "{port}"')
    client = NotebookClient(notebook, timeout=MAX_CELL_S, record_timing=False)
    client.execute(env=environment(variables or {}))
    cells: list[JsonObject] = notebook.cells
    return cells


def find_free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def list_texts(cells: list[JsonObject]) -> list[str]:
    """Return what each cell of code printed."""
    return [
        "".join(shown["text"] for shown in cell["outputs"] if shown["output_type"] == "stream")
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def list_pictures(cells: list[JsonObject]) -> list[str]:
    """Return the pictures that the cells show: PNG, in base64."""
    return [
        shown["data"]["image/png"]
        for cell in cells
        if cell["cell_type"] == "code"
        for shown in cell["outputs"]
        if "image/png" in shown.get("data", {})
    ]


def split_numbers(text: str) -> tuple[str, list[float]]:
    """Return a text without its numbers, and the numbers."""
    return _NUMBER.sub("#", text), [float(number) for number in _NUMBER.findall(text)]


def read_cells(path: Path) -> list[JsonObject]:
    """Return the cells of a notebook as they are stored."""
    cells: list[JsonObject] = nbformat.read(path, as_version=4).cells
    return cells


def store_outputs(path: Path, ran: list[JsonObject]) -> None:
    """Write what a run showed into the notebook, whose addresses stay."""
    notebook = nbformat.read(path, as_version=4)
    for cell, done in zip(notebook.cells, ran, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = done["outputs"], done["execution_count"]
    nbformat.write(notebook, path)


def main() -> Iterator[str]:
    """Run every notebook beside the service at the usual address, and store what it shows."""
    for path in NOTEBOOKS:
        store_outputs(path, run_notebook(path, ADDRESS))
        yield path.name


if __name__ == "__main__":
    print(*main(), sep="\n")
