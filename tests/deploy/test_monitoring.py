"""The dashboard and the alerts read metrics that exist, by labels that these have."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.settings import VllmSettings
from tests.app.adapters import adapter_settings
from tests.app.service import NEIGHBOURS, opened
from tests.deploy.manifests import DEPLOY, ROOT
from tests.deploy.promql import Read, list_reads
from tests.fakes.vllm import FakeVllm, serve

# What Prometheus adds to whatever it scrapes, and the label of histograms.
SCRAPED = {"instance", "job", "le"}
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "milieu.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [target["expr"] for panel in PANELS for target in panel["targets"]]
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
EXPRESSIONS = [*TARGETS, *(alert["expr"] for alert in ALERTS)]
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gauge": ("",),
}


def alert_name(alert: dict[str, Any]) -> str:
    return str(alert["alert"])


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> str:
    """What `/metrics` of a service with adapters shows after an answer of each kind."""
    return asyncio.run(_scrape(cache_folder, tmp_path_factory.mktemp("data")))


async def _scrape(cache_folder: Path, folder: Path) -> str:
    with serve(FakeVllm(max_model_len=16384).app) as url:
        async with opened(adapter_settings(url, cache_folder, folder)) as client:
            asked = {"question": NEIGHBOURS, "culture": "DE", "max_tokens": 3}
            assert (await client.post("/answer", json=asked)).status_code == 200
            return (await client.get("/metrics")).text


@pytest.fixture(scope="module")
def metrics(scrape: str) -> dict[str, set[str]]:
    """Every metric of Milieu, with the labels that were seen of it."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scrape):
        for suffix in SUFFIXES[family.type]:
            found.setdefault(family.name + suffix, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def vllm_metrics() -> Iterator[str]:
    """The metrics of the vLLM that is installed, read from its source: importing it takes long."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        pytest.skip("needs vLLM; `make test` installs it")
    text = (Path(spec.origin).parent / "v1" / "metrics" / "loggers.py").read_text()
    for kind, name in re.findall(r'_(counter|gauge|histogram)_cls\(\s*name="(vllm:\w+)"', text):
        yield from (name + suffix for suffix in SUFFIXES[kind])


def test_a_metric_of_milieu_that_is_read_exists_and_has_the_labels(
    metrics: dict[str, set[str]],
) -> None:
    read = [each for text in EXPRESSIONS for each in list_reads(text)]
    ours = [each for each in read if not each.metric.startswith("vllm:")]
    assert ours
    assert {each.metric for each in ours} <= metrics.keys()
    # Of a metric without a sample the labels are not known.
    wrong = [
        each
        for each in ours
        if metrics[each.metric] and each.labels - metrics[each.metric] - SCRAPED
    ]
    assert wrong == []


def test_a_metric_of_vllm_that_is_read_exists() -> None:
    read = {each.metric for text in EXPRESSIONS for each in list_reads(text)}
    theirs = {name for name in read if name.startswith("vllm:")}
    assert theirs
    assert theirs <= set(vllm_metrics())


def test_the_dashboard_shows_every_metric_of_milieu(metrics: dict[str, set[str]]) -> None:
    shown = {each.metric for text in TARGETS for each in list_reads(text)}
    told = {name for name in metrics if not re.search(r"_(bucket|count|sum|created)$", name)}
    told |= {name for name in metrics if name.endswith("_bucket")}
    assert told - shown == set()


def test_an_expression_that_is_no_promql_and_a_name_in_it_are_found() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        list_reads("sum(rate(milieu_requests_total[5m])")
    (read,) = list_reads('sum by (route) (rate(milieu_requests{status="200"}[5m]))')
    assert read == Read("milieu_requests", frozenset({"route", "status"}))


def test_a_label_that_is_matched_is_one_that_steps_and_routes_have(scrape: str) -> None:
    seen = set(re.findall(r'step="(\w+)"', scrape))
    named = {step for text in EXPRESSIONS for step in re.findall(r'step="(\w+)"', text)}
    assert named <= seen


def test_panels_stand_beside_each_other_and_take_the_chosen_source() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not taken & cells
        taken |= cells
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables


@pytest.mark.parametrize("alert", ALERTS, ids=alert_name)
def test_an_alert_says_what_is_wrong_and_the_page_what_to_do(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"]["summary"]
    page = (ROOT / "docs" / "deployment.md").read_text()
    (line,) = re.findall(rf"^\| `{alert['alert']}` \| .+ \|$", page, flags=re.MULTILINE)
    assert line


def test_the_page_explains_no_alert_that_does_not_exist() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    told = set(re.findall(r"^\| `((?:Milieu|Vllm)\w+)` \|", page, flags=re.MULTILINE))
    assert told == {alert["alert"] for alert in ALERTS}


def test_full_is_what_the_settings_say_where_nothing_else_is_set() -> None:
    (full,) = [each["expr"] for each in ALERTS if each["alert"] == "MilieuUpstreamFull"]
    assert full == f"milieu_upstream_in_flight >= {VllmSettings().max_in_flight}"
