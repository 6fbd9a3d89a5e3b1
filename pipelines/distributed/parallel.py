"""A function over many items in several processes: results in order, a progress bar, no torch in the workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sgenet.errors import SettingsError, UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED_PER_WORKER = 2


def parallel_map(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None, description: str = ""
) -> Iterator[Result]:
    """Give ``function(item)`` for each item, in the order of the items whatever the number of workers.

    Results are handed over as they come due and only a few items are under way at a time, so
    memory does not grow with their number. The first failure stops the rest and is raised here.

    Args:
        function: importable (of a module's top level, or a ``partial`` of one).
        workers: processes; 1 runs in this one, None takes every core this process may use.
        description: what the progress bar says; no bar where standard error is not a terminal.

    Raises:
        UserError: a worker was killed, most often for want of memory.
    """
    if workers is not None and workers < 1:
        raise SettingsError([f"the number of worker processes must be at least 1, found {workers}"])
    num_processes = min(workers or num_usable_cores(), len(items))
    results = map(function, items) if num_processes <= 1 else _in_processes(function, items, num_processes)
    return _with_progress(results, len(items), description)


def num_usable_cores() -> int:
    """The cores this process may run on, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _in_processes(function: Callable[[Item], Result], items: Sequence[Item], num_processes: int) -> Iterator[Result]:
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


def _with_progress(results: Iterator[Result], total: int, description: str) -> Iterator[Result]:
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
