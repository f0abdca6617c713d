"""docs/lm-eval.md: its commands, run as they stand against the real service, and the comparison."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml
from rich.console import Console

from app.settings import EMBEDDED_MODEL
from benchmarks.lm_eval.compare import (
    Asked,
    Difference,
    RunUnreadable,
    compare,
    read_scores,
    show,
)
from embedded_model.reader_files import READER_NAME
from tests.app.service import counted, served, settings_for
from tests.conftest import ServedVllm

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs" / "lm-eval.md").read_text(encoding="utf-8")
TASK_FOLDER = REPOSITORY / "benchmarks" / "lm_eval"
TASK = yaml.safe_load((TASK_FOLDER / "general.yaml").read_text(encoding="utf-8"))
QUESTIONS = [
    json.loads(line)
    for line in (TASK_FOLDER / "general.jsonl").read_text(encoding="utf-8").splitlines()
]
ADDRESS = "http://127.0.0.1:8000"
OUTPUTS = "build/lm-eval"
LETTER = "exact_match,letter"

# Runs in lm-eval's process before anything else: writes down where it connects to, and refuses what
# is not loopback.
GUARD = """
import os, sys

def watch(event, args):
    if event not in ("socket.connect", "socket.getaddrinfo"):
        return
    host = args[0] if event == "socket.getaddrinfo" else args[1]
    host = host[0] if isinstance(host, tuple) else host
    with open(os.environ["CONNECTIONS"], "a") as log:
        log.write(f"{host}\\n")
    if host not in ("127.0.0.1", "localhost"):
        raise OSError(f"{host} is not loopback")

sys.addaudithook(watch)
"""


def commands() -> list[str]:
    """The page's sh blocks, each of them one command."""
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)]


class Run(NamedTuple):
    """What one lm_eval command left behind."""

    results: dict[str, Any]
    samples: list[dict[str, Any]]
    n_steered: float
    n_unsteered: float


class Runs(NamedTuple):
    """The page's commands after one another: lm_eval without and with a culture, and the rest."""

    without: Run
    with_culture: Run
    compared: str
    counters: str
    connections: set[str]


@pytest.fixture(scope="module")
def service(real_vllm: ServedVllm, cache_folder: Path) -> Iterator[str]:
    vllm = {
        "urls": (real_vllm.url,),
        "model": real_vllm.model,
        "api_key": real_vllm.api_key,
        "reader": READER_NAME,
    }
    with served(settings_for(real_vllm.url, cache_folder, vllm=vllm)) as url:
        yield url


@pytest.fixture(scope="module")
def runs(service: str, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("lm-eval")
    (folder / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    connections = folder / "connections.txt"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MILIEU_", "HF_", "OPENAI_"))}
    environment = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "PYTHONPATH": str(folder),
        "HF_HOME": str(folder / "hf"),
        "CONNECTIONS": str(connections),
        # Progress bars of a pipe are noise in a failure's message.
        "TQDM_DISABLE": "1",
    }

    def run(command: str) -> str:
        moved = command.replace(ADDRESS, service).replace(OUTPUTS, str(folder))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", moved], cwd=REPOSITORY, env=environment,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{moved}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def lm_eval(command: str, name: str) -> Run:
        before = counters(service)
        run(command)
        after = counters(service)
        (results,) = (folder / name).rglob("results_*.json")
        (samples,) = (folder / name).rglob("samples_*.jsonl")
        return Run(
            json.loads(results.read_text(encoding="utf-8")),
            [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()],
            n_steered=after[0] - before[0],
            n_unsteered=after[1] - before[1],
        )

    without, with_culture, compared, shown = commands()
    return Runs(
        lm_eval(without, "without"),
        lm_eval(with_culture, "with"),
        run(compared),
        run(shown),
        set(connections.read_text(encoding="utf-8").splitlines()),
    )


def counters(url: str) -> tuple[float, float]:
    """How many replies were steered so far, and how many were not."""
    text = httpx.get(f"{url}/metrics").text
    steered, unsteered = (
        counted(text, "milieu_answers_total", steered=value) for value in ("true", "false")
    )
    return steered, unsteered


@pytest.mark.deep
@pytest.mark.vllm
@pytest.mark.timeout(600)
class TestCommands:
    @pytest.mark.parametrize("name", ["without", "with_culture"])
    def test_every_question_has_the_metric(self, name: str, runs: Runs) -> None:
        run: Run = getattr(runs, name)

        assert run.results["n-samples"]["milieu_general"] == {"original": 20, "effective": 20}
        assert 0.0 <= run.results["results"]["milieu_general"][LETTER] <= 1.0
        assert sorted(sample["doc"]["question"] for sample in run.samples) == sorted(
            row["question"] for row in QUESTIONS
        )
        assert all(sample["exact_match"] in (0.0, 1.0) for sample in run.samples)
        assert all(sample["resps"][0][0] for sample in run.samples)

    def test_no_question_of_ability_is_steered(self, runs: Runs) -> None:
        assert (runs.without.n_steered, runs.without.n_unsteered) == (0, 20)
        assert (runs.with_culture.n_steered, runs.with_culture.n_unsteered) == (0, 20)
        assert "All twenty questions pass through" in PAGE

    def test_what_is_not_steered_is_answered_as_without_a_culture(self, runs: Runs) -> None:
        replies = [
            {sample["doc_id"]: sample["resps"] for sample in run.samples}
            for run in (runs.without, runs.with_culture)
        ]
        changed = {doc_id for doc_id in replies[0] if replies[0][doc_id] != replies[1][doc_id]}

        assert changed == set()

    def test_the_page_shows_the_figures(self, runs: Runs) -> None:
        figures = [
            f"{run.results['results']['milieu_general'][LETTER]:.3f}"
            for run in (runs.without, runs.with_culture)
        ]

        row = ("", f"`{EMBEDDED_MODEL}`", "20", *figures, "0.000 [−0.126, 0.126]", "")  # noqa: RUF001
        assert " | ".join(row).strip() in PAGE
        assert "+0.000 [-0.126, +0.126]" in runs.compared

    def test_the_counter_shows_what_was_steered(self, runs: Runs) -> None:
        assert 'method="plain",readable="true",steered="false"' in runs.counters

    def test_nothing_leaves_the_machine(self, runs: Runs) -> None:
        assert runs.connections == {"127.0.0.1"}


def test_the_questions_are_well_formed() -> None:
    assert len(QUESTIONS) == 20
    assert len({row["question"] for row in QUESTIONS}) == 20
    assert all(len(set(row["options"])) == 4 for row in QUESTIONS)
    # Each letter is right as often as any other: always saying one gets 0.25.
    assert sorted(row["answer"] for row in QUESTIONS) == sorted("ABCD" * 5)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        (" B.", "B"),
        ("(C)", "C"),
        ("**D**", "D"),
        ("A: 43", "A"),
        ("Both", None),
        ("2", None),
        ("E", None),
        ("I think A", None),
    ],
)
def test_a_reply_is_read_by_its_first_letter(reply: str, letter: str | None) -> None:
    found = re.search(TASK["filter_list"][0]["filter"][0]["regex_pattern"], reply)

    assert (found and found[1]) == letter


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if "://" not in link]

    assert links
    assert not [link for link in links if not (REPOSITORY / "docs" / link).exists()]


