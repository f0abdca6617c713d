"""The fake vLLM where a service looks for the real one: as the module that its child runs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import uvicorn

from tests.fakes.vllm import FakeVllm

_ROOT = Path(__file__).parents[2]
_SERVER = "from tests.fakes.vllm_module import main\n\nmain()\n"


def write_vllm_module(folder: Path) -> str:
    """Write a package `vllm` whose server is the fake; return the PYTHONPATH that finds it."""
    module = folder / "vllm" / "entrypoints" / "openai"
    module.mkdir(parents=True)
    for package in (module, module.parent, module.parent.parent):
        (package / "__init__.py").touch()
    (module / "api_server.py").write_text(_SERVER)
    return f"{folder}{os.pathsep}{_ROOT}"


def main() -> None:
    """Serve until SIGTERM, beside a process that stands for the engine and ends with this one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--served-model-name")
    args, _ = parser.parse_known_args()
    # uvicorn passes on the signal that it ends by.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    fake = FakeVllm(
        model=args.served_model_name, max_model_len=16384, api_key=os.environ["VLLM_API_KEY"]
    )
    fake.keeps_requests = False
    try:
        uvicorn.run(
            fake.app, host="127.0.0.1", port=args.port, lifespan="off", ws="none", log_config=None
        )
    finally:
        engine.kill()
