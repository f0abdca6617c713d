"""A value as one line of JSON, whatever takes for the end of a line what comes after it."""

from __future__ import annotations

import json

# JSON may hold them as they are, but readers that split text at them, as `str.splitlines` and many
# HTTP clients do, would cut the line in two. All else that ends a line JSON escapes itself.
_LINE_ENDS = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})


def write_json_line(value: object) -> str:
    """Return `value` as JSON without a line end, neither in it nor after it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() else text.translate(_LINE_ENDS)
