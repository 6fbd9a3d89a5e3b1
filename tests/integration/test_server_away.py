"""The tracking server goes away and comes back: no call waits for it, nothing is lost, order is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow_server import TrackingServer
from track_tiny import STEPS

from pipelines.tracking.logger import RunLogger
from pipelines.tracking.runs import close_run, open_run
from pipelines.tracking.upkeep import look_after

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("track_tiny.py")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    return MlflowClient(server.address)


def steps_of(client: MlflowClient, run_id: str, key: str = "loss") -> list[int]:
    """As the store keeps them: by when they were recorded, then by step."""
    return [metric.step for metric in client.get_metric_history(run_id, key)]


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, **options)


def test_what_was_logged_while_the_server_hung_and_was_dead_arrives_once_and_in_order(
    server: TrackingServer, client: MlflowClient
) -> None:
    run_id = open_run("tests", "away", name="away", params={})
    picture = np.full((4, 5, 3), 200, np.uint8)
    with RunLogger(run_id) as logger:
        logger.metrics({"loss": 1.0}, 1)
        assert logger.flush()
        # Hanging: a call that waited for an answer would not come back, as nobody lets the server go on meanwhile.
        server.send(signal.SIGSTOP)
        for step in range(2, 12):
            logger.metrics({"loss": float(step)}, step)
        logger.image(picture, "samples", 11)
        assert not logger.flush(seconds=0.5)
        server.kill()
        for step in range(12, 22):
            logger.metrics({"loss": float(step)}, step)
        logger.dict({"answer": 42}, "late.json")
        server.start()
        assert logger.flush(seconds=120)
    assert steps_of(client, run_id) == list(range(1, 22))
    names = [file.path for file in client.list_artifacts(run_id, "images")]
    assert sum(name.endswith(".png") for name in names) == 1
    assert [file.path for file in client.list_artifacts(run_id) if file.path.endswith(".json")] == ["late.json"]
    close_run(run_id, "FINISHED")


def test_a_process_killed_while_the_server_was_dead_loses_no_record(
    server: TrackingServer, client: MlflowClient
) -> None:
    run_id = open_run("tests", "killed", name="killed", params={})
    with RunLogger(run_id) as logger:
        for step in (1, 2, 3, 4):
            logger.metrics({"loss": float(step)}, step)
    server.kill()
    assert start("log", run_id).wait(timeout=120) == -signal.SIGKILL
    server.start()
    assert steps_of(client, run_id) == [1, 2, 3, 4]
    look_after(server.address)
    assert steps_of(client, run_id) == list(range(1, 9))
    look_after(server.address)
    assert steps_of(client, run_id) == list(range(1, 9))


def test_a_run_whose_driver_was_killed_does_not_stay_running(client: MlflowClient) -> None:
    process = start("drive")
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    assert process.wait(timeout=120) == -signal.SIGKILL
    assert client.get_run(run_id).info.status == "RUNNING"
    close_run(open_run("tests", "the next command", name="next", params={}), "FINISHED")
    assert client.get_run(run_id).info.status == "KILLED"


def test_a_training_goes_on_without_its_server_and_every_step_is_in_the_run(
    server: TrackingServer, client: MlflowClient, tiny_dataset: Path, tmp_path: Path
) -> None:
    process = start("train", tiny_dataset, tmp_path / "storage", tmp_path / "output")
    assert process.stdout is not None
    for line in process.stdout:
        if "step 5/" in line:
            server.kill()
        if f"step {STEPS}/" in line:
            # All steps are done before the server is there again.
            server.start()
            break
    process.communicate(timeout=300)
    assert process.returncode == 0
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert steps_of(client, run.info.run_id, "loss/reconstruction") == list(range(1, STEPS + 1))
    assert steps_of(client, run.info.run_id, "val/psnr") == [20, 40]
    assert (tmp_path / "output" / "model.safetensors").exists()
