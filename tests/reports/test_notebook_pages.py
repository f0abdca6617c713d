"""A notebook as a page has all that the notebook shows."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

from reports.notebook_pages import write_pages

CELLS = [
    {"cell_type": "markdown", "source": ["# Title\n", "Text."]},
    {"cell_type": "markdown", "source": ["## A part"]},
    {
        "cell_type": "code",
        "source": ["print(1)\n", "show()"],
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
            {
                "output_type": "display_data",
                "data": {"image/png": b64encode(b"pixels").decode(), "text/plain": ["<Figure>"]},
            },
        ],
    },
]
PAGE = """\
# Title
Text.

[The notebook](look.ipynb) has the same, to run yourself.

## A part

```python
print(1)
show()
```

```text
1
```

![A part](look-1.png)
"""


def test_a_page_has_texts_code_and_what_was_shown(tmp_path: Path) -> None:
    (tmp_path / "look.ipynb").write_text(json.dumps({"cells": CELLS}), encoding="utf-8")

    [page] = write_pages(tmp_path)

    assert page.read_text(encoding="utf-8") == PAGE
    assert (tmp_path / "look-1.png").read_bytes() == b"pixels"
