from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from safetensors.torch import load_file
from ticking import set_clock
from tiny import DATASET, METHOD, tiny_settings

from pipelines.settings.params import LabelSpaceSettings
from pipelines.stages import train
from pipelines.storage.files import sha256_of_file
from sgenet.methods.build import build_generator, count_parameters
from sgenet.methods.release import load_released

pytestmark = pytest.mark.slow
STEPS = 4


def _run(dataset: Path, root: Path, **training: object) -> dict[str, object]:
    settings = tiny_settings(dataset, root / "storage", steps=STEPS, **training)
    train.run(settings, DATASET, METHOD, dataset / "shards", dataset / "masks", root / "model")
    facts: dict[str, object] = json.loads((root / "model" / "training.json").read_text())
    return facts


def test_stage_releases_a_model_and_a_rerun_is_the_same_run(
    tiny_dataset: Path, tmp_path: Path, tracking: MlflowClient
) -> None:
    facts = _run(tiny_dataset, tmp_path)
    released = load_released(tmp_path / "model")
    assert facts["steps"] == STEPS
    assert facts["perceptual_weights"] == "none"
    assert facts["parameters"] == count_parameters(build_generator(METHOD, released.recipe, 3))
    assert isinstance(facts["validation"], dict)
    assert facts["validation"]["psnr_hole"] > 0
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()

    # As DVC does: the output is gone, the storage is not.
    shutil.rmtree(tmp_path / "model")
    assert _run(tiny_dataset, tmp_path) == facts
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == weights

    run_id = str(facts["run_id"])
    run = tracking.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["checkpoints"].endswith(str(facts["run_key"]))
    assert run.data.params["losses.hole_weight"] == "1.0"
    steps = [metric.step for metric in tracking.get_metric_history(run_id, "loss/reconstruction")]
    assert steps == [1, 2, 3, 4]
    assert {file.path for file in tracking.list_artifacts(run_id, "model")} >= {"model/model.safetensors"}


def test_the_clock_may_end_it_and_a_rerun_trains_no_more(
    tiny_dataset: Path, tmp_path: Path, tracking: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch)
    facts = _run(tiny_dataset, tmp_path, budget="wall_clock", seconds=5.5)
    assert (facts["steps"], facts["seconds"]) == (6, 6.0)
    assert len((tmp_path / "model" / "losses.csv").read_text().splitlines()) == 1 + 6
    shutil.rmtree(tmp_path / "model")
    assert _run(tiny_dataset, tmp_path, budget="wall_clock", seconds=5.5) == facts
    assert load_released(tmp_path / "model").recipe.training.seconds == 5.5


def test_a_training_starts_from_a_released_model_of_other_classes(
    tiny_dataset: Path, tmp_path: Path, tracking: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _run(tiny_dataset, tmp_path)
    settings = tiny_settings(tiny_dataset, tmp_path / "storage", steps=1)
    recipe = replace(settings.recipes[DATASET], start_from=str(tmp_path / "model"))
    more_classes = settings.data[DATASET].model_copy(
        update={"label_space": LabelSpaceSettings(names=("left", "right", "square", "nothing"))}
    )
    settings = settings.model_copy(update={"recipes": {DATASET: recipe}, "data": {DATASET: more_classes}})
    train.run(settings, DATASET, METHOD, tiny_dataset / "shards", tiny_dataset / "masks", tmp_path / "fitted")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("starting from")]
    assert f"starting from {tmp_path / 'model'}: " in line
    assert "by name: left, right, square; initialised from scratch: nothing" in line
    facts = json.loads((tmp_path / "fitted" / "training.json").read_text())
    sha256 = sha256_of_file(tmp_path / "model" / "model.safetensors")
    assert facts["start_from"] == {"name": str(tmp_path / "model"), "sha256": sha256}
    assert facts["run_key"] != first["run_key"]
    assert sha256 in tracking.get_run(facts["run_id"]).data.tags["start_from"]
    # One step of a small learning rate leaves the weights near those it started from.
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("model", "fitted"))
    name = "encoder.stages.0.0.weight"
    assert (before[name] - after[name]).abs().max() < 1e-3
    assert after["label_heads.0.weight"].shape[0] == 4
