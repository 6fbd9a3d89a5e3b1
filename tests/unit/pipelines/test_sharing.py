from __future__ import annotations

import pytest

from pipelines.parallel.cluster import cpus_of_a_worker, room_for_workers
from pipelines.settings.workers import batch_problem, num_workers


@pytest.mark.parametrize(
    ("batch_size", "fewest", "most", "room", "expected"),
    [
        (8, 1, 4, 4, 4),
        (8, 1, 4, 9, 4),
        # Three would have unequal shares, whose mean is not the mean over the batch.
        (8, 1, 4, 3, 2),
        (8, 3, 4, 3, None),
        (8, 2, 2, 1, None),
        (8, 2, 2, 2, 2),
        (7, 2, 6, 6, None),
        (7, 1, 6, 6, 1),
        (2, 1, 8, 8, 2),
    ],
)
def test_as_many_workers_as_divide_the_batch(
    batch_size: int, fewest: int, most: int, room: int, expected: int | None
) -> None:
    assert num_workers(batch_size, fewest, most, room) == expected


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "expected"),
    [([(4, 0), (4, 0)], 2, 0, 4), ([(3, 0), (3, 0)], 2, 0, 2), ([(16, 1), (16, 4)], 4, 1, 5), ([(4, 0)], 1, 1, 0)],
)
def test_no_worker_is_spread_over_two_nodes(nodes: list[tuple[int, int]], cpus: int, gpus: int, expected: int) -> None:
    assert room_for_workers(nodes, cpus, gpus) == expected


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [([(8, 0)], 2, 4), ([(3, 0), (1, 0)], 2, 1), ([(8, 0), (8, 0)], 3, 4), ([(2, 0)], 5, 1), ([], 1, 1)],
)
def test_cores_are_divided_so_that_all_workers_fit(nodes: list[tuple[int, int]], workers: int, expected: int) -> None:
    assert cpus_of_a_worker(nodes, workers) == expected


def test_cores_of_nodes_without_gpus_are_not_counted_for_workers_with_one() -> None:
    """Counted, they would make each worker ask for 8 cores, and a node of 8 cores and 8 GPUs hold one of the 8."""
    mixed = [(64, 0), (8, 8)]
    assert cpus_of_a_worker(mixed, 8, gpus=1) == 1
    assert room_for_workers(mixed, 1, 1) == 8
    assert cpus_of_a_worker([(64, 0), (96, 8)], 8, gpus=1) == 12


def test_a_batch_that_cannot_be_divided_is_named() -> None:
    assert batch_problem(8, 0, 0) is None
    assert batch_problem(8, 3, 4) is None
    assert "(8) must be a multiple of run.workers (3)" in str(batch_problem(8, 3, 3))
    assert "between run.workers.min (5) and run.workers.max (7)" in str(batch_problem(8, 5, 7))
