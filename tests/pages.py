"""The README and the pages of docs/: their commands, their links, and how a command is run."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
BIN = Path(sys.executable).parent
ADDRESS = "127.0.0.1:8000"
MAX_RUN_S = 3000.0
START_DEADLINE_S = 240.0
Variables = Mapping[str, str]
NONE: Variables = {}
CURL = ("curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "60")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """Something that a page tells its reader to run: a command, or a script in Python."""

    text: str
    is_python: bool = False

    @property
    def words(self) -> list[str]:
        """The words of a command."""
        return shlex.split(self.text.replace("\\\n", " "))


@dataclass(frozen=True)
class Page:
    """A page of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        """Where the page is in the repository."""
        return str(self.path.relative_to(REPOSITORY))

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """What stands outside its blocks of code."""
        return _BLOCK.sub("", self.text)

    @property
    def steps(self) -> list[Step]:
        """What its blocks of `sh` and `python` hold, in the page's order."""
        found = []
        for language, block in _BLOCK.findall(self.text):
            if language == "sh":
                found += [Step(command) for command in split_commands(block)]
            elif language == "python":
                found.append(Step(block, is_python=True))
        return found

    @property
    def links(self) -> list[str]:
        """What its links and pictures lead to, but for other sites."""
        return [link for link in _LINK.findall(self.prose) if "://" not in link]

    @property
    def anchors(self) -> set[str]:
        """The names of its headings in links."""
        return {anchor_of(heading) for heading in _HEADING.findall(self.prose)}


def split_commands(block: str) -> list[str]:
    """Return the commands of a block; one that goes on over lines is one command."""
    found, pending = [], ""
    for line in block.splitlines():
        pending += line.split("  #")[0].rstrip() + "\n"
        if pending.strip() and pending.count("'") % 2 == 0 and not line.endswith("\\"):
            found.append(pending.strip())
            pending = ""
    assert not pending.strip(), f"a command without an end: {pending}"
    return found


def anchor_of(heading: str) -> str:
    """Return the name of a heading in links, as GitHub and the site make it."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return re.sub(r"[ \-]+", "-", kept).strip("-")


def make(target: str, *arguments: str) -> list[str]:
    """Return the command that makes `target` in the environment of this run, set up or not."""
    stamps = [f"--assume-old={sys.prefix}/.stamp-{name}" for name in ("run", "dev")]
    return ["make", *stamps, target, f"VENV={sys.prefix}", *arguments]


def environment(variables: Variables) -> dict[str, str]:
    """Return the variables of this process, those of Milieu and make replaced by `variables`."""
    dropped = ("MILIEU_", "MAKE", "MFLAGS", "ARGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    # The tests' own, for what is kept of adapters and keys.
    data = {name: value for name, value in os.environ.items() if name == "MILIEU_DATA_FOLDER"}
    return {**kept, **data, "PATH": f"{BIN}:{kept['PATH']}", **variables}


def run(words: list[str], variables: Variables = NONE, *, cwd: Path = REPOSITORY) -> str:
    """Return what a command prints; it has to succeed."""
    done = subprocess.run(
        words, cwd=cwd, env=environment(variables), capture_output=True, text=True,
        timeout=MAX_RUN_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def make_serve(log: Path, variables: Variables) -> Iterator[str]:
    """`make serve`, on a free port; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with log.open("w") as output:
        process = subprocess.Popen(
            make("serve"), cwd=REPOSITORY, env=environment({**on_port(address), **variables}),
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while not is_ready(f"http://{address}/readyz"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def is_ready(url: str) -> bool:
    """Return whether `url` answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def on_port(address: str) -> Variables:
    """Return the setting for the port of `address`."""
    return {"MILIEU_PORT": address.rpartition(":")[2]}


def ask(step: Step, address: str, variables: Variables = NONE, *, cwd: Path = REPOSITORY) -> str:
    """Return what `curl`, `milieu` or a script prints when the service is at `address`."""
    step = Step(step.text.replace(ADDRESS, address), step.is_python)
    if step.is_python:
        return run([sys.executable, "-c", step.text], variables, cwd=cwd)
    words = step.words
    if words[0] == "curl":
        words[:1] = CURL
    return run(words, {**on_port(address), **variables}, cwd=cwd)
