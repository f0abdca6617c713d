"""Log lines can be read by people and programs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest

from app.logs import LineFormatter, request_id


def record_of(event: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("app", logging.INFO, __file__, 1, event, (), None)
    record.fields = fields
    return record


def test_a_line_is_key_value() -> None:
    line = LineFormatter(as_json=False).format(record_of("thing_done", n=3, ok=True, name="x"))

    at, *rest = line.split(" ")
    assert datetime.fromisoformat(at.removeprefix("at=")).tzinfo
    assert rest == ["level=info", "event=thing_done", "n=3", "ok=True", "name=x"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('"', '"\\""'),
        ("a\nlevel=error", '"a\\nlevel=error"'),
        ("a\rb", '"a\\rb"'),
        ("a\x1b[2Jb", '"a\\u001b[2Jb"'),
        ("a\u2028b", '"a\\u2028b"'),
        ("größer", "größer"),
    ],
)
def test_a_value_cannot_break_its_line(value: str, shown: str) -> None:
    line = LineFormatter(as_json=False).format(record_of("thing_done", value=value))

    assert line.endswith(f" value={shown}")


def test_a_line_is_json() -> None:
    line = LineFormatter(as_json=True).format(record_of("thing_done", n=3, path=sys))

    fields = json.loads(line)
    assert "\n" not in line
    assert fields["event"] == "thing_done"
    assert fields["n"] == 3
    assert fields["path"] == str(sys)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_has_request_id_and_error_on_one_line(as_json: bool) -> None:
    token = request_id.set("abc")
    try:
        raise KeyError("x")
    except KeyError:
        record = record_of("request_failed")
        record.exc_info = sys.exc_info()
        line = LineFormatter(as_json=as_json).format(record)
    finally:
        request_id.reset(token)

    assert "\n" not in line
    assert "abc" in line
    assert "Traceback" in line
    assert "request_id" not in LineFormatter(as_json=as_json).format(record_of("later"))
