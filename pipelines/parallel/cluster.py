"""The Ray cluster a training runs on: the one that ``RAY_ADDRESS`` names, or one of this machine alone."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
import ray._private.state
import torch
from ray import ObjectRef
from ray.autoscaler.sdk import request_resources
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.parallel.connect import connect_to_cluster
from pipelines.parallel.cpus import usable_cpus
from pipelines.parallel.device import gpu_problem
from pipelines.settings.params import RunSettings
from sgenet.errors import SettingsError, UserError

T = TypeVar("T")

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Workers keep the driver's folder: paths in the settings are relative to it.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Importing PyTorch on a busy machine may take longer than the minute that is the default.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "180",
}
_OBJECT_STORE_BYTES = 128 << 20
_START_ATTEMPTS = 3
_ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Cluster:
    """What a training knows of its cluster: what each worker asks for."""

    cpus_per_worker: int
    gpus_per_worker: int

    def room(self, own_workers: int = 0) -> int:
        """For how many workers there are resources now.

        Args:
            own_workers: workers of this training that run now: their resources count as free.
        """
        nodes = [_resources(node) for node in _usable_nodes()]
        # What other jobs use is known of the cluster as a whole only.
        free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
        cpus = int(free.get("CPU", 0)) // self.cpus_per_worker + own_workers
        gpus = int(free.get("GPU", 0)) // self.gpus_per_worker + own_workers if self.gpus_per_worker else cpus
        return min(room_for_workers(nodes, self.cpus_per_worker, self.gpus_per_worker), cpus, gpus)

    def room_that_answers(self) -> int:
        """The same, counting only nodes that answer: it takes a while until a dead node is known to be dead."""
        nodes = _usable_nodes()
        if len(nodes) < 2:
            return self.room()
        answering = [_resources(node) for node, _ in _answers(nodes, lambda: True)]
        return min(room_for_workers(answering, self.cpus_per_worker, self.gpus_per_worker), self.room())

    def check_gpus(self) -> None:
        """Look at the GPUs of every node on that node; of a training without them, at nothing.

        Raises:
            UserError: PyTorch cannot use those of a node, and why.
        """
        if not self.gpus_per_worker:
            return
        # Without a GPU of its own, which another job may hold: all of the node's can be seen.
        for node, problem in _answers([node for node in _usable_nodes() if _resources(node)[1]], gpu_problem):
            if problem is not None:
                address = node["NodeManagerAddress"]
                raise UserError(f"the node {address} of the cluster has GPUs that cannot be used: {problem}")


def room_for_workers(nodes: Sequence[tuple[int, int]], cpus: int, gpus: int) -> int:
    """For how many workers the nodes have resources; no worker is spread over two nodes.

    Args:
        nodes: CPUs and GPUs of each node.
        cpus, gpus: of one worker.
    """
    return sum(min(node_cpus // cpus, node_gpus // gpus if gpus else node_cpus) for node_cpus, node_gpus in nodes)


def cpus_of_a_worker(nodes: Sequence[tuple[int, int]], workers: int, gpus: int = 0) -> int:
    """The most CPUs that each of so many workers can have; 1 where there are fewer CPUs, or GPUs, than they need.

    Args:
        nodes: CPUs and GPUs of each node; cores of nodes without GPUs are of no use to workers that need one.
        gpus: of one worker.
    """
    most = max((cpus for cpus, _ in nodes), default=1)
    return max((count for count in range(1, most + 1) if room_for_workers(nodes, count, gpus) >= workers), default=1)


def leaving_nodes() -> set[str]:
    """The ids of the nodes whose end was announced: spot instances about to be taken away, nodes being drained."""
    # Ray Train's own watcher reads the same; there is no public way to it.
    return set(ray._private.state.state.get_draining_nodes())


@contextmanager
def joined_cluster(run: RunSettings) -> Iterator[Cluster]:
    """Use the cluster this process or ``RAY_ADDRESS`` is connected to, or start one.

    Raises:
        SettingsError: this machine has fewer GPUs than workers.
        UserError: the cluster does not answer or cannot be started.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    connected = ray.is_initialized()
    if not connected:
        _connect(run)
    try:
        nodes = [_resources(node) for node in _usable_nodes()]
        gpus = int(run.use_gpu)
        cluster = Cluster(run.cpus_per_worker or cpus_of_a_worker(nodes, run.max_workers, gpus), gpus)
        # For an autoscaler, where there is one; it remembers the wish until it is taken back.
        request_resources(bundles=[{"CPU": cluster.cpus_per_worker, "GPU": cluster.gpus_per_worker}] * run.max_workers)
        yield cluster
    finally:
        request_resources(bundles=[])
        if not connected:
            ray.shutdown()


def start_local_cluster(num_cpus: int) -> None:
    """Start a cluster that ends with this process; see :func:`pipelines.parallel.loopback.keep_to_loopback`.

    Its ports are free ones and its files lie in a folder of its own, so that whatever Ray starts or ends
    beside it on this machine neither finds nor disturbs it.

    Raises:
        UserError: Ray does not come up.
    """
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # Ray makes its workers nicer than everything else on the machine; here they are the work.
    os.environ.setdefault("RAY_worker_niceness", "0")
    folder = tempfile.mkdtemp(prefix="sge-ray-")
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            ray.init(
                address="local",
                _temp_dir=folder,
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_OBJECT_STORE_BYTES,
            )
            # Kept where Ray does not come up: its reasons are in there.
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            return
        # On a busy machine Ray's parts give up waiting for each other, after times that cannot be set
        # and with an error of no class of its own. The next attempt finds their files in memory.
        except Exception as error:
            ray.shutdown()
            if attempt == _START_ATTEMPTS:
                raise UserError(
                    f"Ray could not be started on this machine ({error}); run the command again when the machine "
                    "is less busy, or set run.workers to 0 to train without Ray"
                ) from error


def _connect(run: RunSettings) -> None:
    if os.environ.get("RAY_ADDRESS"):
        return connect_to_cluster()
    num_gpus = torch.cuda.device_count()
    if run.use_gpu and num_gpus < run.min_workers:
        raise SettingsError(
            [
                f"run.use_gpu asks for {run.min_workers} GPUs, one a worker, but this machine has {num_gpus}; "
                "lower run.workers or set run.use_gpu to false"
            ]
        )
    start_local_cluster(run.cpus_per_worker * run.max_workers or max(usable_cpus(), run.max_workers))


def _usable_nodes() -> list[dict[str, Any]]:
    leaving = leaving_nodes()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"] and node["NodeID"] not in leaving]


def _resources(node: dict[str, Any]) -> tuple[int, int]:
    return int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0))


def _answers(nodes: list[dict[str, Any]], question: Callable[[], T]) -> list[tuple[dict[str, Any], T]]:
    """The nodes that answer in time, and what they answer."""
    asked = {_ask(node["NodeID"], question): node for node in nodes}
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_SECONDS) if asked else ([], [])
    for reference in silent:
        ray.cancel(reference)
    answers = []
    for reference in answered:
        # Errors of many classes: the node died, it is leaving, its worker could not be started.
        with suppress(Exception):
            answers.append((asked[reference], ray.get(reference)))
    return answers


def _ask(node: str, question: Callable[[], T]) -> ObjectRef[T]:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    asked: Any = ray.remote(question).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    reference: ObjectRef[T] = asked.remote()
    return reference
