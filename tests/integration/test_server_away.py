"""The tracking server is stopped for a minute in the middle of a training: no step waits, no metric is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow_server import TrackingServer
from track_tiny import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("track_tiny.py")
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
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["MLFLOW_TRACKING_URI"] = server.address
    command = [sys.executable, str(SCRIPT), str(tiny_dataset), str(tmp_path / "storage"), str(tmp_path / "output")]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    stopped_at = 0.0
    for line in process.stdout:
        if "step 5/" in line:
            server.kill()
            stopped_at = time.monotonic()
        if re.search(rf"step {STEPS}/", line):
            # All steps are done while the server is away.
            assert stopped_at
            time.sleep(max(0.0, stopped_at + SECONDS_AWAY - time.monotonic()))
            server.start()
            break
    process.communicate(timeout=300)
    assert process.returncode == 0

    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"

    def steps(key: str) -> list[int]:
        return sorted(metric.step for metric in client.get_metric_history(run.info.run_id, key))

    assert steps("loss/reconstruction") == list(range(1, STEPS + 1))
    assert steps("val/psnr") == [20, 40]
    assert "output/model.safetensors" in [file.path for file in client.list_artifacts(run.info.run_id, "output")]
