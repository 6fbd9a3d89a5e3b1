"""The rate of work that several workers share, and what they took to start."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipelines.parallel.parallel import parallel_map
from pipelines.parallel.ray_map import map_on_ray

Item = TypeVar("Item")

_turns = itertools.count()  # that this process has done


class Timed(NamedTuple):
    """A piece of work: which worker did it, from when to when (clocks of one machine agree), and how many images."""

    worker: int
    begin: float
    end: float
    images: int


class Rate(NamedTuple):
    """Images a second once every worker has done a piece, and the seconds that were lost before."""

    images_per_second: float
    start_up: float


def spread(work: Callable[[Item], int], items: Sequence[Item], workers: int, over_ray: bool = False) -> Rate:
    """How fast so many workers do pieces of work: processes of this machine, or of the cluster of :func:`ray_cluster`.

    Args:
        work: a function of a module's top level, which gives the number of images it did.
    """
    started, timed_work = time.time(), partial(_timed, work)
    # A parallel_map with one worker would not go to the cluster. How much is under way follows from its cores, as in
    # the stages: with as many pieces as workers, one would wait for the other's piece.
    done = (
        list(map_on_ray(timed_work, items, None, Path()))
        if over_ray
        else list(parallel_map(timed_work, items, workers))
    )
    return steady_rate(done, started, workers)


def spread_by_turns(works: Sequence[Callable[[Item], int]], items: Sequence[Item], workers: int) -> list[float]:
    """Images a second of several works, done on the same pieces by the same processes of this machine.

    A process does each piece with one work after the other, the first of them by turns: whatever slows the machine
    for a while slows them alike, and their ratios hold where rates of separate runs drift apart. Counted is what the
    work itself takes once every process is at work, without what lies between pieces.

    Args:
        works: functions of modules' top levels, as for :func:`spread`.
    """
    done = list(parallel_map(partial(_timed_by_turns, works), items, workers))
    firsts: dict[int, list[Timed]] = {}
    for turn in sorted(done, key=_begin):
        firsts.setdefault(turn[0].worker, turn)
    all_at_work = max(map(_begin, firsts.values()))
    steady = [turn for turn in done if turn not in firsts.values() and _begin(turn) > all_at_work]
    _check_all_worked(len({turn[0].worker for turn in steady}), workers)
    rates = []
    for pieces in zip(*steady, strict=True):
        seconds = sum(piece.end - piece.begin for piece in pieces)
        rates.append(workers * sum(piece.images for piece in pieces) / seconds)
    return rates


@contextmanager
def ray_cluster(cores: int) -> Iterator[None]:
    """A cluster on this machine."""
    import ray

    from pipelines.parallel.cluster import start_local_cluster

    start_local_cluster(cores)
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        ray.shutdown()


def _timed(work: Callable[[Item], int], item: Item) -> Timed:
    begin = time.time()
    images = work(item)
    return Timed(os.getpid(), begin, time.time(), images)


def _timed_by_turns(works: Sequence[Callable[[Item], int]], item: Item) -> list[Timed]:
    first = next(_turns) % len(works)
    numbers = range(len(works))
    done = {number: _timed(works[number], item) for number in (*numbers[first:], *numbers[:first])}
    return [done[number] for number in numbers]


def _begin(turn: Sequence[Timed]) -> float:
    return min(piece.begin for piece in turn)


def steady_rate(done: Sequence[Timed], started: float, workers: int) -> Rate:
    """The rate from when all workers have done a piece to the end.

    Raises:
        SystemExit: a worker had nothing to do.
    """
    ends: dict[int, float] = {}
    for piece in sorted(done, key=lambda piece: piece.end):
        ends.setdefault(piece.worker, piece.end)
    _check_all_worked(len(ends), workers)
    ready, last = max(ends.values()), max(piece.end for piece in done)
    images = sum(
        piece.images * max(0.0, piece.end - max(piece.begin, ready)) / (piece.end - piece.begin) for piece in done
    )
    rate = images / (last - ready)
    before = sum(piece.images for piece in done) - images
    return Rate(rate, ready - started - before / rate)


def _check_all_worked(worked: int, workers: int) -> None:
    if worked != workers:
        raise SystemExit(f"{worked} of {workers} workers had enough to do; give more --images")
