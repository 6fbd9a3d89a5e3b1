from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.parallel.torch_thread import in_torch_thread, submit


def test_whoever_asks_the_same_thread_computes() -> None:
    together = threading.Barrier(3)

    def ask(_: int) -> int:
        together.wait()
        return in_torch_thread(threading.get_ident)

    with ThreadPoolExecutor(3) as askers:
        idents = set(askers.map(ask, range(3)))
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_what_goes_wrong_there_reaches_whoever_asked() -> None:
    with pytest.raises(ZeroDivisionError):
        in_torch_thread(divmod, 1, 0)
    assert submit(divmod, 7, 2).result() == (3, 1)
