"""Every command of the README, run as it stands against the real service and the real vLLM.

What starts containers and what names somebody else's servers stands in `text` blocks, which are
not run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.pages import BIN, REPOSITORY, Page, Step, ask, is_ready, make, run

README = Page(REPOSITORY / "README.md")
MAX_WORDS = 1_200
# It would start this very test run.
ONLY_PLANNED = "make test"

ON_VLLM = [pytest.mark.vllm, pytest.mark.timeout(300)]


def steps(*programs: str) -> list[Step]:
    return [step for step in README.steps if not step.is_python and step.words[0] in programs]


def find_script(package: str) -> Step:
    """The one script that imports `package`."""
    (script,) = (s for s in README.steps if s.is_python and f"from {package} import" in s.text)
    return script


def test_it_is_short() -> None:
    assert len(README.text.split()) <= MAX_WORDS


def test_it_has_commands_of_every_kind() -> None:
    kinds = {"python" if step.is_python else step.words[0] for step in README.steps}

    assert kinds == {"make", "curl", "milieu", "python"}


class TestCommands:
    pytestmark = ON_VLLM

    @pytest.mark.parametrize("step", steps("curl", "milieu"), ids=lambda step: step.text[:40])
    def test_curl_and_milieu(self, step: Step, made_service: str, tmp_path: Path) -> None:
        shown = ask(step, made_service, {"MILIEU_CACHE_FOLDER": str(tmp_path)})

        assert shown.strip()
        if step.words[0] == "curl" and "/answer" in step.text:
            answer = json.loads(shown)
            assert answer["answer"]
            assert answer["people"] or answer["model"]
            total = sum(share["share"] for share in answer["shares"])
            assert total == pytest.approx(1.0, abs=0.001)
        elif step.words[0] == "curl":
            assert shown.rstrip().endswith("data: [DONE]")

    def test_the_answer_is_as_shown(self, made_service: str) -> None:
        answer = json.loads(ask(steps("curl")[0], made_service))

        assert f'"answer": "{answer["answer"]}"' in README.text
        assert f'"options_from": "{answer["options_from"]}"' in README.text
        assert f'"source": "{answer["source"]}"' in README.text
        assert f'"n_respondents": {answer["people"]["n_respondents"]}' in README.text
        for share in answer["shares"]:
            assert f'"share": {share["share"]}' in README.text
            assert f'"low": {share["interval"]["low"]}' in README.text

    def test_the_client(self, made_service: str) -> None:
        script = find_script("milieu_client")

        lines = ask(script, made_service).splitlines()

        (shown,) = re.findall(r"answer\.answer\)  # (.+) …", script.text)
        assert lines[0] == shown
        assert [line.split()[:2] for line in lines[1:]] == [
            ["Nigeria", "survey"],
            ["Japan", "transfer"],
        ]

    def test_the_chat_client(self, made_service: str) -> None:
        script = find_script("openai")

        reply, questions = ask(script, made_service).strip().rsplit("\n", 1)

        (shown,) = re.findall(r"message\.content\)  # … (.+)", script.text)
        assert reply.endswith(shown)
        assert "police" in questions

    @pytest.mark.parametrize("step", steps("make"), ids=lambda step: step.text)
    def test_make(self, step: Step, made_service: str) -> None:
        target = step.words[1]
        if step.text == ONLY_PLANNED:
            assert str(BIN) in run(make(target, "--dry-run"))
        else:
            # The fixture has run it, and it answers.
            assert target == "serve"
            assert is_ready(f"http://{made_service}/livez")
