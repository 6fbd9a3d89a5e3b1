from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE, STDOUT
from types import SimpleNamespace

import pytest

from pipelines.parallel import ray_map
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
    _machine(monkeypatch, cores=2, gigabytes=80)
    assert workers_for(use_gpu=True) == 4
    assert set(parallel_map(_gpu, range(16), workers_for(use_gpu=True), use_gpu=True)) == {"2", "GPU-5ab"}


def _machine(monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: int) -> None:
    monkeypatch.setattr("pipelines.parallel.parallel.usable_cpus", lambda: cores)
    memory = SimpleNamespace(total_memory=gigabytes * 10**9)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda number: memory)


@pytest.mark.parametrize(
    ("gpus", "cores", "gigabytes", "processes"),
    # Two a GPU at least; else a process a core; else as many as have 6 GiB of the GPU.
    [(8, 8, 141, 16), (1, 16, 141, 16), (8, 64, 80, 64), (8, 192, 80, 96), (1, 8, 24, 3), (1, 8, 8, 2), (0, 8, 0, 1)],
)
def test_as_many_processes_share_the_gpus_as_there_are_cores_and_memory_for(
    monkeypatch: pytest.MonkeyPatch, gpus: int, cores: int, gigabytes: int, processes: int
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    _machine(monkeypatch, cores, gigabytes)
    assert visible_gpus() == [str(number) for number in range(gpus)]
    assert workers_for(use_gpu=True) == processes
    assert workers_for(use_gpu=False) is None


def test_four_items_share_a_gpu_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    shares = []
    monkeypatch.setattr(ray_map, "map_on_ray", lambda *arguments: shares.append(arguments[-1]) or iter(()))
    for use_gpu in (True, False):
        list(parallel_map(abs, range(9), workers_for(use_gpu), use_gpu=use_gpu))
    assert shares == [1 / 4, 0]
    monkeypatch.setattr(ray_map.ray, "cluster_resources", lambda: {"CPU": 64.0, "GPU": 8.0})
    assert [ray_map._room(share) for share in shares] == [64, 128]


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


_INTERRUPTED = """
import os, signal, time
from pathlib import Path
from pipelines.parallel.parallel import parallel_map
from test_parallel import _work_for_a_minute

if __name__ == "__main__":
    try:
        list(parallel_map(_work_for_a_minute, range(8), workers=2))
    except KeyboardInterrupt:
        print("interrupted", sorted(path.name for path in Path().glob("*.left")))
"""


def _work_for_a_minute(number: int) -> None:
    Path(f"{number}.begun").touch()
    try:
        time.sleep(60)
    finally:
        Path(f"{number}.left").touch()


@pytest.mark.slow
@pytest.mark.parametrize("everybody", [True, False])
def test_an_interrupt_waits_for_no_worker_and_each_of_them_cleans_up(everybody: bool, tmp_path: Path) -> None:
    """Ctrl-C goes to the parent and its workers, `kill -INT` to the parent alone."""
    (tmp_path / "main.py").write_text(_INTERRUPTED)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "main.py"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=PIPE, stderr=STDOUT, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*.begun"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert said == "interrupted ['0.left', '1.left']\n"
    assert len(list(tmp_path.glob("*.begun"))) == 2
