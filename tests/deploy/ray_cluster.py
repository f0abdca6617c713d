"""A Ray cluster on this machine, with Milieu on it: a process apart from the tests.

`python -m tests.deploy.ray_cluster PORT N_GATEWAYS N_ENGINES` prints `ready`, then does what each
line of its standard input says and prints `done`: `kill-replica NAME` ends a process of that
deployment by SIGKILL, `kill-node` a whole node, without a word to anyone, and `wait-for NAME N`
waits until N replicas of a deployment run. It ends with its standard input. With engines there is
one node, whose vLLM is the fake; without, there are two, half of the gateways on each.
"""

from __future__ import annotations

import signal
import sys
import time

import psutil
import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve import Application

from app.vllm.child_command import LocalVllmOptions
from deploy.ray.app import TARGET_IN_FLIGHT, engine, gateway

OBJECT_STORE_BYTES = 80 * 1024 * 1024


def main() -> None:
    port, n_gateways, n_engines = map(int, sys.argv[1:])
    cluster = Cluster()
    sizes = {"num_cpus": n_gateways + n_engines, "object_store_memory": OBJECT_STORE_BYTES}
    cluster.add_node(**sizes)
    second = None if n_engines else cluster.add_node(**sizes)
    ray.init(address=cluster.address, log_to_driver=False)
    # Nodes of one machine cannot both listen on the port.
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    serve.run(make_app(n_gateways, n_engines), name="milieu", route_prefix="/")
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["kill-replica", name]:
                kill_replica(name)
            case ["kill-node"]:
                cluster.remove_node(second, allow_graceful=False)
            case ["wait-for", name, n]:
                wait_for_replicas(name, int(n))
        print("done", flush=True)
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


def make_app(n_gateways: int, n_engines: int) -> Application:
    """Return the application with so many replicas from the start."""
    if n_engines:
        engines = engine.options(autoscaling_config=fixed(n_engines)).bind(fake_engine)
        return gateway.options(autoscaling_config=fixed(n_gateways)).bind(engines)
    each = -(-n_gateways // 2)
    spread = gateway.options(autoscaling_config=fixed(n_gateways), max_replicas_per_node=each)
    return spread.bind()


def fixed(n: int) -> dict[str, int]:
    return {"min_replicas": n, "max_replicas": n, "target_ongoing_requests": TARGET_IN_FLIGHT}


def fake_engine(options: LocalVllmOptions, port: int) -> list[str]:
    """Return the command of the fake in place of vLLM."""
    state = options.log_file.with_suffix(".state")
    state.mkdir(exist_ok=True)
    return [sys.executable, "-m", "tests.fakes.vllm_process", str(port), str(state)]


def wait_for_replicas(deployment: str, n: int) -> None:
    while True:
        of = serve.status().applications["milieu"].deployments[deployment]
        if of.replica_states == {"RUNNING": n}:
            return
        time.sleep(0.5)


def kill_replica(deployment: str) -> None:
    title = f"ray::ServeReplica:milieu:{deployment}"
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith(title):
            process.send_signal(signal.SIGKILL)
            return
    raise LookupError(f"no process {title}")


if __name__ == "__main__":
    main()
