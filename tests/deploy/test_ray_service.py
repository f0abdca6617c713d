"""deploy/kubernetes/ray: gateways on Ray Serve, in accord with deploy/kubernetes and deploy/ray."""

from __future__ import annotations

import ast
import importlib.util
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from app.settings import read_settings
from tests.deploy.custom_resources import list_faults
from tests.deploy.manifests import (
    DEPLOY,
    KUBERNETES,
    ROOT,
    Manifest,
    find,
    pod_templates,
    read_documents,
    read_resources,
    selects,
)
from tests.deploy.test_kubernetes import KUBERNETES_VERSION, SECURITY

RAY = KUBERNETES / "ray"
(SERVICE,) = read_documents(RAY / "rayservice.yaml")
POLICIES = read_documents(RAY / "network-policies.yaml")
CLUSTER = SERVICE["spec"]["rayClusterConfig"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
TEMPLATES = {"head": CLUSTER["headGroupSpec"]["template"], "workers": WORKERS["template"]}
SERVE_CONFIGS: dict[str, dict[str, Any]] = {
    "rayservice.yaml": yaml.safe_load(SERVICE["spec"]["serveConfigV2"]),
    "serve.yaml": yaml.safe_load((DEPLOY / "ray" / "serve.yaml").read_text()),
}
DOCKERFILE = (DEPLOY / "ray" / "Dockerfile").read_text()


def container(group: str) -> Manifest:
    (only,) = TEMPLATES[group]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_the_service_is_valid_and_so_are_its_pods() -> None:
    assert list_faults(SERVICE) == []
    for name, template in TEMPLATES.items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}} | {
            "spec": template["spec"]
        }
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)
    for policy in POLICIES:
        kubernetes_validate.validate(policy, KUBERNETES_VERSION, strict=True)
    kustomization = yaml.safe_load((RAY / "kustomization.yaml").read_text())
    assert set(kustomization["resources"]) == {
        path.name for path in RAY.glob("*.yaml") if path.name != "kustomization.yaml"
    }


def test_a_field_that_kuberay_does_not_know_is_refused() -> None:
    wrong = SERVICE | {"spec": SERVICE["spec"] | {"serveConfig": ""}}
    (fault,) = list_faults(wrong)
    assert "serveConfig" in fault


@pytest.mark.parametrize("group", TEMPLATES)
def test_its_pods_are_set_as_the_gateways_of_the_deployment(group: str) -> None:
    resources = read_resources()
    (gateway,) = pod_templates(resources)["gateway"]["spec"]["containers"]
    ours = container(group)
    assert ours["env"] == gateway["env"]
    assert ours["envFrom"] == gateway["envFrom"]
    assert ours["volumeMounts"] == [
        {**each, "readOnly": True} if each.get("readOnly") else each
        for each in gateway["volumeMounts"]
    ]
    assert ours["securityContext"] == SECURITY | {"capabilities": {"drop": ["ALL"]}}
    spec = TEMPLATES[group]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["enableServiceLinks"] is False
    volumes = {each["name"] for each in spec["volumes"]}
    assert {each["name"] for each in ours["volumeMounts"]} == volumes


def test_only_the_head_may_ask_the_api_server() -> None:
    assert TEMPLATES["workers"]["spec"]["automountServiceAccountToken"] is False
    assert CLUSTER["authOptions"] == {"mode": "token"}


def test_versions_are_those_of_the_lock_and_the_image() -> None:
    lines = (ROOT / "requirements" / "ray.lock").read_text().splitlines()
    (pin,) = [Requirement(each) for each in lines if each.startswith("ray==")]
    assert str(pin.specifier) == f"=={CLUSTER['rayVersion']}"
    assert {container(group)["image"] for group in TEMPLATES} == {"milieu-ray:0.1.0"}
    assert "-r requirements/ray.lock" in DOCKERFILE


@pytest.mark.parametrize("name", SERVE_CONFIGS)
def test_serve_runs_what_is_there_on_the_port_of_the_image(name: str) -> None:
    config = SERVE_CONFIGS[name]
    (application,) = config["applications"]
    module, _, attribute = application["import_path"].partition(":")
    tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text())
    assert attribute in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    named = {
        keyword.value.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
    }
    assert {each["name"] for each in application["deployments"]} <= named
    (port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, flags=re.MULTILINE)
    assert config["http_options"]["port"] == int(port)
    assert SERVE_CONFIGS["serve.yaml"]["applications"] == config["applications"]


# Ray's own models, as they are imported.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", SERVE_CONFIGS)
def test_rays_own_schema_takes_the_configuration(name: str) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray: pip install --no-deps -r requirements/ray.lock")
    from ray.serve.schema import ServeDeploySchema

    assert ServeDeploySchema.model_validate(SERVE_CONFIGS[name]).applications


def test_the_image_names_the_proxies_their_middleware() -> None:
    (named,) = re.findall(r"PROXY_CALLBACK_IMPORT_PATH=([\w.]+)", DOCKERFILE)
    module, _, function = named.rpartition(".")
    assert hasattr(importlib.import_module(module), function)


def test_the_settings_of_the_image_are_real(monkeypatch: pytest.MonkeyPatch) -> None:
    given = re.findall(r"(MILIEU_\w+)=(\S+)", DOCKERFILE)
    assert given
    for variable, value in given:
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("MILIEU_API_KEYS", "some-key")
    assert read_settings().host == "0.0.0.0"


def test_gateways_on_ray_reach_vllm_and_each_other() -> None:
    labels = TEMPLATES["workers"]["metadata"]["labels"]
    assert TEMPLATES["head"]["metadata"]["labels"] == labels
    vllm = pod_templates(read_resources())["vllm"]["metadata"]["labels"]
    ours = find(POLICIES, "NetworkPolicy", "ray")["spec"]
    assert selects(ours["podSelector"]["matchLabels"], labels)
    opened = [
        each["to"][0]["podSelector"]["matchLabels"] for each in ours["egress"] if "to" in each
    ]
    assert any(selects(chosen, labels) for chosen in opened)
    assert any(selects(chosen, vllm) for chosen in opened)
    theirs = find(POLICIES, "NetworkPolicy", "vllm-from-ray")["spec"]
    assert selects(theirs["podSelector"]["matchLabels"], vllm)
    (peer,) = theirs["ingress"][0]["from"]
    assert selects(peer["podSelector"]["matchLabels"], labels)
    gateways = find(read_resources(), "Service", "gateway")["spec"]["selector"]
    assert not selects(gateways, labels)
