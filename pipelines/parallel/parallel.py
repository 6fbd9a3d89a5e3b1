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
from contextlib import suppress
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from types import FrameType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipelines.parallel.cpus import usable_cpus
from sgenet.errors import SettingsError, UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED_PER_WORKER = 2
_FEWEST_PER_GPU, _PER_GPU_OF_A_CLUSTER = 2, 4
_GPU_BYTES_OF_A_PROCESS = 6 << 30
"""CUDA itself, a method's network, those that score it, and a batch."""


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    description: str = "",
    *,
    shared: Path | None = Path(),
    total: int | None = None,
    use_gpu: bool = False,
) -> Iterator[Result]:
    """Give ``function(item)`` for each item, in the order of the items, wherever they are computed.

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
        use_gpu: compute on GPUs, each of which several processes share: while the network of one runs, others decode,
            score, copy texture and encode. A process sees one GPU alone.

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

        results = map_on_ray(function, items, workers, shared, 1 / _PER_GPU_OF_A_CLUSTER if use_gpu else 0)
    else:
        gpus = visible_gpus() if use_gpu else []
        results = _on_this_machine(function, items, min(most, workers or _all_of_this_machine(len(gpus))), gpus)
    return _with_progress(results, total, description)


def cluster_is_addressed() -> bool:
    """Whether ``RAY_ADDRESS`` names a cluster to work on."""
    return bool(os.environ.get("RAY_ADDRESS", "").strip())


def workers_for(use_gpu: bool) -> int | None:
    """``workers`` for work that takes all that there is of this machine's GPUs or cores, or of a cluster."""
    if not use_gpu or cluster_is_addressed():
        return None
    gpus = len(visible_gpus())
    return _all_of_this_machine(gpus) if gpus else 1


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def _all_of_this_machine(num_gpus: int) -> int:
    """A process a core; with GPUs as many of them as these have memory for, but two a GPU at least."""
    cores = usable_cpus()
    if not num_gpus:
        return cores
    import torch

    memory = min(torch.cuda.get_device_properties(number).total_memory for number in range(num_gpus))
    return num_gpus * max(_FEWEST_PER_GPU, min(cores // num_gpus, memory // _GPU_BYTES_OF_A_PROCESS))


def _on_this_machine(
    function: Callable[[Item], Result], items: Iterable[Item], num_processes: int, gpus: list[str]
) -> Iterator[Result]:
    if num_processes <= 1:
        yield from map(function, items)
        return
    # Spawned rather than forked: a copy of a process that holds threads or torch may deadlock.
    context = multiprocessing.get_context("spawn")
    places = context.SimpleQueue()
    for number in range(num_processes):
        places.put(gpus[number % len(gpus)] if gpus else None)
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(num_processes, mp_context=context, initializer=_prepare_process, initargs=(places,))
    waiting: deque[Future[Result]] = deque()
    finished = False
    try:
        for item in items:
            waiting.append(pool.submit(_unless_interrupted, function, item))
            if len(waiting) >= num_processes * _QUEUED_PER_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        finished = True
    except BrokenProcessPool as error:
        raise UserError(
            f"one of {num_processes} worker processes was killed, most often for want of memory; use fewer workers"
        ) from error
    finally:
        if not finished:
            # What a worker is at may take minutes, and nobody waits for it any more.
            for process in set(multiprocessing.active_children()).difference(before):
                with suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGINT)
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_process(places: SimpleQueue[str | None]) -> None:
    """Take interrupts as :class:`_Interrupts` does, and one of the parent's GPUs before CUDA starts here."""
    signal.signal(signal.SIGINT, _INTERRUPTS.note)
    gpu = places.get()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu


class _Interrupts:
    """In a worker: an interrupt ends the item at work and all that follow; the parent alone speaks of it."""

    noted = working = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """As a handler of SIGINT. A second one disturbs no clean-up."""
        first, self.noted = not self.noted, True
        if first and self.working:
            raise KeyboardInterrupt


_INTERRUPTS = _Interrupts()


def _unless_interrupted(function: Callable[[Item], Result], item: Item) -> Result:
    if _INTERRUPTS.noted:
        raise KeyboardInterrupt
    _INTERRUPTS.working = True
    try:
        return function(item)
    finally:
        _INTERRUPTS.working = False


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
