"""A function over many items on the Ray cluster that ``RAY_ADDRESS`` names; :mod:`pipelines.parallel.parallel`."""

from __future__ import annotations

import os
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import ObjectRef
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    TaskUnschedulableError,
    WorkerCrashedError,
)

from pipelines.parallel.connect import connect_to_cluster
from pipelines.storage.files import writing
from sgenet.errors import UserError, first_line

Item = TypeVar("Item")
Result = TypeVar("Result")

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # By default a task that the memory monitor kills is retried indefinitely.
    "RAY_task_oom_retries": "2",
}
_LOST = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, ObjectLostError)
_RETRIES = 2
_QUEUED_PER_UNIT = 2


def map_on_ray(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    most_at_once: int | None = None,
    shared: Path | None = None,
    gpu_share: float = 0,
) -> Iterator[Result]:
    """See :func:`pipelines.parallel.parallel.parallel_map`.

    Args:
        most_at_once: how many items may be under way; None lets the cluster decide, also while it grows.
        shared: a folder that every node must see.
        gpu_share: of a GPU, that each item takes.
    """
    with _connected(), _marked(shared) as marker:
        run: Any = ray.remote(_run).options(max_retries=_RETRIES, num_gpus=gpu_share)
        # Once for all items: what the function carries may be large.
        carried = ray.put(function)
        waiting: deque[ObjectRef[Result]] = deque()
        try:
            for item in items:
                waiting.append(run.remote(carried, item, marker))
                while len(waiting) >= (most_at_once or _room(gpu_share)):
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for reference in waiting:
                ray.cancel(reference)


def _run(function: Callable[[Item], Result], item: Item, marker: str | None) -> Result:
    """What runs on a node."""
    if marker is not None:
        folder = Path(marker).parent
        if not Path(marker).is_file():
            node = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
            raise UserError(
                f"the node {node} does not see the folder {folder}; run the command in a "
                "folder that all nodes of the cluster share, or use s3:// addresses"
            )
        os.chdir(folder)
    return function(item)


def _result(reference: ObjectRef[Result]) -> Result:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except _LOST as error:
        raise UserError(
            f"a worker process of the Ray cluster was lost {_RETRIES + 1} times at the same piece of work, most often "
            f"for want of memory ({first_line(error)}); use machines with more memory, or fewer CPUs a node"
        ) from error
    except TaskUnschedulableError as error:
        raise UserError(f"the Ray cluster has no machine for this work ({first_line(error)}); add nodes") from error


def _room(gpu_share: float) -> int:
    """How many items may be under way: enough to keep all of the cluster busy, also while it grows."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    units = resources.get("GPU", 0) / gpu_share if gpu_share else resources.get("CPU", 0)
    return max(1, int(units)) * _QUEUED_PER_UNIT


@contextmanager
def _connected() -> Iterator[None]:
    """Use the connection this process has, or connect to ``RAY_ADDRESS`` for the time of the block.

    Raises:
        UserError: no cluster answers there.
    """
    if ray.is_initialized():
        yield
        return
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    connect_to_cluster()
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _marked(shared: Path | None) -> Iterator[str | None]:
    """Put a marker into the folder that all nodes must see, and remove it afterwards.

    A node may have a folder of that name that is not the same: a copy of the working folder, for one.
    """
    if shared is None:
        yield None
        return
    marker = shared.absolute() / f".ray-{uuid.uuid4().hex}"
    with writing(marker):
        marker.touch()
    try:
        yield str(marker)
    finally:
        marker.unlink(missing_ok=True)
