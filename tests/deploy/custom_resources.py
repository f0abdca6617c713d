"""JSON schemas of what is no part of Kubernetes, as far as the manifests of deploy/ use it.

Written down from the types of the operators, for no package publishes their schemas: a field that
is not named here is refused, one that is named may be filled in further than is checked.

Source: prometheus-operator, pkg/apis/monitoring/v1 (ServiceMonitorSpec, Endpoint); kuberay,
ray-operator/apis/ray/v1 (RayServiceSpec, RayClusterSpec, HeadGroupSpec, WorkerGroupSpec).
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]

NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
DURATION = {"type": "string", "pattern": r"^(0|([0-9]+(ms|[smhdwy]))+)$"}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def fields(required: dict[str, Any], **optional: Any) -> Schema:
    """Return the schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": sorted(required),
        "additionalProperties": False,
    }


METADATA = fields({"name": NAME}, namespace=NAME, labels=STRINGS, annotations=STRINGS)
SECRET_KEY = fields({"key": {"type": "string"}}, name=NAME, optional={"type": "boolean"})
ENDPOINT = fields(
    {},
    port=NAME,
    path={"type": "string", "pattern": "^/"},
    scheme={"enum": ["http", "https"]},
    interval=DURATION,
    scrapeTimeout=DURATION,
    authorization=fields({"credentials": SECRET_KEY}, type={"type": "string"}),
    honorLabels={"type": "boolean"},
)
SERVICE_MONITOR = fields(
    {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "ServiceMonitor"},
        "metadata": METADATA,
        "spec": fields(
            {
                "selector": fields({}, matchLabels=STRINGS),
                "endpoints": {"type": "array", "items": ENDPOINT, "minItems": 1},
            },
            namespaceSelector=fields({}, any={"type": "boolean"}, matchNames={"type": "array"}),
            jobLabel={"type": "string"},
        ),
    }
)
# Pod templates are Kubernetes' own, and checked by its schemas.
GROUP: Schema = {"rayStartParams": STRINGS, "template": {"type": "object"}}
COUNT = {"type": "integer", "minimum": 0}
WORKERS = fields(
    GROUP | {"groupName": NAME, "minReplicas": COUNT, "maxReplicas": COUNT},
    replicas=COUNT,
    numOfHosts=COUNT,
)
RAY_CLUSTER = fields(
    {"headGroupSpec": fields(GROUP, serviceType={"type": "string"})},
    workerGroupSpecs={"type": "array", "items": WORKERS},
    rayVersion={"type": "string"},
    enableInTreeAutoscaling={"type": "boolean"},
    authOptions=fields({"mode": {"enum": ["token", "disabled"]}}),
)
RAY_SERVICE = fields(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayService"},
        "metadata": METADATA,
        "spec": fields({"serveConfigV2": {"type": "string"}, "rayClusterConfig": RAY_CLUSTER}),
    }
)
SCHEMAS = {"RayService": RAY_SERVICE, "ServiceMonitor": SERVICE_MONITOR}


def list_faults(manifest: dict[str, Any]) -> list[str]:
    """Return what is wrong with a custom resource, with its place; nothing if it is right.

    Raises:
        KeyError: there is no schema for its kind.
    """
    validator = Draft202012Validator(SCHEMAS[manifest["kind"]])
    return [f"{each.json_path}: {each.message}" for each in validator.iter_errors(manifest)]
