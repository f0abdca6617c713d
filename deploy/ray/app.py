"""Milieu on Ray Serve: `serve run deploy.ray.app:app` in the repository root. See docs/ray.md."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from app.logs import configure_logging
from app.main import create_app
from app.settings import read_settings
from deploy.ray.engine import EngineReplica, open_with_engine
from deploy.ray.settings import read_replica_settings

# Requests under way in one gateway, which waits for vLLM most of the time. Beyond the target
# another one is started; beyond the most they wait in Serve.
TARGET_IN_FLIGHT, MAX_IN_FLIGHT = 32, 256
# In one engine, which computes them together.
TARGET_IN_ENGINE, MAX_IN_ENGINE = 16, 64


@serve.ingress()
class GatewayReplica:
    """The whole service: the FastAPI application, with an index of its own in every replica."""

    def __init__(self, engine: DeploymentHandle | None = None) -> None:
        """Take the engine, None where the settings name servers."""
        self._engine = engine

    def __serve_build_asgi_app__(self) -> FastAPI:
        host = _get_global_client().http_config.host
        settings = read_replica_settings(serve_host=host, has_engine=self._engine is not None)
        configure_logging(level=settings.log_level, as_json=settings.log_format == "json")
        if self._engine is None:
            return create_app(settings)
        return create_app(settings, opener=partial(open_with_engine, self._engine))


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

engine = serve.deployment(
    name="Engine",
    max_ongoing_requests=MAX_IN_ENGINE,
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": 4,
        "target_ongoing_requests": TARGET_IN_ENGINE,
    },
    ray_actor_options={"num_cpus": 1},
    graceful_shutdown_timeout_s=20,
)(EngineReplica)


def app(arguments: dict[str, str]) -> Application:
    """Return the application: gateways, and engines unless the settings name vLLM servers.

    Raises:
        ValueError: there are arguments; what there is to say is said by settings.
        SettingsInvalid: as of `read_settings`.
    """
    if arguments:
        raise ValueError(f"found the arguments {arguments}, expected none: see docs/settings.md")
    return gateway.bind() if read_settings().vllm.urls else gateway.bind(engine.bind())
