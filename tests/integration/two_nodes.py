"""A Ray cluster of two nodes on this machine, each with one core, to be disturbed.

The nodes are processes of their own, started by ``ray start``, reachable from this machine alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from free_port import free_port
from processes import below, command, kill_all

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 240.0
_START_ATTEMPTS = 4
# Both on the loopback device. Ray takes 127.0.0.1 for "this machine's address", which others can reach.
_HEAD_ADDRESS, _OTHER_ADDRESS = "127.0.0.2", "127.0.0.3"
_OBJECT_STORE_BYTES = 80 << 20


@dataclass
class Node:
    """One node: the ``ray start`` that runs it."""

    process: subprocess.Popen[bytes]

    def training_workers(self) -> list[psutil.Process]:
        """The worker processes of the training, without what was forked from them."""
        found = [process for process in below(self.process.pid) if "RayTrainWorker" in command(process)]
        forked = {process.pid for worker in found for process in below(worker.pid)}
        return [process for process in found if process.pid not in forked]

    def kill(self) -> None:
        """SIGKILL to all of it at once."""
        # Once it has ended and was waited for, its number may be another's.
        if self.process.poll() is None:
            kill_all(self.process.pid)
        self.process.wait()


@dataclass
class TwoNodes:
    """The cluster.

    Attributes:
        environment: of whatever connects to it.
        dashboard: whether jobs can be submitted.
        head, other: its nodes.
    """

    folder: Path
    environment: dict[str, str]
    dashboard: bool = False
    head: Node | None = None
    other: Node | None = None

    @property
    def jobs_address(self) -> str:
        """Where ``ray job submit`` connects to."""
        return f"http://127.0.0.1:{self.environment['TEST_DASHBOARD_PORT']}"

    @property
    def nodes(self) -> list[Node]:
        """Those that were started."""
        return [node for node in (self.head, self.other) if node is not None]

    def start(self) -> None:
        """Start what does not run, and wait until both nodes are there."""
        if self.head is None or self.head.process.poll() is not None:
            port, dashboard, client = free_port(), free_port(), free_port()
            self.environment |= {"RAY_ADDRESS": f"{_HEAD_ADDRESS}:{port}", "TEST_DASHBOARD_PORT": str(dashboard)}
            where = ["--head", f"--node-ip-address={_HEAD_ADDRESS}", f"--port={port}"]
            ports = [f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
            self.head = self._start_node("head", *where, *ports, f"--include-dashboard={self.dashboard}")
        self.start_other()

    def start_other(self) -> None:
        """Start the second node, unless it runs."""
        if self.other is None or self.other.process.poll() is not None:
            where = [f"--node-ip-address={_OTHER_ADDRESS}", f"--address={self.environment['RAY_ADDRESS']}"]
            self.other = self._start_node("other", *where)
        self.wait_for_nodes(2)

    def wait_for_nodes(self, count: int) -> None:
        """Wait until the cluster counts so many nodes."""
        asked = [sys.executable, str(Path(__file__).with_name("count_nodes.py")), str(count), str(_START_SECONDS)]
        subprocess.run(asked, env=self.environment, check=True, timeout=_START_SECONDS + 60)

    def kill_all(self) -> None:
        """SIGKILL to both nodes at once."""
        for node in self.nodes:
            node.kill()

    def _start_node(self, name: str, *options: str) -> Node:
        # As on two machines: each would unpack the code of a job over the other's copy, under which the job runs.
        (self.folder / name).mkdir(exist_ok=True)
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--block",
            "--num-cpus=1",
            "--num-gpus=0",
            f"--object-store-memory={_OBJECT_STORE_BYTES}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            f"--dashboard-agent-listen-port={free_port()}",
            f"--metrics-export-port={free_port()}",
            "--disable-usage-stats",
            "--include-log-monitor=false",
            f"--temp-dir={self.folder / name}",
            *options,
        ]
        # A node that does not come up within Ray's 30 seconds, which cannot be set, gives up.
        for _ in range(_START_ATTEMPTS):
            log = self.folder / f"start-{secrets.token_hex(3)}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command, stdout=output, stderr=subprocess.STDOUT, env=self.environment, start_new_session=True
                )
            while process.poll() is None:
                if "will now block" in log.read_text():
                    return Node(process)
                time.sleep(0.5)
        raise AssertionError(log.read_text())


@contextmanager
def two_nodes(environment: dict[str, str], dashboard: bool = False) -> Iterator[TwoNodes]:
    """Start the cluster, and end it."""
    # Short: the paths of Ray's sockets lie below it, and have a limit.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    cluster = TwoNodes(
        folder,
        os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
        }
        | environment
        # A cluster of several nodes is what this setting of one that keeps to itself forbids.
        | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"},
        dashboard,
    )
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill_all()
        shutil.rmtree(folder, ignore_errors=True)


def training_workers(cluster: TwoNodes) -> list[psutil.Process]:
    """The worker processes of the training, on both nodes."""
    return [process for node in cluster.nodes for process in node.training_workers()]
