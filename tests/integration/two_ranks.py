"""Two processes that run one function after another together, as two ranks of a training do."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from typing import Any

WORLD = 2


class TwoRanks:
    """Processes of their own, which import PyTorch once for all that they are asked."""

    def __init__(self) -> None:
        self._ranks: list[ProcessPoolExecutor] = []

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call ``function(rank, *arguments)`` in both at once, and wait for them."""
        if not self._ranks:
            context = multiprocessing.get_context("spawn")
            self._ranks = [ProcessPoolExecutor(1, mp_context=context) for _ in range(WORLD)]
        calls = [pool.submit(function, rank, *arguments) for rank, pool in enumerate(self._ranks)]
        try:
            for call in wait(calls, return_when=FIRST_EXCEPTION).done:
                call.result()
        except BaseException:
            # Where one fails, the other may wait for it for ever.
            self.kill()
            raise

    def kill(self) -> None:
        """End both; the next call starts others."""
        for pool in self._ranks:
            for process in (pool._processes or {}).values():
                process.kill()
            pool.shutdown()
        self._ranks = []
