"""Help of every command: it says something of each option, and imports nothing that costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli.main import Milieu, cli

ROOT = Path(__file__).parents[2]
HEAVY = (
    "aiohttp",
    "app.settings",
    "asyncio",
    "faiss",
    "fastapi",
    "httpx2",
    "jinja2",
    "matplotlib",
    "milieu_client",
    "numpy",
    "polars",
    "pydantic",
    "pydantic_settings",
    "rich",
    "scipy",
    "torch",
    "transformers",
    "uvicorn",
    "yaml",
)
# Runs every command's help in one process, and says after which of them something heavy was there.
PROBE = """
import contextlib, io, json, sys
from cli.main import main
commands, heavy, found = json.load(sys.stdin), {}, set()
for command in commands["commands"]:
    sys.argv = ["milieu", *command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    now = set(commands["heavy"]) & set(sys.modules)
    if now - found:
        heavy[" ".join(command)] = sorted(now - found)
    found |= now
print(json.dumps(heavy))
"""


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from walk(command.get_command(None, name), (*path, name))


COMMANDS = dict(walk(get_command(cli)))
NAMES = [" ".join(path) for path in COMMANDS]


def test_no_help_imports_what_costs() -> None:
    asked = {"commands": list(COMMANDS), "heavy": HEAVY}
    result = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=60.0,
    )

    assert json.loads(result.stdout) == {}


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_a_command_and_each_of_its_options_is_for(name: str) -> None:
    command = COMMANDS[tuple(name.split())]
    result = CliRunner().invoke(cli, [*name.split(), "--help"])

    assert result.exit_code == 0
    assert command.help
    assert [option.name for option in command.params if not option.help] == []


@pytest.mark.parametrize("name", list(Milieu.lazy))
def test_the_line_of_a_command_is_the_first_of_its_help(name: str) -> None:
    line = Milieu.lazy[name].help

    assert COMMANDS[(name,)].help.partition("\n\n")[0].replace("\n", " ") == line


def test_a_mistyped_command_is_told_its_like() -> None:
    result = CliRunner().invoke(cli, ["evalute"])

    assert result.exit_code == 2
    assert "Did you mean 'evaluate'?" in result.stderr
