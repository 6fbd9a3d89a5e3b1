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

from pipelines.evaluation.blocks import BLOCK_IMAGES
from pipelines.parallel import parallel
from pipelines.settings.labels import LabelSettings
from pipelines.settings.layout import DatasetPaths
from pipelines.settings.params import Settings
from pipelines.stages import baselines, evaluate, fit_segmenter, report
from pipelines.training.worker import build_state
from sgenet.methods.release import save_released
from sgenet.segmenters.build import build_segmenter
from sgenet.segmenters.release import save_segmenter

pytestmark = [pytest.mark.slow, pytest.mark.faults]
_IMAGES = 240
"""A third of them is scored: more than one block."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data prepared, and a model as the train stage leaves it, though nothing has taught it."""
    folder = tmp_path_factory.mktemp("evaluation")
    root = folder / "data" / DATASET
    make_dataset(root, _IMAGES)
    settings = _settings(folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    recipe, labels = settings.labels_of(DATASET).recipe, settings.data[DATASET].labels
    segmenter = build_segmenter("deep_parsing", recipe, labels.num_classes)
    save_segmenter(folder / "fitted", "deep_parsing", segmenter, recipe, labels)
    fit_segmenter.run(settings, DATASET, root / "shards", root / "segmenter")
    job = tiny_job(root, folder / "storage")
    generator = build_state(job).ema.network
    save_released(folder / "runs" / DATASET / METHOD / "model", METHOD, generator, job.recipe, job.label_space)
    return folder


def _settings(workspace: Path) -> Settings:
    """People's labels, and a segmenter for the scores of what was filled."""
    sizes = {"width": 4, "context_width": 8, "local_window": 5, "context_window": 3, "num_contexts": 2}
    labels = {"score_filled": True, "segmenter": "deep_parsing", "checkpoint": str(workspace / "fitted")}
    labels["recipe"] = {"deep_parsing": sizes}
    settings = tiny_settings(workspace / "data" / DATASET, workspace / "storage")
    return settings.model_copy(update={"labels": {DATASET: LabelSettings.model_validate(labels)}})


def _evaluate(workspace: Path, **environment: str) -> dict[str, bytes]:
    command = [sys.executable, "-m", "pipelines", "evaluate", "--dataset", DATASET, "--method", METHOD]
    variables = {**driver_environment(), **environment}
    done = subprocess.run(command, cwd=workspace, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"runs/{DATASET}/{METHOD}/evaluation: psnr " in done.stdout
    return _files(workspace / "runs" / DATASET / METHOD / "evaluation")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_results_do_not_depend_on_who_scores(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    over_processes = _evaluate(workspace)
    scored = json.loads(over_processes["metrics.json"])["centre"]["num_images"]
    assert BLOCK_IMAGES < scored < _IMAGES
    assert any(name.startswith("images/") for name in over_processes)

    with ray_head(tmp_path, num_cpus=2) as address:
        assert _evaluate(workspace, RAY_ADDRESS=address) == over_processes

    monkeypatch.setattr(parallel, "usable_cpus", lambda: 1)
    settings = _settings(workspace)
    data, model, here = workspace / "data" / DATASET, workspace / "runs" / DATASET / METHOD / "model", tmp_path / "here"
    folders = (data / "shards", data / "masks", data / "segmenter", model)
    evaluate.run(settings, DATASET, METHOD, *folders, here, tmp_path / "metrics.json")
    assert _files(here) == over_processes

    filled = json.loads(over_processes["metrics.json"])["centre"]
    assert 0 < filled["miou_filled"] < 1
    summary = json.loads(over_processes["evaluation.json"])
    manifest = json.loads((data / "segmenter" / "manifest.json").read_text())
    assert (summary["segmenter"], summary["segmenter_sha256"]) == ("deep_parsing", manifest["sha256"])
    assert any(name.endswith("filled_segmentation.png") for name in over_processes)

    bound = json.loads(over_processes["upper_bound/metrics.json"])["centre"]
    own = json.loads(over_processes["metrics.json"])["centre"]
    assert bound["miou_filled_hole"] > 0
    # True labels stand where predicted ones would, also in the hole.
    assert own["miou_hole"] < 0.9 < bound["miou_hole"]
    assert own["psnr_hole"] != bound["psnr_hole"]

    monkeypatch.chdir(workspace)
    baselines.run(
        settings, DATASET, data / "shards", data / "masks", data / "segmenter", DatasetPaths(DATASET).baselines
    )
    assert f"{DatasetPaths(DATASET).baselines}: scores of " in capsys.readouterr().out
    report.run(settings, Path("report"))
    page = Path("report/index.html").read_text(encoding="utf-8")
    assert "(Table 4)" in page
    assert "Undamaged images + DPN" in page
    assert "SGE-Net, given the true labels" in page
