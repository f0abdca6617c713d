"""An error that Milieu knows is one message, whatever of a file it quotes."""

from __future__ import annotations

import pytest

from cli.errors import MAX_MESSAGE_CHARS, explain_errors
from survey_data.errors import SurveyDataError


def say(message: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended, explain_errors():
        raise SurveyDataError(message)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_long_message_keeps_its_start_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    said = say(f"found {'x' * 300_000}, expected a short text", capsys)

    assert said.startswith("milieu: found xxx")
    assert said.endswith("x, expected a short text\n")
    assert len(said) < MAX_MESSAGE_CHARS + 20


def test_a_terminal_is_told_nothing_by_what_is_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    said = say("found '\x1b[2J\x00\u202e'\nexpected 'a'", capsys)

    assert said == "milieu: found '\\x1b[2J\\x00\\x202e'\nexpected 'a'\n"
