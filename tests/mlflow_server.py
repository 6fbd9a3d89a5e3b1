"""A tracking server on the loopback device that can be stopped, killed and started again on its port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from free_port import free_port
from mlflow_store import make_store


class TrackingServer:
    """``mlflow server``, whose address stays the same when it is started again.

    Args:
        root: folder for what it keeps.
        workers: its processes.
        database: where runs are kept, with its tables; a file of SQLite below ``root`` where none is given.
        artifacts: where files are kept; a folder below ``root`` where no address is given.
    """

    def __init__(self, root: Path, workers: int = 1, database: str | None = None, artifacts: str | None = None) -> None:
        self._root = root
        self._workers = workers
        self._database = database or make_store(root)
        self._artifacts = artifacts or str(root / "artifacts")
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._database]
        command += ["--host", "127.0.0.1", "--port", str(self._port), "--workers", str(self._workers)]
        command += ["--artifacts-destination", self._artifacts]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        log_path = self._root / "server.log"
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=self._root
            )
        for _ in range(600):
            assert self._process.poll() is None, log_path.read_text()
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.5)
        raise AssertionError(f"the server did not answer in five minutes: {log_path.read_text()}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it at once; without effect where it is not running."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            self._process.wait()
            self._process = None
