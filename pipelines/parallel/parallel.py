"""A function over many items, on the cores of this machine or of a Ray cluster: results in order, a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipelines.parallel.cpus import usable_cpus
from sgenet.errors import SettingsError, UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED_PER_WORKER = 2


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    description: str = "",
    *,
    shared: Path | None = Path(),
    total: int | None = None,
    num_gpus: int = 0,
) -> Iterator[Result]:
    """Give ``function(item)`` for each item, in the order of the items whoever does the work.

    The work is done on the Ray cluster that ``RAY_ADDRESS`` names, where it is set, and by processes of
    this machine otherwise; the results are the same. They are handed over as they come due and only a
    few items are under way at a time, so memory does not grow with their number. The first failure
    stops the rest and is raised here, as the exception it was there.

    Args:
        function: importable (of a module's top level, or a ``partial`` of one) by the workers. On a
            cluster an item whose worker is lost is tried again, so it must not matter if it is begun twice.
        items: taken one at a time, as there is room for them.
        workers: processes, or items under way on a cluster; 1 runs in this process, None takes every
            core this process may use, or the whole cluster.
        description: what the progress bar says; no bar where standard error is not a terminal.
        shared: a folder that every node of a cluster must see and where its workers run: the working folder by
            default, so that relative paths mean the same. None where the function touches no files of this machine.
        total: how many items there are, where ``items`` does not say.
        num_gpus: that each item needs for itself on a cluster.

    Raises:
        UserError: a worker was killed, most often for want of memory; the cluster does not answer; a
            node does not see ``shared``.
    """
    if workers is not None and workers < 1:
        raise SettingsError([f"the number of worker processes must be at least 1, found {workers}"])
    if total is None and isinstance(items, Sized):
        total = len(items)
    most = total if total is not None else sys.maxsize
    if min(most, workers or most) <= 1:
        results: Iterator[Result] = map(function, items)
    elif cluster_is_addressed():
        from pipelines.parallel.ray_map import map_on_ray

        results = map_on_ray(function, items, workers, shared, num_gpus)
    else:
        results = _on_this_machine(function, items, min(most, workers or usable_cpus()))
    return _with_progress(results, total, description)


def cluster_is_addressed() -> bool:
    """Whether ``RAY_ADDRESS`` names a cluster to work on."""
    return bool(os.environ.get("RAY_ADDRESS", "").strip())


def workers_for(use_gpu: bool) -> int | None:
    """``workers`` for work that takes a GPU or all it can get.

    A GPU of this machine is one: its processes would wait for each other. A cluster gives one to each item.
    """
    return 1 if use_gpu and not cluster_is_addressed() else None


def _on_this_machine(function: Callable[[Item], Result], items: Iterable[Item], num_processes: int) -> Iterator[Result]:
    if num_processes <= 1:
        yield from map(function, items)
        return
    # Spawned rather than forked: a copy of a process that holds threads or torch may deadlock.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_processes, mp_context=context, initializer=_leave_interrupts_to_parent)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= num_processes * _QUEUED_PER_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            f"one of {num_processes} worker processes was killed, most often for want of memory; use fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _with_progress(results: Iterator[Result], total: int | None, description: str) -> Iterator[Result]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(results, total=total, description=description)
