"""The pages of docs/: their links, what they list, and their commands against the real vLLM.

The `sh` and `python` blocks of a page are run from top to bottom, in a folder of its own; `text`
blocks name somebody else's servers and files, and are not run. `make test` takes smaller doses of
what takes minutes, `make test-deep` runs it as it stands, but for evaluations of hundreds of
questions, which would take hours: there they are asked ten.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, SecretStr

from adapters.base_model import read_base_model
from adapters.culturespa.card import read_card
from app.main import create_app
from app.settings import Settings
from embedded_model.reader_files import READER_NAME
from evaluation.figures import Figures
from tests.adapters.loras import lora_config, lora_tensors, write_lora
from tests.conftest import MAX_CPU_LORAS, ServedVllm
from tests.notebooks import NOTEBOOKS
from tests.pages import BIN, DOCS, REPOSITORY, Page, Step, ask, make, run

PAGES = [
    Page(REPOSITORY / "README.md"),
    *(
        Page(path)
        for path in sorted(DOCS.rglob("*.md"))
        # Those of notebooks are made where somebody builds the site.
        if not path.is_symlink() and path.with_suffix(".ipynb") not in NOTEBOOKS
    ),
]
# Its commands have tests of their own.
LM_EVAL = DOCS / "lm-eval.md"
TOLD = [page for page in PAGES if page.steps and page.path.parent == DOCS and page.path != LM_EVAL]
LITTLE_TO_EVALUATE = " --questions 2 -c DE"
MORE_TO_EVALUATE = " --questions 10"


def by_name(page: Page) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page: Page) -> None:
    broken = []
    for link in page.links:
        file, _, anchor = link.partition("#")
        path = (page.path.parent / file).resolve() if file else page.path
        if not path.exists() or (anchor and anchor not in Page(path).anchors):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.path.parent != REPOSITORY], ids=by_name
)
def test_links_of_the_site_stay_in_it(page: Page) -> None:
    # Not resolved: the changelog is a link to the file beside the README.
    targets = {link: os.path.normpath(page.path.parent / link) for link in page.links}

    assert not [link for link, target in targets.items() if not target.startswith(str(DOCS))]


def test_the_changelog_links_no_other_page() -> None:
    # It is read beside the README and as a page of the site, where the same link leads elsewhere.
    assert Page(REPOSITORY / "CHANGELOG.md").links == []


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page() -> None:
    site = tomllib.loads((REPOSITORY / "zensical.toml").read_text(encoding="utf-8"))["project"]

    listed = sorted(names_in(site["nav"]))
    notebooks = [str(path.with_suffix(".md").relative_to(DOCS)) for path in NOTEBOOKS]
    assert listed == sorted([*(path.name for path in DOCS.glob("*.md")), *notebooks])
    assert site["theme"]["font"] is False


def names_in(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from names_in(part)


def test_every_decision_is_listed_by_its_title() -> None:
    lines = Page(DOCS / "decisions.md").text.splitlines()

    for path in sorted((DOCS / "decisions").glob("*.md")):
        number, title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ").split(". ", 1)
        assert f"{number}. [{title}](decisions/{path.name})" in lines


def test_every_setting_is_listed_with_its_default() -> None:
    rows = re.findall(r"^\| `(MILIEU_\w+)` \| (.+?) \|", Page(DOCS / "settings.md").text, re.M)

    assert [name for name, _ in rows] == [name for name, _ in defaults(Settings)]
    for (name, shown), (_, default) in zip(rows, defaults(Settings), strict=True):
        if shown.startswith("`") and not shown.startswith("`~/"):
            assert shown == f"`{written(default)}`", name
        elif shown.startswith("`~/"):
            assert default == Path(shown.strip("`")).expanduser(), name
        else:
            # In words: nothing, or what is embedded.
            assert default in (None, "", ()), name


def defaults(settings: type[BaseModel], prefix: str = "MILIEU_") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, field in settings.model_fields.items():
        variable = prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += defaults(field.annotation, f"{variable}__")
        else:
            value = field.get_default(call_default_factory=True)
            found.append(
                (variable, value.get_secret_value() if isinstance(value, SecretStr) else value)
            )
    return found


def written(value: object) -> str:
    """Return a default as the page writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_settings_that_a_page_names_exist(page: Page) -> None:
    known = {name for name, _ in defaults(Settings)} | {"MILIEU_", "MILIEU_ANSWER"}

    assert {name.rstrip("_") for name in re.findall(r"\bMILIEU_[A-Z_]+", page.text)} <= {
        name.rstrip("_") for name in known
    }


def test_every_route_of_the_api_is_listed() -> None:
    text = Page(DOCS / "http-api.md").text
    listed = set(re.findall(r"`([A-Z]+ /[^`]*)`", text))

    routes = {
        f"{method} {route.path_format}"
        for route in create_app(Settings()).routes
        # What a browser opens is in no schema.
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    }
    assert listed == routes