def test_the_interval_of_a_paired_difference() -> None:
    # n = 98, so n + 2 = 100; gained (3 + 1) / 100 = 0.04, lost (14 + 1) / 100 = 0.15.
    # Middle -0.11; variance (0.04 + 0.15 - 0.0121) / 100 = 0.001779; its root 0.042178, times
    # 1.959964 is 0.082668.
    found = Difference(n=98, n_without=60, n_gained=3, n_lost=14)

    assert found.change == pytest.approx(-11 / 98)
    assert found.with_culture == pytest.approx(49 / 98)
    assert found.interval == pytest.approx((-0.192668, -0.027332), abs=1e-6)


@pytest.mark.parametrize(
    ("n", "n_each_way", "half"),
    # As many each way, so the middle is 0. Variances 2 / 22 / 22 = 0.004132 and
    # 2 * 67 / 1321 / 1321 = 0.0000768; their roots 0.06428 and 0.00876, times 1.96.
    [(20, 0, 0.126), (1319, 66, 0.017)],
)
def test_the_half_widths_on_the_page(n: int, n_each_way: int, half: float) -> None:
    low, high = Difference(n, n_each_way, n_each_way, n_each_way).interval

    assert (low, high) == pytest.approx((-half, half), abs=0.0005)
    assert f"±{half}" in PAGE


def test_an_interval_stays_between_the_ends() -> None:
    assert Difference(n=1, n_without=1, n_gained=0, n_lost=1).interval[0] == -1.0


def sample_file(folder: Path, at: str, *right: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "doc_id": n, "doc_hash": f"hash{n}", "filter": "letter", "metrics": ["exact_match"],
            "exact_match": value,
        }
        for n, value in enumerate(right)
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"samples_a_task_{at}.jsonl").write_text(text, encoding="utf-8")


def test_runs_are_paired_by_question(tmp_path: Path) -> None:
    sample_file(tmp_path / "without" / "m", "2026-01-01T10-00-00.5", 1.0, 1.0, 0.0, 0.0, 1.0)
    sample_file(tmp_path / "with" / "m@DE", "2026-01-01T11-00-00.5", 1.0, 0.0, 1.0, 0.0, 0.0)

    found = compare(*(read_scores(tmp_path / name, "exact_match") for name in ("without", "with")))

    assert found == {"letter": Difference(n=5, n_without=3, n_gained=1, n_lost=2)}


def test_the_newest_run_of_a_folder_counts(tmp_path: Path) -> None:
    sample_file(tmp_path, "2026-01-02T10-00-00.5", 1.0)
    sample_file(tmp_path, "2026-01-01T10-00-00.5", 0.0)

    assert read_scores(tmp_path, "exact_match") == {Asked("a_task", 0, "hash0", "letter"): True}


def test_runs_over_other_questions_are_refused() -> None:
    first, second = Asked("t", 0, "x", "letter"), Asked("t", 0, "y", "letter")

    with pytest.raises(RunUnreadable, match="2 questions stand in one run only"):
        compare({first: True}, {second: True})


def test_a_folder_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunUnreadable, match="--log_samples"):
        read_scores(tmp_path, "exact_match")


@pytest.mark.parametrize(("metric", "value"), [("acc", 1.0), ("exact_match", 0.5)])
def test_a_metric_that_is_not_0_or_1_is_refused(metric: str, value: float, tmp_path: Path) -> None:
    sample_file(tmp_path, "2026-01-01T10-00-00.5", value)

    with pytest.raises(RunUnreadable, match="expected 0 or 1; has exact_match"):
        read_scores(tmp_path, metric)


def test_a_row_per_filter_is_shown() -> None:
    out = io.StringIO()

    show({"strict": Difference(20, 10, 0, 0), "loose": Difference(20, 11, 2, 1)}, Console(file=out))

    rows = [line for line in out.getvalue().splitlines() if "20" in line]
    assert [row.split("│")[1].strip() for row in rows] == ["strict", "loose"]
    assert "+0.050" in rows[1]
