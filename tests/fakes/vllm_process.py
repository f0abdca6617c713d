"""The fake vLLM as a process, for what supervises one: `python -m tests.fakes.vllm_process PORT`.

It starts a grandchild, as vLLM does, and asks for the key in `VLLM_API_KEY`. `ills.txt` in the
folder STATE decides how each start fares, a line each: `dies` (says why and ends with status 3),
`quotes` (prints `last_words.txt` of the folder and ends with status 1),
`hangs` (never listens), `falls-ill` (healthy for half a second), `stays` (ignores SIGTERM).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import uvicorn

from app.vllm.child_command import LocalVllmOptions
from tests.fakes.vllm import FakeVllm


def main() -> None:
    port, state = int(sys.argv[1]), Path(sys.argv[2])
    ill = _next_ill(state / "ills.txt")
    if ill == "dies":
        print("Traceback (most recent call last):\n  a frame\nMemoryError: too little of it")
        sys.exit(3)
    if ill == "quotes":
        print((state / "last_words.txt").read_text())
        sys.exit(1)
    if ill == "stays":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (state / "pids.txt").write_text(f"{os.getpid()} {grandchild.pid}")
    if ill in ("hangs", "stays"):
        threading.Event().wait()
    fake = FakeVllm(max_model_len=16384, api_key=os.environ["VLLM_API_KEY"])
    if ill == "falls-ill":
        threading.Timer(0.5, lambda: setattr(fake, "is_healthy", False)).start()
    uvicorn.run(fake.app, host="127.0.0.1", port=port, lifespan="off", ws="none", log_config=None)


def fake_command(options: LocalVllmOptions, port: int) -> list[str]:
    """Return the command of the fake in place of vLLM, with its state in the model's folder."""
    return [sys.executable, "-m", "tests.fakes.vllm_process", str(port), str(options.model_dir)]


def _next_ill(file: Path) -> str:
    ills = file.read_text().split() if file.exists() else []
    file.write_text("\n".join(ills[1:]))
    return ills[0] if ills else ""


if __name__ == "__main__":
    main()