def test_every_address_of_the_page_is_listed() -> None:
    listed = set(re.findall(r"`(/[^`]*)`", Page(DOCS / "page.md").text))
    routes = [route for route in create_app(Settings()).routes if isinstance(route, APIRoute)]
    of_programs = {route.path_format for route in routes if route.include_in_schema}

    # Those of programs answer HEAD as well.
    of_page = {route.path_format for route in routes if not route.include_in_schema} - of_programs
    assert {address for address in listed if address not in of_programs} == of_page


class Place(NamedTuple):
    """A service, a folder for what commands write, and settings for those that need no service.

    They have a vLLM of their own: two processes that swap adapters don't share one here.
    """

    address: str
    folder: Path
    variables: dict[str, str]

    def of_page(self, page: Page) -> Place:
        """Return the place with a new folder for the commands of a page."""
        folder = Path(tempfile.mkdtemp(prefix=page.path.stem, dir=self.folder))
        (folder / "docs").symlink_to(DOCS)
        # No link: those are refused in an adapter.
        shutil.copytree(self.folder / "german-lora", folder / "german-lora")
        return self._replace(folder=folder)


@pytest.fixture(scope="module")
def place(
    made_service: str,
    real_vllm: ServedVllm,
    vllm_model_dir: Path,
    cache_folder: Path,
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    folder = tmp_path_factory.mktemp("docs")
    base = folder / "base"
    base.symlink_to(vllm_model_dir)
    model = read_base_model(vllm_model_dir, name=real_vllm.model)
    config = lora_config(base_model_name_or_path=model.name)
    write_lora(folder / "german-lora", lora_tensors(model, seed=1), config)
    variables = {
        "MILIEU_VLLM__URLS": real_vllm.url,
        "MILIEU_VLLM__MODEL": real_vllm.model,
        "MILIEU_VLLM__API_KEY": real_vllm.api_key,
        "MILIEU_VLLM__READER": READER_NAME,
        "MILIEU_VLLM__LORA": "true",
        "MILIEU_VLLM__MODEL_PATH": str(base),
        "MILIEU_VLLM__MAX_LORAS": "2",
        "MILIEU_VLLM__MAX_CPU_LORAS": str(MAX_CPU_LORAS),
        "MILIEU_CACHE_FOLDER": str(cache_folder),
        "MILIEU_DATA_FOLDER": str(data_folder),
    }
    return Place(made_service, folder, variables)


def run_page(page: Page, place: Place, *, is_dosed: bool) -> None:
    """Run what a page tells its reader to, in its order, and check what that printed."""
    place, shown = place.of_page(page), {}
    for step in page.steps:
        if "--user" in step.text:
            wait_for_experiment(place.address)
        if not step.is_python and step.words[0] == "make":
            shown[step.text] = run_make(step, place, is_dosed=is_dosed)
            continue
        done = Step(dose(step.text) if is_dosed else shorten(step.text), step.is_python)
        shown[step.text] = ask(done, place.address, place.variables, cwd=place.folder)
        assert shown[step.text].strip(), step.text
    CHECKS[page.path.name](shown, place)


def dose(text: str) -> str:
    """Return a smaller dose of a command that takes minutes."""
    text = text.replace("--n-questions 12", "--n-questions 2")
    text = text.replace("--n-questions 20", "--n-questions 2")
    return text + LITTLE_TO_EVALUATE * text.startswith("milieu evaluate")


def shorten(text: str) -> str:
    """Return a command that asks no more than a test has time for."""
    is_whole = text.startswith("milieu evaluate") and "--questions" not in text
    return text + MORE_TO_EVALUATE * is_whole


def run_make(step: Step, place: Place, *, is_dosed: bool) -> str:
    target = step.words[1]
    if target == "serve":
        return run(make(target, "--dry-run"))
    told = "".join(word.removeprefix("ARGS=") for word in step.words[2:])
    arguments = {
        "bench": told,
        "evaluate": f"{told} --out {place.folder / 'results'}" + LITTLE_TO_EVALUATE * is_dosed,
    }
    # A benchmark takes the vLLM that runs, without a word of adapters.
    taken = {"URLS", "MODEL", "API_KEY"}
    variables = {
        name: value
        for name, value in place.variables.items()
        if "VLLM__" not in name or name.rpartition("__")[2] in taken
    }
    return run(make(target, f"ARGS={arguments[target]}"), variables)


def wait_for_experiment(address: str) -> None:
    """Wait until the service, whose tests ask nothing else of this culture, follows the store."""
    deadline = time.monotonic() + 30.0
    url = f"http://{address}/answer?culture=JP&user=u1&question=Is%20it%3F"
    while True:
        with urllib.request.urlopen(url, timeout=60) as reply:
            if json.loads(reply.read())["experiment"] is not None:
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def check_index(shown: dict[str, str], place: Place) -> None:
    assert str(BIN) in shown["make serve"]


def check_evaluation(shown: dict[str, str], place: Place) -> None:
    assert all("over plain" in text for text in shown.values())
    (folder,) = (place.folder / "milieu-results").iterdir()
    assert (folder / "report.html").is_file()


def check_culturespa(shown: dict[str, str], place: Place) -> None:
    spa = place.folder / "spa"
    cards = [read_card(file.parent) for file in spa.glob("5-*/*/card.json")]
    cultures = {culture for card in cards for culture in card.cultures}
    # One for all, and one each.
    assert len(cards) == len(cultures) + 1 >= 3
    # Each learned what it was shown.
    assert all(card.label_logprob["after"] > card.label_logprob["before"] for card in cards)
    (answer,) = (text for step, text in shown.items() if step.startswith("milieu ask"))
    assert "Method: adapter+icl, by culturespa-deu@" in answer
    (folder,) = (place.folder / "milieu-results").iterdir()
    [section] = Figures.model_validate_json((folder / "figures.json").read_bytes()).sections
    found = {condition.name: condition for condition in section.conditions}
    # The prompt is the same, so what differs is the weights.
    for adapted in ("joint", "specific"):
        assert found[f"adapter, {adapted}"].similarity != found["persona"].similarity
        assert found[f"adapter+icl, {adapted}"].similarity != found["persona+icl"].similarity


def check_experiments(shown: dict[str, str], place: Place) -> None:
    (answer,) = (text for step, text in shown.items() if step.startswith("milieu ask"))
    assert "Experiment: religion, arm " in answer
    (report,) = (text for step, text in shown.items() if "report religion --html" in step)
    assert "Continue" in report
    assert "<!DOCTYPE html>" in (place.folder / "religion.html").read_text()
    replays = [text for step, text in shown.items() if "replay" in step]
    assert len(replays) == 2
    assert all("adapter+icl" in text for text in replays)
    (receipt,) = (text for step, text in shown.items() if step.startswith("from milieu_client"))
    assert "repeated=False" in receipt


def check_adapters(shown: dict[str, str], place: Place) -> None:
    (answer,) = (json.loads(text) for step, text in shown.items() if step.startswith("curl"))
    assert answer["adapter"].startswith("german-lora@")
    assert answer["fallbacks"] == []


def check_performance(shown: dict[str, str], place: Place) -> None:
    assert "│" in shown["make bench"]


def check_methods(shown: dict[str, str], place: Place) -> None:
    (answer,) = (json.loads(text) for step, text in shown.items() if step.startswith("curl"))
    assert sum(share["share"] for share in answer["shares"]) == pytest.approx(1.0, abs=0.001)


def check_python(shown: dict[str, str], place: Place) -> None:
    asked, batch, tables, streamed = shown.values()
    assert asked.splitlines()[0] == "Not that important survey 1528"
    assert [line.split(" 0.")[0] for line in asked.splitlines()[1:]] == [
        "Germany survey",
        "Nigeria survey",
        "Japan transfer",
    ]
    assert "12, 6" in batch
    assert "wvs7:Q69" in tables
    assert streamed.strip()


def check_batches(shown: dict[str, str], place: Place) -> None:
    # One is asked, the other is written from its journal, and the third is sent by curl.
    *by_command, by_curl = shown.values()
    assert all("6 answered, 0 refused" in text for text in by_command)
    assert len(by_curl.splitlines()) == len((place.folder / "shares.csv").read_text().splitlines())
    table = place.folder / "shares.csv"
    assert table.read_text().splitlines()[1].startswith("0,0,0,DEU,Germany,")
    assert table.with_suffix(".parquet").is_file()


def check_surveys(shown: dict[str, str], place: Place) -> None:
    assert "MILIEU_PACK_FOLDERS" in "".join(shown.values())
    listed = run(["milieu", "packs"], {"MILIEU_PACK_FOLDERS": str(place.folder / "my-packs")})
    assert "lunch" in listed


CHECKS: dict[str, Callable[[dict[str, str], Place], None]] = {
    "index.md": check_index,
    "methods.md": check_methods,
    "evaluation.md": check_evaluation,
    "performance.md": check_performance,
    "adapters.md": check_adapters,
    "culturespa.md": check_culturespa,
    "experiments.md": check_experiments,
    "python.md": check_python,
    "surveys.md": check_surveys,
    "batches.md": check_batches,
}
TAKES_MINUTES = ("evaluation.md", "performance.md", "culturespa.md", "experiments.md")
# The tests of `milieu culturespa` train adapters in a smaller dose, and benchmarks are deep.
HAS_NO_DOSE = ("culturespa.md", "performance.md")
HAS_A_DOSE = [page for page in TOLD if page.path.name not in HAS_NO_DOSE]


def test_every_page_with_commands_is_checked() -> None:
    assert {page.path.name for page in TOLD} == set(CHECKS)


@pytest.mark.vllm
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", HAS_A_DOSE, ids=by_name)
def test_commands(page: Page, place: Place) -> None:
    run_page(page, place, is_dosed=True)


@pytest.mark.deep
@pytest.mark.vllm
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", [p for p in TOLD if p.path.name in TAKES_MINUTES], ids=by_name)
def test_commands_as_they_stand(page: Page, place: Place) -> None:
    run_page(page, place, is_dosed=False)
