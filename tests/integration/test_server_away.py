"""The tracking server is stopped for a minute in the middle of a training: no step waits, no metric is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow_server import TrackingServer
from training_process import make_workspace, start_training

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]
STEPS = 40
SECONDS_AWAY = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path)
    server.start()
    yield server
    server.kill()


def test_a_training_does_not_wait_for_its_server_and_loses_no_metric(
    server: TrackingServer, tiny_dataset: Path, tmp_path: Path
) -> None:
    often = {"steps": STEPS, "checkpoint_every": 10, "validate_every": 20}
    workspace = make_workspace(tmp_path / "work", tiny_dataset, str(tmp_path / "storage"), {"workers": 0}, **often)
    training = start_training(workspace, os.environ | {"MLFLOW_TRACKING_URI": server.address})
    training.wait_for("step 5/")
    server.kill()
    stopped_at = time.monotonic()
    training.wait_for(f"step {STEPS}/")
    # All steps are done while the server is away.
    time.sleep(max(0.0, stopped_at + SECONDS_AWAY - time.monotonic()))
    server.start()
    training.finish()

    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"

    def steps(key: str) -> list[int]:
        return sorted(metric.step for metric in client.get_metric_history(run.info.run_id, key))

    assert steps("loss/reconstruction") == list(range(1, STEPS + 1))
    assert steps("val/psnr") == [20, 40]
    assert "model/model.safetensors" in [file.path for file in client.list_artifacts(run.info.run_id, "model")]
