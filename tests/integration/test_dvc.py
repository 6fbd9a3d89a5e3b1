"""What DVC shows of an evaluated model: after a commit and after an experiment, each command a process of its own."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import yaml
from repository import ROOT, commit, make_repository, run
from tiny import DATASET, METHOD, tiny_job, tiny_settings

from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.stages import fit_segmenter
from pipelines.training.worker import build_state
from sgenet.methods.release import save_released

METRICS = RunPaths(DATASET, METHOD).headline


@pytest.fixture
def repository(tmp_path: Path, tiny_dataset: Path) -> Path:
    """A Git repository with this code, the stage ``evaluate``, and what the stages before it leave."""
    for name in ("pipelines", "sgenet"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    stages = {"evaluate": pipeline["stages"]["evaluate"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(pipeline | {"stages": stages}))
    settings = tiny_settings(tiny_dataset, Path("storage"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    data = DatasetPaths(DATASET)
    shutil.copytree(tiny_dataset / "shards", tmp_path / data.shards)
    shutil.copytree(tiny_dataset / "masks", tmp_path / data.masks)
    fit_segmenter.run(settings, DATASET, tmp_path / data.shards, tmp_path / data.segmenter)
    return tmp_path


def _write_model(repository: Path, tiny_dataset: Path, seed: int) -> None:
    """A model that nothing has taught, as the train stage leaves it."""
    job = tiny_job(tiny_dataset, repository / "storage", seed=seed)
    folder = repository / RunPaths(DATASET, METHOD).model
    save_released(folder, METHOD, build_state(job).ema.network, job.recipe, job.label_space)


@pytest.mark.slow
def test_dvc_compares_the_headline_scores_of_revisions_and_experiments(repository: Path, tiny_dataset: Path) -> None:
    _write_model(repository, tiny_dataset, seed=1)
    make_repository(repository)
    run(repository, "dvc", "repro", "--quiet")
    commit(repository)
    committed = json.loads((repository / METRICS).read_text())
    assert list(committed) == ["psnr", "psnr_hole", "ssim", "miou_hole"]
    title, row = run(repository, "dvc", "metrics", "show").splitlines()
    assert title.split() == ["Path", *sorted(committed)]
    assert row.split()[0] == str(METRICS)
    assert len(row) < 100

    _write_model(repository, tiny_dataset, seed=2)
    run(repository, "dvc", "exp", "run", "--quiet")
    tried = json.loads((repository / METRICS).read_text())
    assert tried["psnr_hole"] != committed["psnr_hole"]
    difference = json.loads(run(repository, "dvc", "metrics", "diff", "--json"))[str(METRICS)]["psnr_hole"]
    assert (difference["old"], difference["new"]) == (committed["psnr_hole"], tried["psnr_hole"])

    text = run(repository, "dvc", "exp", "show", "--only-changed", "--csv")
    assert "!" not in text
    rows = csv.DictReader(io.StringIO(text))
    assert {row["psnr_hole"] for row in rows} == {str(committed["psnr_hole"]), str(tried["psnr_hole"])}
