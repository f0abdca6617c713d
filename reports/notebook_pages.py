"""Notebooks as pages of the documentation's site: `python -m reports.notebook_pages docs/examples`.

It needs nothing but Python, as the site is built in an environment of its own.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]


def write_pages(folder: Path) -> list[Path]:
    """Write a page of Markdown beside each notebook of a folder, with its pictures; return them.

    A page has the notebook's texts, code and stored outputs, in their order.
    """
    pages = []
    for file in sorted(folder.glob("*.ipynb")):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        parts, heading, n_pictures = [], file.stem, 0
        for cell in cells:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(text)
                heading = _last_heading(text) or heading
                continue
            parts.append(f"```python\n{text}\n```")
            for shown in cell["outputs"]:
                if picture := shown.get("data", {}).get("image/png"):
                    n_pictures += 1
                    name = f"{file.stem}-{n_pictures}.png"
                    (folder / name).write_bytes(base64.b64decode(picture))
                    parts.append(f"![{heading}]({name})")
                elif printed := "".join(shown.get("text", "")):
                    parts.append(f"```text\n{printed.rstrip()}\n```")
        parts.insert(1, f"[The notebook]({file.name}) has the same, to run yourself.")
        page = file.with_suffix(".md")
        page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        pages.append(page)
    return pages


def _last_heading(text: str) -> str:
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    return headings[-1] if headings else ""


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
