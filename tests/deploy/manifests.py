"""The manifests of deploy/, as objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

Manifest = dict[str, Any]


def read_documents(file: Path) -> list[Manifest]:
    """Return every document of a YAML file."""
    return [each for each in yaml.safe_load_all(file.read_text()) if each is not None]


def read_resources() -> list[Manifest]:
    """Return what `kubectl apply -k deploy/kubernetes` applies, before its images are renamed."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    return [
        each for name in kustomization["resources"] for each in read_documents(KUBERNETES / name)
    ]


def find(resources: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the one resource of that kind and name."""
    (found,) = [
        each for each in resources if each["kind"] == kind and each["metadata"]["name"] == name
    ]
    return found


def pod_templates(resources: list[Manifest]) -> dict[str, Manifest]:
    """Return the pod template of each workload, by the workload's name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in resources
        if each["kind"] in ("Deployment", "StatefulSet")
    }


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether a `matchLabels` takes what has `labels`; an empty one takes everything."""
    return selector.items() <= labels.items()


def references(node: object, key: str) -> Iterator[Any]:
    """Yield the value of every `key`, however deep it stands."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from references(value, key)
    elif isinstance(node, list):
        for each in node:
            yield from references(each, key)
