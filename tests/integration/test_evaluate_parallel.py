"""Evaluating over processes, or over a Ray cluster, gives the bytes that evaluating in one process gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray_head import driver_environment, ray_head
from tiny import DATASET, METHOD, make_dataset, tiny_job, tiny_settings

from pipelines.distributed import parallel
from pipelines.evaluation import run
from pipelines.stages import evaluate
from pipelines.training.worker import build_state
from sgenet.methods.release import save_released

pytestmark = pytest.mark.slow
_PICTURES = 240
"""A third of them is scored: more than one block."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data prepared, and a model as the train stage leaves it, though nothing has taught it."""
    folder = tmp_path_factory.mktemp("evaluation")
    root = folder / "data" / DATASET
    make_dataset(root, _PICTURES)
    settings = tiny_settings(root, folder / "storage")
    (folder / "params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    job = tiny_job(root, folder / "storage")
    generator = build_state(job).ema.network
    save_released(folder / "runs" / DATASET / METHOD / "model", METHOD, generator, job.recipe, job.label_space)
    return folder


def _evaluate(workspace: Path, **environment: str) -> dict[str, bytes]:
    command = [sys.executable, "-m", "pipelines", "evaluate", "--dataset", DATASET, "--method", METHOD]
    variables = {**driver_environment(), **environment}
    done = subprocess.run(command, cwd=workspace, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return _files(workspace / "runs" / DATASET / METHOD / "evaluation")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_results_do_not_depend_on_who_scores(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over_processes = _evaluate(workspace)
    scored = json.loads(over_processes["metrics.json"])["centre"]["num_pictures"]
    assert run.BLOCK_PICTURES < scored < _PICTURES
    assert any(name.startswith("pictures/") for name in over_processes)

    with ray_head(tmp_path, num_cpus=2) as address:
        assert _evaluate(workspace, RAY_ADDRESS=address) == over_processes

    monkeypatch.setattr(parallel, "num_usable_cores", lambda: 1)
    settings = tiny_settings(workspace / "data" / DATASET, workspace / "storage")
    data, model, here = workspace / "data" / DATASET, workspace / "runs" / DATASET / METHOD / "model", tmp_path / "here"
    evaluate.run(settings, DATASET, METHOD, data / "shards", data / "masks", model, here)
    assert _files(here) == over_processes

    bound = json.loads(over_processes["upper_bound/metrics.json"])["centre"]
    own = json.loads(over_processes["metrics.json"])["centre"]
    # True labels stand where predicted ones would, also in the hole.
    assert own["miou_hole"] < 0.9 < bound["miou_hole"]
    assert own["psnr_hole"] != bound["psnr_hole"]
