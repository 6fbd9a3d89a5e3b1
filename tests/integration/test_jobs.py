"""``ray job submit`` as the cluster guide has it: no data travel, two nodes train from S3, the run is in the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import FileInfo, Run
from mlflow_server import TrackingServer
from tiny import DATASET, METHOD
from training_process import make_workspace
from two_nodes import TwoNodes, two_nodes

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
STEPS = 6


@dataclass(frozen=True)
class Cluster:
    """The nodes, the tracking server, and the environment of whoever submits."""

    nodes: TwoNodes
    server: TrackingServer
    environment: dict[str, str]

    def submit(self, workspace: Path, *arguments: str) -> str:
        """``ray job submit`` of a command of ours, its output once it has ended well."""
        ray = str(Path(sys.executable).with_name("ray"))
        asked = [ray, "job", "submit", "--working-dir", ".", "--", "python", "-m", "pipelines", *arguments]
        address = {"RAY_ADDRESS": self.nodes.jobs_address}
        return _run(asked, workspace, self.environment | address)


@pytest.fixture(scope="module")
def cluster(
    s3_variables: dict[str, str], s3_client: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    server = TrackingServer(tmp_path_factory.mktemp("server"))
    server.start()
    environment = {
        **s3_variables,
        "MLFLOW_TRACKING_URI": server.address,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # The code that runs is the one that was submitted.
        "PYTHONPATH": "",
    }
    s3_client.create_bucket(Bucket="jobs")
    with two_nodes(environment, dashboard=True) as nodes:
        yield Cluster(nodes, server, nodes.environment | environment)
    server.kill()


@pytest.fixture(scope="module")
def workspace(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project with settings of its own, and data prepared."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("pipelines", "sgenet"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", ".rayignore", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    run = {"workers": 2, "max_failures": 0, "cache": {"folder": str(folder.parent / "cache")}}
    make_workspace(folder, tiny_dataset, "s3://jobs/store", run, steps=STEPS)
    params = folder / "params.yaml"
    settings = yaml.safe_load(params.read_text())
    settings["search"] |= {"steps": 2, "report_every": 1, "grace_steps": 1, "reduction_factor": 2}
    params.write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture(scope="module")
def published(cluster: Cluster, workspace: Path) -> Path:
    """The workspace, after ``publish``."""
    said = _run([sys.executable, "-m", "pipelines", "publish", "--dataset", DATASET], workspace, cluster.environment)
    assert f"{DATASET} is in s3://jobs/store" in said
    return workspace


def test_a_submitted_job_trains_on_both_nodes_what_was_published(
    cluster: Cluster, published: Path, s3_client: Any
) -> None:
    train, workspace = ("train", "--dataset", DATASET, "--method", METHOD), published
    tried = cluster.submit(workspace, *train, "--dry-run")
    assert "next            start from the beginning" in tried
    experiments = MlflowClient(cluster.server.address).search_experiments(filter_string=f"name = '{DATASET}'")
    assert experiments == []

    said = cluster.submit(workspace, *train)
    assert f"step {STEPS}/{STEPS}" in said
    # The job worked in a copy: its data came from the storage, and nothing was written here.
    assert not (workspace / "runs").exists()
    run = _only_run(cluster.server)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["val/psnr_hole"] > 0
    listed = s3_client.list_objects_v2(Bucket="jobs", Prefix="store/")["Contents"]
    assert any(run.data.tags["checkpoints"].endswith(entry["Key"].split("/")[2]) for entry in listed)

    # The same submission finds that all is done, and adds no run.
    assert "step 1/" not in cluster.submit(workspace, *train)
    assert _only_run(cluster.server).info.run_id == run.info.run_id


def test_a_submitted_search_brings_what_was_published(cluster: Cluster, published: Path) -> None:
    said = cluster.submit(published, "tune", "--dataset", DATASET, "--method", METHOD, "--trials", "2")
    assert "trial 2 of 2" in said
    client = MlflowClient(cluster.server.address)
    experiment = client.get_experiment_by_name(DATASET)
    assert experiment is not None
    (search,) = client.search_runs([experiment.experiment_id], filter_string=f"run_name LIKE 'search {METHOD} %'")
    assert search.info.status == "FINISHED"
    # The job's folder is gone; what was found is in the run.
    files = {
        file.path for folder in client.list_artifacts(search.info.run_id) for file in _files(client, search, folder)
    }
    assert {"best.yaml", "trials.csv"} <= {Path(file).name for file in files}


def _files(client: MlflowClient, run: Run, entry: FileInfo) -> list[FileInfo]:
    return list(client.list_artifacts(run.info.run_id, entry.path)) if entry.is_dir else [entry]


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _only_run(server: TrackingServer) -> object:
    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name(DATASET)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run
