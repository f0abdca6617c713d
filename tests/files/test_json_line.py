"""Whatever a value holds, it is one line for every reader of lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from files.json_line import write_json_line

REPOSITORY = Path(__file__).parents[2]
LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@given(st.dictionaries(st.text(), st.text() | st.text(alphabet=LINE_ENDS)))
def test_it_is_one_line_and_reads_as_the_value(value: dict[str, str]) -> None:
    line = write_json_line(value)

    assert len(line.splitlines()) == 1
    assert json.loads(line) == value


def test_characters_that_end_no_line_stay_as_they_are() -> None:
    assert write_json_line("Türkiye 日本") == '"Türkiye 日本"'


def test_nobody_else_frames_json_in_lines() -> None:
    framed = re.compile(r"json\.dumps\((?!.*indent).*(\+ \"\\n|\\n\\n)")
    modules = (
        path
        for package in ("app", "cli", "evaluation", "experiments", "adapters", "survey_data")
        for path in (REPOSITORY / package).rglob("*.py")
    )

    assert framed.search('f"data: {json.dumps(data)}\\n\\n"')
    assert not [path for path in modules if framed.search(path.read_text(encoding="utf-8"))]
