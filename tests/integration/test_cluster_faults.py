"""Two nodes, data and state on S3: whatever is killed, the same command resumes to the same bits."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from training_process import Training, make_workspace, result_of, start_training
from two_nodes import TwoNodes, training_workers, two_nodes

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1200)]
LONG = {"steps": 100, "checkpoint_every": 10, "validate_every": 50}


@pytest.fixture(scope="module")
def cluster(s3_variables: dict[str, str], s3_client: Any) -> Iterator[TwoNodes]:
    s3_client.create_bucket(Bucket="cluster")
    with two_nodes(s3_variables) as cluster:
        yield cluster


@dataclass(frozen=True)
class Undisturbed:
    """What a training learns that nothing happens to, and how many workers each node had."""

    result: dict[str, bytes]
    workers: list[int]
    cached_shards: int


@pytest.fixture(scope="module")
def undisturbed(cluster: TwoNodes, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    workspace = _workspace(tmp_path_factory.mktemp("undisturbed"), tiny_dataset)
    training = start_training(workspace, cluster.environment)
    training.wait_for("step 1/")
    workers = [len(node.training_workers()) for node in cluster.nodes]
    training.finish()
    return Undisturbed(result_of(workspace), workers, len(list((workspace / "cache" / "shards").iterdir())))


def _workspace(folder: Path, dataset: Path) -> Path:
    return make_workspace(folder, dataset, f"s3://cluster/{folder.name}", {"workers": 2, "max_failures": 1}, **LONG)


def _goes_on(training: Training) -> None:
    step = int(training.wait_for("continuing after step").split()[-1])
    assert 0 < step < LONG["steps"]


def test_both_nodes_train_from_published_shards(undisturbed: Undisturbed) -> None:
    assert undisturbed.workers == [1, 1]
    # One for training, one for validation.
    assert undisturbed.cached_shards == 2


def test_a_killed_worker_changes_nothing(
    cluster: TwoNodes, undisturbed: Undisturbed, tiny_dataset: Path, tmp_path: Path
) -> None:
    workspace = _workspace(tmp_path, tiny_dataset)
    training = start_training(workspace, cluster.environment)
    training.wait_for("step 12/")
    training_workers(cluster)[-1].kill()
    training.wait_for("a worker was lost")
    _goes_on(training)
    training.finish()
    assert result_of(workspace) == undisturbed.result


def test_after_the_end_of_everything_the_same_command_goes_on(
    cluster: TwoNodes, undisturbed: Undisturbed, tiny_dataset: Path, tmp_path: Path
) -> None:
    workspace = _workspace(tmp_path, tiny_dataset)
    training = start_training(workspace, cluster.environment)
    training.wait_for("step 12/")
    training.kill()
    cluster.kill_all()
    assert not (workspace / "runs").exists()

    cluster.start()
    resumed = start_training(workspace, cluster.environment)
    _goes_on(resumed)
    resumed.finish()
    assert result_of(workspace) == undisturbed.result


def test_from_two_workers_to_one_and_back_the_order_and_the_losses_stay(
    cluster: TwoNodes, undisturbed: Undisturbed, tiny_dataset: Path, tmp_path: Path
) -> None:
    elastic = {"workers": {"min": 1, "max": 2, "look_every": 2}, "max_failures": 1}
    workspace = make_workspace(tmp_path, tiny_dataset, f"s3://cluster/{tmp_path.name}", elastic, **LONG)
    training = start_training(workspace, cluster.environment)
    training.wait_for("step 12/")
    assert len(training_workers(cluster)) == 2
    assert cluster.other is not None
    cluster.other.kill()
    _goes_on(training)
    # This one reaches the end before the other node is there, unless it pauses.
    training.wait_for("step ")
    (alone,) = training_workers(cluster)
    alone.suspend()
    cluster.start_other()
    training.wait_for("there is room for more than 1 workers")
    alone.resume()
    _goes_on(training)
    training.wait_for("step ")
    assert len(training_workers(cluster)) == 2
    training.finish()

    found, expected = _losses(result_of(workspace)), _losses(undisturbed.result)
    assert [row["step"] for row in found] == [row["step"] for row in expected] == list(range(1, LONG["steps"] + 1))
    # A batch of other samples would be off by far more than a sum in another order.
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-2, abs=1e-3)


def _losses(result: dict[str, bytes]) -> list[dict[str, float]]:
    rows = csv.DictReader(result["losses.csv"].decode().splitlines())
    return [{name: float(value) for name, value in row.items()} for row in rows]
