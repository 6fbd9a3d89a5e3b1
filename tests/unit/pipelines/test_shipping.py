"""A model ships with a card whose numbers are the run's, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fabricated_runs import DATASET, fabricate_runs
from safetensors.torch import load_file, save_file

from pipelines.__main__ import main
from pipelines.data.shards.manifest import SplitCount, write_manifest
from pipelines.data.shards.schema import INDEX_NAME
from pipelines.registry.shipping import ship
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.settings.load import load
from pipelines.storage.files import sha256_of_file
from sgenet.errors import CheckpointError
from sgenet.label_space import OUTDOOR_SCENES

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"
FACTS = {
    "images_seen": 16_000,
    "images_per_second": 4.0,
    "machine": "x86_64",
    "torch": "2.14.1",
    "git_commit": "abc",
    "digests": {"shards": "s" * 64, "masks": "m" * 64},
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an evaluated SGE-Net whose weights are a few bytes."""
    monkeypatch.chdir(tmp_path)
    fabricate_runs(tmp_path)
    model = RunPaths(DATASET, "sge_net").model
    facts = json.loads((model / "training.json").read_text())
    (model / "training.json").write_text(json.dumps(facts | FACTS))
    description = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**description, "label_space": {"names": OUTDOOR_SCENES.names}}))
    (model / "model.safetensors").write_bytes(b"weights")
    say_weights(sha256_of_file(model / "model.safetensors"))
    shards = DatasetPaths(DATASET).shards
    shards.mkdir(parents=True)
    (shards / INDEX_NAME).touch()
    write_manifest(shards, [], {"train": SplitCount(1234, 0)}, {})
    return tmp_path


def say_weights(sha256: str) -> None:
    """Say in the fabricated evaluation which weights it scored."""
    path = RunPaths(DATASET, "sge_net").evaluation / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": sha256}))


def test_the_card_has_the_scores_of_the_run_and_of_the_baselines(runs: Path) -> None:
    ship(load(PARAMS), DATASET, "sge_net", PARAMS, runs / "out")
    card = (runs / "out" / "README.md").read_text()
    metrics = json.loads((RunPaths(DATASET, "sge_net").evaluation / "metrics.json").read_text())["centre"]
    telea = json.loads((runs / "runs" / DATASET / "baselines" / "telea" / "metrics.json").read_text())["centre"]
    rows = {line.split("|")[1].strip(): line for line in card.splitlines() if line.startswith("|")}
    assert f"{metrics['psnr_hole']:.2f}" in rows["SGE-Net"]
    assert f"{telea['psnr_hole']:.2f}" in rows["Telea"]
    assert "sky, water" in card
    assert "2,000 × 8, 16,000 images seen" in card
    assert "| 1,234 images," in card


def test_the_model_is_copied_and_no_image_of_the_dataset(runs: Path) -> None:
    ship(load(PARAMS), DATASET, "sge_net", PARAMS, runs / "out")
    assert (runs / "out" / "model.safetensors").read_bytes() == b"weights"
    assert {path.name for path in (runs / "out").iterdir()} == {
        "model.safetensors",
        "model.json",
        "README.md",
    }


def test_a_large_model_does_not_ship_and_nothing_is_written(runs: Path) -> None:
    with (RunPaths(DATASET, "sge_net").model / "model.safetensors").open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(CheckpointError, match=r"has 33\.0 MiB, but a shipped model may have 16"):
        ship(load(PARAMS), DATASET, "sge_net", PARAMS, runs / "out")
    assert not (runs / "out").exists()


def test_a_model_that_is_a_little_too_large_ships_in_half_precision(runs: Path) -> None:
    weights = RunPaths(DATASET, "sge_net").model / "model.safetensors"
    values = torch.linspace(-1, 1, 5 << 20)
    save_file({"values": values, "count": torch.tensor([3])}, weights)
    say_weights(sha256_of_file(weights))
    ship(load(PARAMS), DATASET, "sge_net", PARAMS, runs / "out")
    shipped = runs / "out" / "model.safetensors"
    assert shipped.stat().st_size < 11 << 20
    tensors = load_file(shipped)
    assert torch.equal(tensors["values"], values.half())
    assert tensors["count"].dtype == torch.int64
    card = (runs / "out" / "README.md").read_text()
    assert "float16" in card
    assert sha256_of_file(shipped) in card


def test_a_model_that_was_not_evaluated_is_named(runs: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gated_conv.*does not exist; run the train and evaluate stages"):
        ship(load(PARAMS), DATASET, "gated_conv", PARAMS, runs / "out")


def test_scores_of_other_weights_do_not_go_into_the_card(runs: Path) -> None:
    say_weights("0" * 64)
    with pytest.raises(CheckpointError, match=r"scored other weights than .*run the evaluate stage again"):
        ship(load(PARAMS), DATASET, "sge_net", PARAMS, runs / "out")
    assert not (runs / "out").exists()


def test_a_dataset_that_the_settings_do_not_have_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ship", "--params", str(PARAMS), "--dataset", "mars", "-o", str(runs / "out")]) == 2
    assert "there is no dataset 'mars'" in capsys.readouterr().err
