"""The thread of a server's process in which networks are loaded and run.

OpenMP, by which PyTorch uses the cores, keeps a team of threads for every thread that has computed. Once the
teams together have more threads than there are cores, they wait for one another asleep, and filling an image takes
nearly twice as long. A server that answers in whatever thread is free would come to that with its second request.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_thread = ThreadPoolExecutor(1, thread_name_prefix="torch")


def in_torch_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in that thread, after all that was asked of it before, and wait for what comes of it."""
    return submit(function, *args, **kwargs).result()


def submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Have a function called in that thread."""
    return _thread.submit(function, *args, **kwargs)
