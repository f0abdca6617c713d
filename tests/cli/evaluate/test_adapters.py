"""`milieu evaluate` with adapters beside prompts: which versions, for whom, and what it finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.manifest import AdapterManifest
from adapters.registry import AdapterRegistry
from adapters.states import AdapterState
from app.errors import OptionInvalid
from app.settings import Settings
from cli.evaluate.adapters import describe_left_out, resolve_registry_sets, resolve_service_sets
from cli.main import cli
from evaluation.figures import Figures
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import served
from tests.cli.evaluate.test_command import chats, named, read
from tests.fakes.vllm import MODEL, FakeVllm, serve

FEW = ("--questions", "3", "-c", "DE", "-c", "Kenya", "--no-references")


class Adapted:
    """Runs `milieu evaluate` on a fake vLLM that takes adapters, with a registry of some."""

    def __init__(self, vllm: FakeVllm, url: str, settings: Settings) -> None:
        self.vllm, self.settings = vllm, settings
        self._env = {
            "MILIEU_CACHE_FOLDER": str(settings.cache_folder),
            "MILIEU_DATA_FOLDER": str(settings.data_folder),
            "MILIEU_VLLM__URLS": url,
            "MILIEU_VLLM__MODEL": MODEL,
            "MILIEU_VLLM__LORA": "true",
            "MILIEU_VLLM__MODEL_PATH": str(settings.vllm.model_path),
            "MILIEU_VLLM__MAX_LORAS": "1",
            "MILIEU_VLLM__MAX_CPU_LORAS": "1",
            "MILIEU_ANSWER__MIN_LABEL_MASS": "0",
            "COLUMNS": "250",
        }

    def add(self, name: str, *cultures: str, seed: int = 0) -> str:
        return add_adapter(self.settings, name, cultures, seed=seed)

    def __call__(self, *arguments: str | Path, **env: str) -> Result:
        given = ["evaluate", *map(str, arguments)]
        return CliRunner().invoke(cli, given, env=self._env | env)

    def figures(self, folder: Path, *arguments: str | Path) -> Figures:
        result = self(*arguments, "--out", folder)
        assert result.exit_code == 0, result.output
        return read(folder)

    def asked_of(self, model: str) -> list[dict[str, Any]]:
        """The survey questions that `model` got: canaries come one by one, before them."""
        scored = [body for body in chats(self.vllm) if body.get("logprob_token_ids")]
        return [body for body in scored if body["model"] == model]


@pytest.fixture
def adapted(cache_folder: Path, tmp_path: Path) -> Any:
    vllm = FakeVllm(max_model_len=16384)
    with serve(vllm.app) as url:
        yield Adapted(vllm, url, adapter_settings(url, cache_folder, tmp_path / "data"))


@pytest.fixture(autouse=True)
def _data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def conditions(figures: Figures) -> list[str]:
    return [of.name for of in figures.sections[0].conditions]


def settings_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())["settings"]
    return found


def test_labelled_sets_are_compared_in_one_run(adapted: Adapted, tmp_path: Path) -> None:
    joint = adapted.add("joint", "DEU", "KEN")
    german, kenyan = adapted.add("deu", "DEU", seed=1), adapted.add("ken", "KEN", seed=2)
    folder = tmp_path / "run"

    figures = adapted.figures(
        folder, *FEW, "--method", "plain", "--method", "persona", "--method", "icl",
        "--adapter", "joint=joint", "--adapter", f"specific={german},ken",
    )  # fmt: skip

    assert conditions(figures) == [
        "plain", "persona", "icl", "adapter, joint", "adapter, specific", "adapter+icl, joint",
        "adapter+icl, specific",
    ]  # fmt: skip
    over = {of.name: list(of.over_method) for of in figures.sections[0].conditions}
    assert over["adapter, specific"] == ["persona", "adapter, joint"]
    assert over["adapter+icl, joint"] == ["icl", "adapter, joint"]
    sets = {of["label"]: of["adapters"] for of in settings_of(folder)["adapter_sets"]}
    assert sets == {
        "joint": [["DEU", joint], ["KEN", joint]],
        "specific": [["DEU", german], ["KEN", kenyan]],
    }
    assert f"{german} for DEU; {kenyan} for KEN" in figures.settings.values()


def test_more_adapters_than_fit_answer_and_each_question_once(
    adapted: Adapted, tmp_path: Path
) -> None:
    versions = [adapted.add("deu", "DEU", seed=1), adapted.add("ken", "KEN", seed=2)]

    figures = adapted.figures(
        tmp_path / "run", *FEW, "--method", "adapter", "--adapter", "own=deu,ken"
    )

    of = named(figures, "adapter, own")
    assert (of.n_cells, of.n_requests, of.unreadable) == (6, 6, 0.0)
    survey = "taking part in a survey"
    for version, adjective in zip(versions, ("German", "Kenyan"), strict=True):
        said = [body["messages"][0]["content"] for body in adapted.asked_of(version)]
        assert len([text for text in said if survey in text and adjective in text]) >= 3
    # One fits at a time, and none is left behind by the other.
    assert len(adapted.vllm.adapters) <= 1


def test_what_is_active_answers_where_no_adapter_is_named(adapted: Adapted, tmp_path: Path) -> None:
    version = adapted.add("deu", "DEU")
    AdapterRegistry(adapted.settings.adapters_folder).activate(["DEU"], version)

    result = adapted(*FEW, "--method", "persona", "--method", "adapter", "--out", tmp_path / "run")

    assert result.exit_code == 0, result.output
    figures = read(tmp_path / "run")
    assert conditions(figures) == ["persona", "adapter"]
    assert set(named(figures, "adapter").by_culture) == {"DEU"}
    assert "serve no KEN" in result.stdout
    assert "serve no KEN" in (tmp_path / "run" / "report.md").read_text()


def test_another_version_is_another_run(
    adapted: Adapted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry = AdapterRegistry(adapted.settings.adapters_folder)
    for seed in (1, 2):
        registry.activate(["DEU"], adapted.add("deu", "DEU", seed=seed))
        assert adapted(*FEW, "-c", "DE", "--method", "adapter").exit_code == 0

    assert len(list((tmp_path / "milieu-results").iterdir())) == 2


def test_a_run_with_adapters_and_general_questions_is_scored_again_without_a_model(
    adapted: Adapted, tmp_path: Path
) -> None:
    adapted.add("joint", "DEU", "KEN")
    folder = tmp_path / "run"
    first = adapted.figures(
        folder, *FEW, "--method", "plain", "--adapter", "joint", "--ability"
    )  # fmt: skip
    n_before = len(adapted.vllm.received)

    assert adapted("--rescore", folder).exit_code == 0

    assert read(folder) == first
    assert len(adapted.vllm.received) == n_before


def test_general_questions_go_to_the_model_and_to_each_set(
    adapted: Adapted, tmp_path: Path
) -> None:
    adapted.add("joint", "DEU", "KEN")

    result = adapted(
        *FEW, "--method", "plain", "--adapter", "joint", "--ability", "--out", tmp_path / "run"
    )

    assert result.exit_code == 0, result.output
    ability = read(tmp_path / "run").ability
    assert ability is not None
    assert [of.name for of in ability.weights] == ["base model", "joint"]
    assert ability.weights[1].over_base is not None
    assert "General ability: 288 questions, 0.250 right by chance" in result.stdout
    assert "## General ability" in (tmp_path / "run" / "report.md").read_text()


def test_without_adapters_a_run_is_described_as_ever(adapted: Adapted, tmp_path: Path) -> None:
    adapted.figures(tmp_path / "run", *FEW, "--method", "plain")

    found = settings_of(tmp_path / "run")
    assert {"adapter_sets", "ability"}.isdisjoint(found)
    assert all("adapter_set" not in of for of in found["conditions"])


def test_recorded_answers_stand_beside_adapters(adapted: Adapted, tmp_path: Path) -> None:
    adapted.add("joint", "DEU", "KEN")
    file = tmp_path / "released.jsonl"
    file.write_text("".join(f'{{"question": "Q{n}", "answer": "1"}}\n' for n in (1, 2, 3)))

    figures = adapted.figures(tmp_path / "run", *FEW, "--recorded", file, "--adapter", "joint")

    assert conditions(figures) == ["adapter, joint", "adapter+icl, joint", "released"]


def test_a_running_service_is_asked_for_its_adapters(adapted: Adapted, tmp_path: Path) -> None:
    joint, other = adapted.add("joint", "DEU", "KEN"), adapted.add("other", "DEU", "KEN", seed=1)
    registry = AdapterRegistry(adapted.settings.adapters_folder)
    for code in ("DEU", "KEN"):
        registry.activate([code], joint)
    with served(adapted.settings) as url:
        active = adapted.figures(
            tmp_path / "active", *FEW, "--method", "plain", "--method", "adapter", "--service", url
        )
        exact = adapted.figures(
            tmp_path / "exact", *FEW, "--method", "adapter", "--adapter", other, "--service", url
        )

    assert conditions(active) == ["plain", "adapter"]
    # An answer of an adapter is its culture's, that of the model as it is everybody's.
    assert (named(active, "adapter").n_requests, named(active, "plain").n_requests) == (6, 3)
    assert named(active, "adapter").not_steered == 0.0
    (name,) = conditions(exact)
    assert name == f"adapter, {other}"
    assert len(adapted.asked_of(other)) >= 6


def test_a_service_without_an_adapter_is_not_taken_for_one(
    adapted: Adapted, tmp_path: Path
) -> None:
    with served(adapted.settings) as url:
        result = adapted(*FEW, "--method", "adapter", "--service", url, "--out", tmp_path / "run")

    assert result.exit_code == 2
    assert "had no adapter to answer for DEU" in " ".join(result.stderr.split())


def test_an_adapter_that_was_altered_is_refused_before_anything_is_asked(
    adapted: Adapted, tmp_path: Path
) -> None:
    version = adapted.add("joint", "DEU", "KEN")
    weights = adapted.settings.adapters_folder / version / "README.md"
    weights.chmod(0o644)
    weights.parent.chmod(0o755)
    weights.write_text("other")

    result = adapted(*FEW, "--adapter", "joint", "--out", tmp_path / "run")

    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert version in " ".join(result.stderr.split()) or "hash" in result.stderr
    assert not chats(adapted.vllm)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--adapter", "x=nobody"), "found nobody, expected one of deu@"),
        (("--adapter", "a=deu", "--adapter", "a=ken"), "the label 'a' twice"),
        (("--adapter", "a=deu,joint"), "for DEU in 'a', expected one adapter for each culture"),
        (("--adapter", "thai"), "expected adapters for some of DEU, KEN"),
        (("--adapter", "deu,ken"), "LABEL=deu,ken"),
        (("--adapter", "a="), "LABEL=NAME"),
        (("--adapter", "a|b=deu"), "a label of up to 40"),
        (("--method", "adapter"), "none is active"),
        (("--ability", "--service", "http://127.0.0.1:1"), "--ability: found with --service"),
    ],
)
def test_what_cannot_be_done_with_adapters_is_said(
    adapted: Adapted, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    adapted.add("deu", "DEU", seed=1)
    adapted.add("ken", "KEN", seed=2)
    adapted.add("joint", "DEU", "KEN", seed=3)
    adapted.add("thai", "THA", seed=4)

    result = adapted(*FEW, *arguments, "--out", tmp_path / "run")

    message = " ".join(result.stderr.split())
    assert result.exit_code == 2, result.output
    assert said in message
    assert "Traceback" not in message


def test_servers_without_adapters_are_said_to_be_so(adapted: Adapted, tmp_path: Path) -> None:
    result = adapted(
        *FEW, "--method", "adapter", "--out", tmp_path / "run", MILIEU_VLLM__LORA="false"
    )

    assert result.exit_code == 2
    assert "servers that take adapters" in " ".join(result.stderr.split())


def state(name: str, version: str, *cultures: str, active: Sequence[str] = ()) -> AdapterState:
    manifest = AdapterManifest(
        schema_version=1,
        name=name,
        version=version,
        base_model="base",
        base_sha256=None,
        rank=4,
        alpha=8.0,
        target_modules=("q_proj",),
        cultures=cultures,
        sha256={},
    )
    return AdapterState(manifest, tuple(active), False, None)


def test_one_that_serves_any_culture_serves_all_that_are_asked() -> None:
    (found,) = resolve_registry_sets(["any"], [state("any", "00000001")], ["DEU", "KEN"])

    assert found.versions == ("any@00000001",)
    assert found.cultures == ("DEU", "KEN")
    assert describe_left_out([found]) == ()


def test_a_name_of_two_versions_is_not_guessed() -> None:
    states = [state("a", "00000001"), state("a", "00000002")]

    with pytest.raises(OptionInvalid, match="one of a@00000001, a@00000002"):
        resolve_registry_sets(["a"], states, ["DEU"])


def test_what_a_set_does_not_serve_is_left_out_and_said() -> None:
    (found,) = resolve_registry_sets(
        ["x=deu"], [state("deu", "00000001", "DEU")], ["DEU", "KEN", "MEX"]
    )

    assert found.left_out == ("KEN", "MEX")
    assert "“x” serve no KEN, MEX" in describe_left_out([found])[0]


@pytest.mark.parametrize("given", ["deu", "x=a@00000001,b@00000002"])
def test_a_service_is_asked_for_exact_versions_alone(given: str) -> None:
    with pytest.raises(OptionInvalid, match=r"name@version|one adapter per label"):
        resolve_service_sets([given], ["DEU"])
