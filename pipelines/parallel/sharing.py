"""How the cores of nodes are divided among workers: plain arithmetic, the same with and without a cluster."""

from __future__ import annotations

from collections.abc import Sequence


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
