"""A dataset without labels, filled by the models of another one, from the command line to the report (Fig. 10)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny import DATASET, METHOD, make_dataset, tiny_job, tiny_settings

from pipelines.__main__ import main
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.storage.files import sha256_of_file
from pipelines.training.worker import build_state
from sgenet.methods.release import save_released

pytestmark = pytest.mark.slow
OTHER = "unlabelled"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of the tiny dataset, and its images once more without their labels."""
    root = tmp_path / "data" / DATASET
    make_dataset(root)
    raw = tiny_settings(root, tmp_path / "storage").model_dump(mode="json")
    images = {"adapter": "folder", "root": str(root / "raw" / "images"), "val_ratio": 0.5}
    raw["data"][OTHER] = raw["data"][DATASET] | {"sources": [images]}
    raw["masks"][OTHER] = raw["masks"][DATASET]
    raw["evaluation"]["texture"] = ["network", "exemplar"]
    raw["transfer"] = [{"dataset": OTHER, "models_of": DATASET}]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    job = tiny_job(root, tmp_path / "storage")
    model = tmp_path / RunPaths(DATASET, METHOD).model
    save_released(model, METHOD, build_state(job).ema.network, job.recipe, job.label_space)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_images_without_labels_are_filled_by_the_models_of_others(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("index", "shards", "masks", "baselines"):
        assert main([stage, "--dataset", OTHER]) == 0, capsys.readouterr().err
    assert main(["evaluate", "--dataset", OTHER, "--method", METHOD]) == 0
    evaluation = RunPaths(OTHER, METHOD).evaluation
    metrics = json.loads((evaluation / "metrics.json").read_text())["centre"]
    assert metrics["num_images"] > 1
    assert "psnr_hole" in metrics
    assert "miou" not in metrics
    # No labels, no upper bound of guidance by them; but the model's own segmentation is shown.
    assert not (evaluation / "upper_bound").exists()
    assert (evaluation / "images" / "centre-00-segmentation.png").exists()
    summary = json.loads((evaluation / "evaluation.json").read_text())
    assert summary["weights_sha256"] == sha256_of_file(RunPaths(DATASET, METHOD).model / "model.safetensors")

    # Texture that is copied is a row of its own; what the network predicted besides stands in the network's.
    copied = json.loads((evaluation / "exemplar" / "metrics.json").read_text())["centre"]
    assert copied["psnr_hole"] != metrics["psnr_hole"]
    assert not (evaluation / "exemplar" / "images" / "centre-00-segmentation.png").exists()

    assert main(["report"]) == 0
    page = Path("report/index.html").read_text(encoding="utf-8")
    assert f"filled by the models of {DATASET} (Figure 10)" in page
    assert "Segmentations (Figure 9), holes: centre" in page
    assert "SGE-Net + exemplars" in page


@pytest.mark.parametrize("command", [["train", "--method", METHOD], ["label"], ["register"]])
def test_nothing_is_trained_on_it(workspace: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--dataset", OTHER]) == 2
    assert f"nothing is trained on '{OTHER}', which transfer lists" in capsys.readouterr().err
    assert not DatasetPaths(OTHER).root.exists()
