"""What is no JSON is one kind of error."""

from __future__ import annotations

import pytest

from files.json_text import load_json


def test_json_is_what_it_says() -> None:
    assert load_json(b'{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000]
)
def test_everything_else_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        load_json(text)
