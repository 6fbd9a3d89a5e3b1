"""Training on Ray workers: how many there are changes nothing but the time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from processes import below, command
from ray_head import ray_head
from tiny import tiny_job

from pipelines.parallel.loopback import keep_to_loopback
from pipelines.settings.params import RunSettings
from pipelines.training import launch as launching
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.history import History
from pipelines.training.job import TrainingJob
from pipelines.training.launch import launch
from pipelines.training.worker import build_state
from sgenet.errors import DataError
from sgenet.training.state import TrainingState

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    keep_to_loopback()
    from pipelines.parallel import cluster as ours

    ours.start_local_cluster(num_cpus=2)
    yield
    ours.ray.shutdown()


def _listening(process: psutil.Process) -> set[tuple[str, int, str]]:
    """Address, port and process where a process listens; none where it has ended."""
    with suppress(psutil.NoSuchProcess):
        connections = process.net_connections("inet")
        listening = [connection.laddr for connection in connections if connection.status == psutil.CONN_LISTEN]
        return {(address.ip, address.port, process.name()) for address in listening}
    return set()


def test_local_cluster_cannot_be_reached_from_the_network() -> None:
    listening = {place for process in below(os.getpid()) for place in _listening(process)}
    assert listening
    assert {place for place in listening if place[0] not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")} == set()


def test_another_ray_that_starts_and_dies_beside_it_changes_nothing(tmp_path: Path) -> None:
    from pipelines.parallel.cluster import ray

    class Worker:
        """Known to Ray by its code: a test's module cannot be imported there."""

        def cluster(self) -> str:
            """The address of the cluster that whoever asks for one in this process is given."""
            import ray

            ray.init(ignore_reinit_error=True)
            return str(ray.get_runtime_context().gcs_address)

    worker = ray.remote(Worker).remote()
    before = ray.get(worker.cluster.remote())
    commands = [command(process) for process in below(os.getpid())]
    assert any("/sge-ray-" in said and "raylet" in said for said in commands)
    assert not any("/tmp/ray/" in said for said in commands)
    with ray_head(tmp_path, num_cpus=1) as address:
        assert ray.get(worker.cluster.remote()) == before != address
    assert ray.get(worker.cluster.remote()) == before
    assert {node["Alive"] for node in ray.nodes()} == {True}


def test_two_workers_reproduce_one(tiny_dataset: Path, tmp_path: Path) -> None:
    job = tiny_job(tiny_dataset, tmp_path / "two")
    expected, expected_state = _train(tiny_job(tiny_dataset, tmp_path / "one"), workers=0)
    history, state = _train(job, workers=2)
    assert len(history.losses) == job.recipe.training.steps
    for row, expected_row in zip(history.losses, expected.losses, strict=True):
        assert row.step == expected_row.step
        assert row.terms == pytest.approx(expected_row.terms, rel=1e-3, abs=1e-5)
    # Before any update, so exact but for the order of sums: both saw the same images with the same holes.
    for name in ("reconstruction", "segmentation", "discriminator"):
        assert history.losses[0].terms[name] == pytest.approx(expected.losses[0].terms[name], rel=1e-6)
    # Adam turns rounding into steps where a gradient is nearly 0: measured by how far training went.
    start = build_state(job)
    assert _distance(state, expected_state) < 0.02 * _distance(start, expected_state)


def test_what_the_user_can_fix_arrives_as_a_sentence(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One worker on Ray too, as where a cluster is addressed.
    monkeypatch.setattr(launching, "trains_here", lambda run: run.max_workers == 0)
    job = tiny_job(tiny_dataset, tmp_path, seed=9)
    broken = TrainingJob(**{**vars(job), "validation_split": "nowhere"})
    with pytest.raises(DataError, match="no samples of the split 'nowhere'"):
        launch(broken, RunSettings(workers=1, cpus_per_worker=1, max_failures=1))


def _train(job: TrainingJob, workers: int) -> tuple[History, TrainingState]:
    launch(job, RunSettings(workers=workers, cpus_per_worker=1))
    store = CheckpointStore(job.checkpoints, keep=1)
    state = build_state(job)
    store.load_newest(state, print)
    assert state.finished
    return store.load_history(state.step), state


def _distance(state: TrainingState, other: TrainingState) -> float:
    squared = torch.zeros(())
    for name in ("generator", "discriminator"):
        weights, others = (getattr(item.method, name).state_dict() for item in (state, other))
        squared += sum(((weights[key] - others[key]) ** 2).sum() for key in weights)
    return float(squared.sqrt())
