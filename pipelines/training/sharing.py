"""How the work of a training is divided: plain arithmetic, the same with and without a cluster."""

from __future__ import annotations

from collections.abc import Sequence


def num_workers(batch_size: int, fewest: int, most: int, room: int) -> int | None:
    """How many workers train: as many as there is room for and the global batch can be divided among evenly.

    Equal shares are what makes the mean over workers the mean over the batch.

    Args:
        batch_size: of the global batch.
        fewest, most: the bounds of the settings.
        room: for how many the cluster has resources.

    Returns:
        None where there is no such number.
    """
    fitting = range(max(fewest, 1), min(most, room, batch_size) + 1)
    return max((count for count in fitting if batch_size % count == 0), default=None)


def room_for_workers(nodes: Sequence[tuple[int, int]], cpus: int, gpus: int) -> int:
    """For how many workers the nodes have resources; no worker is spread over two nodes.

    Args:
        nodes: CPUs and GPUs of each node.
        cpus, gpus: of one worker.
    """
    return sum(min(node_cpus // cpus, node_gpus // gpus if gpus else node_cpus) for node_cpus, node_gpus in nodes)


def cpus_of_a_worker(nodes: Sequence[tuple[int, int]], workers: int) -> int:
    """The most CPUs that each of so many workers can have; 1 where there are fewer CPUs than workers."""
    most = max((cpus for cpus, _ in nodes), default=1)
    return max((count for count in range(1, most + 1) if room_for_workers(nodes, count, 0) >= workers), default=1)


def batch_problem(batch_size: int, fewest: int, most: int) -> str | None:
    """Why a global batch cannot be divided among any number of workers within the bounds; None where it can."""
    if num_workers(batch_size, fewest, most, most) is not None or most == 0:
        return None
    if fewest == most:
        return f"training.batch_size ({batch_size}) must be a multiple of run.workers ({most}); change one of them"
    return (
        f"training.batch_size ({batch_size}) must be a multiple of a number of workers between run.workers.min "
        f"({fewest}) and run.workers.max ({most}); change one of them"
    )
