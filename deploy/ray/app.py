"""Milieu on Ray Serve: `serve run deploy.ray.app:app` in the repository root. See docs/ray.md."""

from __future__ import annotations

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.context import _get_global_client

from app.logs import configure_logging
from app.main import create_app
from deploy.ray.settings import read_replica_settings

# Requests under way in one gateway, which waits for vLLM most of the time. Beyond the target
# another one is started; beyond the most they wait in Serve.
TARGET_IN_FLIGHT, MAX_IN_FLIGHT = 32, 256


@serve.ingress()
class GatewayReplica:
    """The whole service: the FastAPI application, with an index of its own in every replica."""

    def __serve_build_asgi_app__(self) -> FastAPI:
        settings = read_replica_settings(serve_host=_get_global_client().http_config.host)
        configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
        return create_app(settings)


gateway = serve.deployment(
    name="Gateway",
    max_ongoing_requests=MAX_IN_FLIGHT,
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": 8,
        "target_ongoing_requests": TARGET_IN_FLIGHT,
    },
    ray_actor_options={"num_cpus": 1},
    health_check_period_s=5,
    health_check_timeout_s=15,
    graceful_shutdown_timeout_s=20,
)(GatewayReplica)


def app(arguments: dict[str, str]) -> Application:
    """Return the application: gateways, and the vLLM servers that the settings name.

    Raises:
        ValueError: there are arguments; what there is to say is said by settings.
    """
    if arguments:
        raise ValueError(f"found the arguments {arguments}, expected none: see docs/settings.md")
    return gateway.bind()
