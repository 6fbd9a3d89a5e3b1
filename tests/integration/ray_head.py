"""A Ray cluster of one node as a user would start it: processes of its own, reached by ``RAY_ADDRESS``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from free_port import free_port
from processes import kill_all

ROOT = Path(__file__).resolve().parents[2]
_SECONDS_TO_START = 240


@contextmanager
def ray_head(folder: Path, num_cpus: int) -> Iterator[str]:
    """Start ``ray start --head`` on the loopback device and give its address; everything is killed at the end.

    Args:
        folder: for its log; Ray's own files need a short path and lie in the temporary folder.
    """
    gcs, client, agent, metrics = (free_port() for _ in range(4))
    command = ["start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={gcs}", f"--num-cpus={num_cpus}"]
    command += [f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"]
    command += [f"--metrics-export-port={metrics}", "--include-dashboard=false", "--disable-usage-stats"]
    command += ["--object-store-memory=100000000"]
    with (folder / "ray.log").open("wb") as log:
        head = subprocess.Popen(
            [str(Path(sys.executable).with_name("ray")), *command],
            env=driver_environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_started(head, folder / "ray.log")
        yield f"127.0.0.1:{gcs}"
    finally:
        kill_all(head.pid)
        head.wait()


def driver_environment() -> dict[str, str]:
    """What the commands of a cluster on the loopback device, its drivers too, find in their environment."""
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_worker_niceness": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
        # Ray gives up on its own parts too early on a busy machine.
        "RAY_raylet_start_wait_time_s": "180",
        "RAY_worker_register_timeout_seconds": "180",
    }


def _wait_until_started(head: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while b"Ray runtime started" not in log.read_bytes():
        if head.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"ray start did not come up: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)
