from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from pipelines.parallel.parallel import parallel_map, visible_gpus, workers_for
from sgenet.errors import DataError, SettingsError, UserError


def _slower_when_smaller(number: int) -> int:
    time.sleep(0.02 * (4 - number))
    return number * number


def _refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("number 3 is unusable; take another")
    return number


def _has_torch(number: int) -> bool:
    return "torch" in sys.modules


def _die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_one_worker_is_this_process_and_works_item_by_item() -> None:
    done: list[int] = []
    results = parallel_map(lambda number: done.append(number) or os.getpid(), [1, 2, 3], workers=1)
    assert next(results) == os.getpid()
    assert done == [1]


def test_no_items_are_no_results() -> None:
    assert list(parallel_map(_refuse_three, [], workers=4)) == []


def _gpu(number: int) -> str:
    time.sleep(0.5)  # so that no process does them all
    return os.environ["CUDA_VISIBLE_DEVICES"]


@pytest.mark.slow
def test_the_processes_of_a_machine_share_its_gpus_and_each_sees_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5ab")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert workers_for(use_gpu=True) == 4
    assert set(parallel_map(_gpu, range(16), workers_for(use_gpu=True), num_gpus=1)) == {"2", "GPU-5ab"}


def test_gpus_are_counted_where_no_variable_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    assert visible_gpus() == [str(number) for number in range(8)]
    assert workers_for(use_gpu=True) == 16
    assert workers_for(use_gpu=False) is None


def test_no_workers_are_refused() -> None:
    with pytest.raises(SettingsError, match="at least 1, found 0"):
        parallel_map(_refuse_three, [1], workers=0)


@pytest.mark.slow
def test_results_come_in_the_order_of_the_items() -> None:
    assert list(parallel_map(_slower_when_smaller, range(5), workers=3)) == [0, 1, 4, 9, 16]


@pytest.mark.slow
def test_a_workers_sentence_arrives_unchanged() -> None:
    with pytest.raises(DataError, match=r"^number 3 is unusable; take another$"):
        list(parallel_map(_refuse_three, range(6), workers=2))


@pytest.mark.slow
def test_workers_do_not_load_torch() -> None:
    assert list(parallel_map(_has_torch, range(2), workers=2)) == [False, False]


@pytest.mark.slow
def test_a_killed_worker_is_explained() -> None:
    with pytest.raises(UserError, match="was killed, most often for want of memory"):
        list(parallel_map(_die, range(2), workers=2))
