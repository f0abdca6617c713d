"""`milieu evaluate` as a user runs it: on a fake vLLM, on a service, on recorded answers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.state.calibration import MODEL_ROOT
from app.state.model_maps import read_map
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.run import run_evaluation
from cli.main import cli
from cli.patience import call_patiently
from embedded_model.reader_files import READER_NAME
from evaluation.errors import RespondentFailed
from evaluation.figures import ConditionFigures, Figures
from prompting.recipe import PROMPT_METHODS, Method
from survey_data.cultures import read_catalogue
from survey_data.importers.culturespa_release import import_survey
from survey_data.packs import write_pack
from tests.conftest import ServedVllm
from tests.fakes.vllm import MODEL, FakeVllm, Scripted, serve
from tests.fixtures.service import FakeServer, MakeSettings

ROOT = Path(__file__).parents[3]
MILIEU = [sys.executable, "-c", "from cli.main import main; main()"]
FEW = ("--questions", "3", "-c", "DE", "-c", "Kenya")
HELD_OUT = ("--held-out", "--questions", "12", "--method", "plain", "--method", "persona+icl")


class Evaluate:
    """Runs `milieu evaluate` in this process."""

    def __init__(self, url: str, cache_folder: Path) -> None:
        self.env = {
            "MILIEU_CACHE_FOLDER": str(cache_folder),
            "MILIEU_VLLM__URLS": url,
            "MILIEU_VLLM__MODEL": MODEL,
            # The fake gives little probability to labels.
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            "COLUMNS": "250",
        }

    def __call__(self, *arguments: str | Path, **env: str) -> Result:
        given = ["evaluate", *map(str, arguments)]
        return CliRunner().invoke(cli, given, env=self.env | env)

    def figures(self, folder: Path, *arguments: str | Path, **env: str) -> Figures:
        result = self(*arguments, "--out", folder, **env)
        assert result.exit_code == 0, result.output
        return read(folder)


def read(folder: Path) -> Figures:
    return Figures.model_validate_json((folder / "figures.json").read_text())


def named(figures: Figures, name: str) -> ConditionFigures:
    return next(of for of in figures.sections[0].conditions if of.name == name)


def chats(fake: FakeVllm) -> list[dict[str, Any]]:
    return [r.body for r in fake.received if r.path.endswith("/chat/completions")]


@pytest.fixture
def evaluate(fake_server: FakeServer, fake: FakeVllm, cache_folder: Path) -> Evaluate:
    return Evaluate(fake_server.url, cache_folder)


def test_six_methods_and_five_references_are_reported(evaluate: Evaluate, tmp_path: Path) -> None:
    figures = evaluate.figures(tmp_path / "run", *FEW)

    kinds = [(of.name, of.kind) for of in figures.sections[0].conditions]
    assert [name for name, kind in kinds if kind == "method"] == list(PROMPT_METHODS)
    assert len([name for name, kind in kinds if kind == "reference"]) == 5
    assert figures.respondent == MODEL
    assert figures.sections[0].cultures == ("DEU", "KEN")
    assert {p.name for p in (tmp_path / "run").iterdir()} >= {
        "run.json", "answers.jsonl", "asks.jsonl", "figures.json", "report.html", "report.md",
    }  # fmt: skip


def test_an_unsteered_question_reaches_vllm_once(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path
) -> None:
    evaluate.figures(tmp_path / "run", *FEW, "--method", "plain")

    # Each question once, and not once per culture; the rest finds out label tokens.
    asked = [chat for chat in chats(fake) if chat.get("logprob_token_ids")]
    assert len(asked) == 3


def test_the_run_prints_a_table_and_where_the_report_is(evaluate: Evaluate, tmp_path: Path) -> None:
    result = evaluate(*FEW, "--method", "plain", "--out", tmp_path / "run")

    assert "3 questions, 2 cultures, 6 cells" in result.stdout
    assert "nearest exemplars" in result.stdout
    assert "report.html" in result.stdout


def test_the_items_of_the_cultural_map_make_a_map_of_the_model(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    peoples = ("DEU", "KEN", "CHN", "BRA", "NGA")
    asked = ("--no-references", "--method", "plain", "--method", "persona")
    cultures = [part for code in peoples for part in ("-c", code)]
    figures = evaluate.figures(tmp_path / "run", "--cultural-map", *asked, *cultures)

    found = read_map(tmp_path / "run" / "map.json", model=MODEL, identity={MODEL_ROOT: MODEL})
    assert figures.cultural_map is not None
    assert (found.n_questions, found.error) == (13, figures.cultural_map.error)
    assert list(found.ways) == ["plain", "persona"]
    for name, places in figures.cultural_map.conditions.items():
        kept = [(code, at.x, at.y) for code, at in found.ways[name].items()]
        assert kept == [(at.culture, at.x, at.y) for at in places]
    assert set(found.ways["persona"]) == set(peoples)
    assert len(set(found.ways["plain"].values())) == 1


def test_what_has_no_map_writes_none(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate.figures(tmp_path / "few", *FEW, "--method", "plain", "--no-references")
    other = evaluate("--cultural-map", "--pack", "climate-2022", "--out", tmp_path / "other")

    assert not (tmp_path / "few" / "map.json").exists()
    assert other.exit_code != 0
    assert "--cultural-map: found with --pack climate-2022" in other.output


def test_gains_over_plain_are_printed_within_80_columns(evaluate: Evaluate, tmp_path: Path) -> None:
    methods = ("--method", "plain", "--method", "icl", "--controls")

    result = evaluate(*FEW, *methods, "--out", tmp_path / "run", COLUMNS="80")

    shown = result.stdout.partition("nearest exemplars")[2]
    found = read(tmp_path / "run").sections[0].conditions
    gains = {of.name: (of.alignment_over_plain, of.soft_over_plain) for of in found}
    assert re.search(r"^over plain +alignment +soft accuracy *$", shown, re.MULTILINE)
    for name in ("icl", "icl, answers reversed", "icl, another culture"):
        values = [f"{of.value:.3f} [{of.low:.3f}, {of.high:.3f}]" for of in gains[name] if of]
        assert len(values) == 2
        row = " +".join(map(re.escape, (name, *values)))
        assert re.search(rf"^{row} *$", shown, re.MULTILINE)


def test_estimates_stand_beside_each_method_calibrated_and_pooled(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    arguments = ("--questions", "20", "-c", "DE", "-c", "Kenya", "--split", "battery")

    figures = evaluate.figures(
        tmp_path / "run", *arguments, "--method", "plain", "--estimates", "--known-answers", "9"
    )

    found = {of.name: of for of in figures.sections[0].conditions if of.kind == "estimate"}
    assert list(found) == ["transfer", "calibrated plain", "pooled plain"]
    assert found["transfer"].similarity.value > named(figures, "uniform").similarity.value
    raw = named(figures, "plain").similarity.value
    assert found["calibrated plain"].similarity.value > raw - 0.003
    assert found["pooled plain"].similarity.value > found["transfer"].similarity.value - 0.003
    [interval] = figures.sections[0].intervals
    assert interval.source == "transfer"
    assert set(interval.by_culture) == {"DEU", "KEN"}
    assert figures.settings["known to transfer"] == "9 own answers known"
    assert "of whole batteries" in figures.settings["unknown together"]
    report = (tmp_path / "run" / "report.md").read_text()
    assert "Intervals of estimates" in report


def test_a_gate_holds_what_is_derived_to_its_baseline(evaluate: Evaluate, tmp_path: Path) -> None:
    arguments = (*FEW, "--method", "plain", "--estimates")
    evaluate.figures(tmp_path / "before", *arguments)
    baseline = ("--gate", tmp_path / "before" / "figures.json", "--out")

    assert evaluate(*arguments, *baseline, tmp_path / "after").exit_code == 0
    without = evaluate(*FEW, "--method", "plain", *baseline, tmp_path / "without")
    assert without.exit_code == 2
    said = " ".join(without.stderr.split())
    assert "does not measure transfer, related, calibrated plain, pooled plain, pooled" in said


def test_the_same_command_goes_on_in_the_same_folder(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate(*FEW, "--method", "plain").exit_code == 0
    n_before = len(chats(fake))

    assert evaluate(*FEW, "--method", "plain").exit_code == 0

    assert len(list((tmp_path / "milieu-results").iterdir())) == 1
    assert len(chats(fake)) == n_before


def test_another_run_does_not_go_into_the_same_folder(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate.figures(tmp_path / "run", *FEW, "--method", "plain")

    result = evaluate(*FEW, "--method", "persona", "--out", tmp_path / "run")

    assert result.exit_code == 2
    assert "a run with other conditions" in " ".join(result.stderr.split())


def test_a_finished_run_is_scored_again_without_a_model(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    first = evaluate.figures(folder, *FEW, "--method", "icl")
    for name in ("figures.json", "report.html", "report.md"):
        (folder / name).unlink()
    n_before = len(fake.received)

    assert evaluate("--rescore", folder).exit_code == 0

    assert read(folder) == first
    assert len(fake.received) == n_before
    assert (folder / "report.html").is_file()


def test_styles_and_numbers_of_exemplars_are_conditions_of_their_own(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    figures = evaluate.figures(
        tmp_path / "run", *FEW, "--method", "plain", "--method", "icl", "--style", "mode",
        "--style", "shares", "--k", "2", "--k", "4", "--no-references",
    )  # fmt: skip

    assert [of.name for of in figures.sections[0].conditions] == [
        "plain", "icl, mode, k=2", "icl, mode, k=4", "icl, shares, k=2", "icl, shares, k=4",
    ]  # fmt: skip


def test_others_answers_to_the_question_are_shown_with_their_weights(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path
) -> None:
    others = ("--elsewhere", "0", "--elsewhere", "2", "--method", "icl", "--no-references")
    figures = evaluate.figures(tmp_path / "run", *FEW, *others)

    assert {of.name for of in figures.sections[0].conditions} == {"icl", "icl, elsewhere=2"}
    shown = {}
    for line in (tmp_path / "run" / "asks.jsonl").read_text().splitlines():
        ask = json.loads(line)
        shown[ask["condition"], ask["question"], ask["culture"]] = ask["shown"]
    for (name, question, culture), keys in shown.items():
        if name != "icl":
            others_, own = keys[:2], keys[2:]
            assert own == shown["icl", question, culture]
            assert all(key.startswith(f"{question}@") for key in others_)
            assert f"{question}@{culture}" not in others_
    told = [chat["messages"][-1]["content"] for chat in chats(fake)]
    assert sum("weight" in text for text in told) == len(shown) / 2


def test_languages_are_conditions_of_their_own(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path
) -> None:
    languages = ("--language", "en", "--language", "own", "--method", "icl", "--no-references")
    figures = evaluate.figures(tmp_path / "run", *FEW, *languages)
    shown = [chat["messages"][-1]["content"] for chat in chats(fake)]
    run = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]

    assert {of.name for of in figures.sections[0].conditions} == {"icl", "icl, own"}
    assert sum("Frage:" in text for text in shown) == 3
    # In Kenya English is spoken, which was asked already.
    assert len(shown) == 9
    assert {"wvs7/de", "wvs7/zh"} <= run["translations"].keys()
    by_language: dict[str, list[list[str]]] = {}
    for line in (tmp_path / "run" / "asks.jsonl").read_text().splitlines():
        ask = json.loads(line)
        by_language.setdefault(ask["condition"], []).append(ask["shown"])
    assert by_language["icl"] == by_language["icl, own"]


def test_answers_in_text_are_sampled_and_read(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path
) -> None:
    figures = evaluate.figures(
        tmp_path / "run", *FEW, "--method", "plain", "--read-by", "published", "--seeds", "2",
        "--max-tokens", "7",
    )  # fmt: skip

    bodies = chats(fake)
    assert {(b["temperature"], b["top_p"], b["max_tokens"]) for b in bodies} == {(0.6, 0.9, 7)}
    assert {body["seed"] for body in bodies} == {0, 1}
    assert named(figures, "plain").n_cells == 12


def test_held_out_questions_are_never_shown(evaluate: Evaluate, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    evaluate.figures(folder, "-c", "DE", "--method", "icl", "--test-share", "0.05")

    asks = [json.loads(line) for line in (folder / "asks.jsonl").read_text().splitlines()]
    asked = {ask["question"] for ask in asks}
    assert 10 <= len(asked) <= 16
    assert asked.isdisjoint(key for ask in asks for key in ask["shown"])


def test_every_nth_question_is_asked(evaluate: Evaluate, tmp_path: Path) -> None:
    some = ("--held-out", "--every", "20", "-c", "DE", "--method", "plain", "--no-references")

    evaluate.figures(tmp_path / "all", *some)
    evaluate.figures(tmp_path / "two", *some, "--questions", "2")

    asked = {
        name: json.loads((tmp_path / name / "run.json").read_text())["settings"]["questions"]
        for name in ("all", "two")
    }
    # The first, the 21st and the 41st of the fifty, in the pack's order.
    assert asked["all"] == ["wvs7:Q3", "wvs7:Q107", "wvs7:Q210"]
    assert asked["two"] == ["wvs7:Q3", "wvs7:Q107"]


def test_no_exemplar_is_the_question_or_its_like(
    evaluate: Evaluate, shared: Path, tmp_path: Path
) -> None:
    """The same survey twice, in two wordings: no item is ever shown with itself."""
    release = import_survey(shared / "data" / "culturespa", read_catalogue()).pack
    write_pack(tmp_path / "packs" / "culturespa", release)
    folder = tmp_path / "run"

    evaluate.figures(
        folder, "-c", "DE", "--method", "icl", "--questions", "60", "--any-pack",
        MILIEU_PACK_FOLDERS=str(tmp_path / "packs"),
    )  # fmt: skip

    asks = [json.loads(line) for line in (folder / "asks.jsonl").read_text().splitlines()]
    shown = [ask for ask in asks if ask["condition"] == "icl"]
    assert any(key.startswith("culturespa:") for ask in shown for key in ask["shown"])
    for ask in shown:
        item = ask["question"].partition(":")[2]
        assert len(ask["shown"]) == 5
        assert {ask["question"], f"culturespa:{item}"}.isdisjoint(ask["shown"])


def test_exemplars_are_of_the_same_pack_unless_asked_for(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    evaluate.figures(folder, "-c", "DE", "--method", "icl", "--retriever", "random")

    text = (folder / "asks.jsonl").read_text()
    assert "undp-ai-2025:" not in text


def test_another_model_is_another_run(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate(*FEW, "--method", "plain").exit_code == 0

    with serve(FakeVllm(max_model_len=16384).app) as other:
        again = evaluate(*FEW, "--method", "plain", MILIEU_VLLM__URLS=other)

    assert again.exit_code == 0
    assert "kept from before" not in again.stderr
    assert len(list((tmp_path / "milieu-results").iterdir())) == 2


def test_a_gate_asks_anew(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluate.figures(tmp_path / "run", *FEW, "--method", "plain")
    baseline = ("--gate", tmp_path / "run" / "figures.json")
    fake.received.clear()

    passed = evaluate(*FEW, "--method", "plain", *baseline)
    same = evaluate(*FEW, "--method", "plain", *baseline, "--out", tmp_path / "run")

    assert passed.exit_code == 0
    assert len([chat for chat in chats(fake) if chat.get("logprob_token_ids")]) == 3
    assert same.exit_code == 2
    assert "a finished run" in " ".join(same.stderr.split())


def test_a_baseline_of_no_use_is_refused_before_anything_is_asked(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path
) -> None:
    evaluate.figures(tmp_path / "run", *FEW, "--method", "plain")
    fake.received.clear()

    baseline = ("--gate", tmp_path / "run" / "figures.json")
    others = evaluate("--questions", "4", "-c", "DE", *baseline)
    fewer = evaluate("--questions", "3", "-c", "DE", "--method", "icl", *baseline)

    assert (others.exit_code, fewer.exit_code) == (2, 2)
    assert "other questions" in " ".join(others.stderr.split())
    assert "does not measure plain, KEN" in " ".join(fewer.stderr.split())
    assert not chats(fake)


def test_an_altered_pack_is_not_scored_as_the_one_that_was_asked(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    source = ROOT / "docs" / "example-survey"
    command = [
        "packs", "import", "table", str(source / "questions.csv"), "", "--id", "lunch", "--title",
        "Lunch", "--source", "made up", "--citation", "none", "--licence", "CC0", "--out",
        str(tmp_path / "packs" / "lunch"), "--force",
    ]  # fmt: skip
    folders = {"MILIEU_PACK_FOLDERS": str(tmp_path / "packs")}
    command[4] = str(source / "shares.csv")
    assert CliRunner().invoke(cli, command).exit_code == 0
    evaluate.figures(tmp_path / "run", "--pack", "lunch", "--method", "plain", **folders)
    altered = tmp_path / "shares.csv"
    altered.write_text((source / "shares.csv").read_text().replace(",31", ",13"))
    command[4] = str(altered)
    assert CliRunner().invoke(cli, command).exit_code == 0

    result = evaluate("--rescore", tmp_path / "run", **folders)

    assert result.exit_code == 2
    assert "another version of the pack" in " ".join(result.stderr.split())


def test_a_recording_does_not_take_the_name_of_something_else(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    file = tmp_path / "uniform.jsonl"
    file.write_text('{"question": "Q1", "answer": "1"}\n{"question": "Q2", "answer": "1"}\n')

    result = evaluate("--recorded", file, "--questions", "2", "--out", tmp_path / "run")

    assert result.exit_code == 2
    assert "uniform" in " ".join(result.stderr.split())


def test_the_gate_passes_the_same_run_and_stops_a_worse_one(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    evaluate.figures(folder, *FEW, "--method", "plain")
    baseline = json.loads((folder / "figures.json").read_text())
    interval = baseline["sections"][0]["conditions"][0]["by_culture"]["KEN"]["similarity"]
    interval[:] = [value + 0.5 for value in interval]
    (tmp_path / "better.json").write_text(json.dumps(baseline))

    same = evaluate("--rescore", folder, "--gate", folder / "figures.json")
    worse = evaluate("--rescore", folder, "--gate", tmp_path / "better.json")

    assert (same.exit_code, worse.exit_code) == (0, 1)
    assert "no culture fell" in same.stdout
    assert "KEN" in worse.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-c", "FR"), "expected one of"),
        (("-c", "Atlantis"), "'Atlantis' is no"),
        (("--pack", "gss"), "No pack 'gss'"),
        (("--gate", "nowhere.json"), "nowhere.json cannot be read"),
        (("--rescore", "nowhere"), "nowhere"),
        (("--recorded", "nowhere.json"), "nowhere.json"),
        (("--recorded", "a.json", "--service", "http://127.0.0.1:1"), "not together"),
        (("--test-share", "1.5"), "within 0 and 1"),
        (("--service", "notaurl"), "http://host:port"),
        (("--service", "http://127.0.0.1:1", "--controls"), "with --service"),
        (("--service", "http://127.0.0.1:1", "--read-by", "text"), "with --service"),
        (("--gate", str(ROOT)), "cannot be read"),
        (("--held-out", "--pack", "undp-ai-2025"), "held-out questions"),
        (("--reference-culture", "FR"), "expected one of"),
        (("--held-out", "-c", "US"), "USA with --held-out"),
        (("--any-culture",), "without --held-out"),
        (("--held-out", "--every", "50"), "leaves 2 questions or more"),
        (("--split", "like", "--held-out"), "one of the two"),
        (("--split", "battery", "--test-share", "0.2"), "not together"),
        (("--known-answers", "3"), "without --estimates"),
        (("--service", "http://127.0.0.1:1", "--split", "like"), "with --service"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    evaluate: Evaluate, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = evaluate(*arguments, "--out", tmp_path / "run")

    message = " ".join(result.stderr.split())
    assert result.exit_code == 2, result.output
    assert said in message
    assert "Traceback" not in message


async def test_a_busy_server_is_asked_again(
    make_settings: MakeSettings, fake: FakeVllm, tmp_path: Path
) -> None:
    fake.script(*[Scripted(status=503)] * 4)
    options = EvaluateOptions(
        cultures=("DE",), methods=(Method.PLAIN,), n_questions=2, out=tmp_path / "run"
    )

    found = await run_evaluation(make_settings(), options)

    assert named(found.figures, "plain").unreadable == 0.0


async def test_patience_ends() -> None:
    tries = []

    async def fails() -> None:
        tries.append(1)
        raise OSError("no")

    with pytest.raises(RespondentFailed, match="go on from there"):
        await call_patiently(fails, "model", (OSError,), pause_s=0.0)
    assert len(tries) == 7


def test_a_running_service_is_asked_as_its_clients_ask_it(
    evaluate: Evaluate, milieu_url: str, tmp_path: Path
) -> None:
    figures = evaluate.figures(
        tmp_path / "run", *FEW, "--method", "plain", "--method", "icl", "--service", milieu_url,
        "--orders", "2",
    )  # fmt: skip

    assert figures.respondent == milieu_url
    icl = named(figures, "icl")
    assert (icl.n_cells, icl.unreadable, icl.not_steered) == (6, 0.0, 0.0)
    assert icl.prompt_tokens > 0
    # An answer without a culture is one for all.
    assert (named(figures, "plain").n_cells, named(figures, "plain").n_requests) == (6, 3)


def test_a_service_that_refuses_is_quoted(evaluate: Evaluate, tmp_path: Path) -> None:
    with serve(FakeVllm().app) as url:
        result = evaluate(*FEW, "--service", url, "--out", tmp_path / "run")

    assert result.exit_code == 2
    assert "status 404" in " ".join(result.stderr.split())


# What METHODS gives for the released answers of Llama-3-8B, times 100.
RELEASED = {
    ("culture_unaware_0", "USA"): 68.34,
    ("culture_unaware_0", "CHN"): 62.19,
    ("culture_unaware_0", "ZWE"): 53.13,
    ("culture_aware_USA_0", "USA"): 71.12,
    ("culture_aware_CHN_0", "CHN"): 66.54,
    ("culture_aware_ZWE_0", "ZWE"): 65.53,
    ("self_alignment_American_0", "USA"): 63.74,
}
SPA_CULTURES = (
    "AUS", "BOL", "BRA", "CAN", "CHN", "DEU", "ETH", "GBR", "IND", "KEN", "NGA", "NLD", "NZL",
    "RUS", "THA", "UKR", "USA", "ZWE",
)  # fmt: skip


def test_released_answers_score_what_the_papers_code_gives(
    evaluate: Evaluate, shared: Path, tmp_path: Path
) -> None:
    source = shared / "data" / "culturespa"
    write_pack(tmp_path / "packs" / "culturespa", import_survey(source, read_catalogue()).pack)
    results = source / "results"
    recorded = [f"{results}/wvs_result_{name}.json@{code}" for name, code in RELEASED]
    recorded.append(f"{results}/wvs_result_culture_unaware_0.json")

    figures = evaluate.figures(
        tmp_path / "run", "--pack", "culturespa", "--read-by", "published",
        *(part for code in SPA_CULTURES for part in ("-c", code, "--reference-culture", code)),
        *(part for file in recorded for part in ("--recorded", file)),
        MILIEU_PACK_FOLDERS=str(tmp_path / "packs"), MILIEU_PACKS="culturespa",
    )  # fmt: skip

    found = {
        (name, code): round(100 * alignment.value, 2)
        for name, code in RELEASED
        if (alignment := named(figures, f"wvs_result_{name}, {code}").alignment) is not None
    }
    assert found == RELEASED
    everywhere = named(figures, "wvs_result_culture_unaware_0").alignment
    assert everywhere is not None
    assert round(100 * everywhere.value, 2) == 62.36
    self_aligned = named(figures, "wvs_result_self_alignment_American_0, USA")
    assert round(self_aligned.unreadable * self_aligned.n_cells) == 24
    references = {
        name: round(100 * alignment.value, 1)
        for name in ("uniform", "world mean", "most similar country")
        if (alignment := named(figures, name).alignment) is not None
    }
    assert references == {"uniform": 58.1, "world mean": 71.1, "most similar country": 75.9}


def test_a_killed_run_ends_as_an_unbroken_one(
    evaluate: Evaluate, fake: FakeVllm, tmp_path: Path
) -> None:
    evaluate.figures(tmp_path / "whole", *HELD_OUT)
    fake.delay_s = 0.02
    kept = killed_run(tmp_path / "killed", evaluate.env, n_answers=12)

    evaluate.figures(tmp_path / "killed", *HELD_OUT)

    check_as_unbroken(tmp_path, kept, tolerance=1e-9)


@pytest.mark.deep
@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_a_run_killed_again_and_again_ends_as_an_unbroken_one_on_the_real_vllm(
    real_vllm: ServedVllm, cache_folder: Path, tmp_path: Path
) -> None:
    env = {
        "MILIEU_CACHE_FOLDER": str(cache_folder),
        "MILIEU_VLLM__URLS": real_vllm.url,
        "MILIEU_VLLM__MODEL": real_vllm.model,
        "MILIEU_VLLM__API_KEY": real_vllm.api_key,
        "MILIEU_VLLM__READER": READER_NAME,
    }

    def run(folder: Path) -> None:
        done = subprocess.run(
            [*MILIEU, "evaluate", *HELD_OUT, "--out", folder], env=alone(env), cwd=ROOT,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    run(tmp_path / "whole")
    kept = [killed_run(tmp_path / "killed", env, n_answers=n) for n in (1, 12, 30)][-1]
    run(tmp_path / "killed")

    # vLLM's log-probabilities move with what else is in a batch, by some hundredths.
    check_as_unbroken(tmp_path, kept, tolerance=0.01)


def alone(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that has these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MILIEU_")}
    return kept | dict(env)


def killed_run(folder: Path, env: Mapping[str, str], *, n_answers: int) -> bytes:
    """Kill a run when it has so many answers; what it kept of them."""
    answers = folder / "answers.jsonl"
    command = [*MILIEU, "evaluate", *HELD_OUT, "--out", str(folder)]
    process = subprocess.Popen(command, env=alone(env), cwd=ROOT)
    while not answers.exists() or answers.read_bytes().count(b"\n") < n_answers:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    return answers.read_bytes()


def check_as_unbroken(folder: Path, kept: bytes, *, tolerance: float) -> None:
    """Check that the run in `killed` went on after `kept`, and ended as the one in `whole`."""
    answers = folder / "killed" / "answers.jsonl"
    assert answers.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    whole, killed = ((folder / name / "asks.jsonl").read_bytes() for name in ("whole", "killed"))
    assert killed == whole
    for one, other in zip(
        read(folder / "whole").sections[0].conditions,
        read(folder / "killed").sections[0].conditions,
        strict=True,
    ):
        assert other.similarity.value == pytest.approx(one.similarity.value, abs=tolerance)
        assert other.n_requests == one.n_requests
