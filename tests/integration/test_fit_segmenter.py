"""The stage ``fit_segmenter``: what it writes, what it refuses, that it resumes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow_store import make_store
from safetensors.torch import load_file
from tiny import DATASET, tiny_settings

from pipelines.data.labels.manifest import SegmenterManifest
from pipelines.data.labels.opened import segmenter_of_filled
from pipelines.data.labels.report import held_out
from pipelines.data.shards.reader import ShardDataset
from pipelines.settings.labels import LabelSettings
from pipelines.settings.params import Settings
from pipelines.stages import fit_segmenter, label
from pipelines.storage.store import open_storage
from pipelines.tracking.address import TrackingError
from pipelines.training.checkpoints import CheckpointStore
from sgenet.errors import CheckpointError
from sgenet.segmenters.release import load_segmenter

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tracking")]

STEPS = 6
DEEP_PARSING = {"width": 4, "context_width": 8, "local_window": 5, "context_window": 3, "num_contexts": 2}


def labelled_by(settings: Settings, **changes: Any) -> Settings:
    """The settings with automatic labels by a tiny Deep Parsing Network."""
    training = {
        "steps": STEPS,
        "batch_size": 4,
        "precision": "float32",
        "loader_processes": 0,
        "log_every": 2,
        "checkpoint_every": 2,
        "validate_every": 3,
        "num_sample_images": 2,
        **changes.pop("training", {}),
    }
    recipe = {"deep_parsing": DEEP_PARSING, "training": training, **changes.pop("recipe", {})}
    labels = {"source": "auto", "segmenter": "deep_parsing", "threshold": 0.4, "recipe": recipe, **changes}
    return settings.model_copy(update={"labels": {DATASET: LabelSettings.model_validate(labels)}})


def fitted(dataset: Path, root: Path, to: Path | None = None, **changes: Any) -> Settings:
    """The settings of a segmenter that has been fitted, its storage below ``root``."""
    settings = labelled_by(tiny_settings(dataset, root / "storage"), **changes)
    fit_segmenter.run(settings, DATASET, dataset / "shards", to or root / "segmenter")
    return settings


@pytest.fixture(scope="module")
def first(tiny_dataset: Path, tracking: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a segmenter that has been fitted, beside its storage."""
    root = tmp_path_factory.mktemp("first")
    fitted(tiny_dataset, root)
    return root / "segmenter"


def test_a_segmenter_is_released_with_its_report_and_a_rerun_is_the_same(
    tiny_dataset: Path, first: Path, tmp_path: Path, tracking: MlflowClient
) -> None:
    folder = first
    manifest, released = SegmenterManifest.read(folder), load_segmenter(folder)
    assert (manifest.segmenter, manifest.sha256) == ("deep_parsing", released.sha256)
    assert released.label_space.names == ("left", "right", "square")

    table = held_out(tiny_dataset / "shards", "val")
    report = json.loads((folder / "report.json").read_text())
    assert report["images"] == len(table)
    assert set(report["class_iou"]) == {"left", "right", "square"}
    assert sum(row["share"] for row in report["calibration"]) == pytest.approx(1.0)
    assert (folder / "images.png").exists()

    # The report scores whole images as they are stored; here with the released network, by hand.
    right = total = 0
    dataset = ShardDataset(table, lambda image, label, rng: (image, label))
    for row in range(len(table)):
        image, label = dataset.image(row)
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
        predicted = released.network(pixels).argmax(dim=1)[0].numpy()
        right += int(((predicted == label) & (label != 255)).sum())
        total += int((label != 255).sum())
    assert report["scores"]["pixel_accuracy"] == pytest.approx(right / total, abs=1e-3)
    with (folder / "confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["label", "left", "right", "square", "(none of them)"]
    assert np.trace(np.array([row[1:] for row in rows[1:]], int)) == pytest.approx(right, abs=0.001 * total)

    run = tracking.get_run(manifest.run_id or "")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["segmenter/miou"] == pytest.approx(report["scores"]["miou"])
    assert [metric.step for metric in tracking.get_metric_history(run.info.run_id, "loss/segmentation")] == [2, 4, 6]

    fitted(tiny_dataset, first.parent, tmp_path / "again")
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_interrupted_or_not_the_weights_are_the_same(tiny_dataset: Path, first: Path, tmp_path: Path) -> None:
    shutil.copytree(first.parent / "storage", tmp_path / "storage")
    (key,) = (tmp_path / "storage" / "checkpoints").iterdir()
    store = CheckpointStore(str(key), keep=3)
    newest = store.steps()[-1]
    assert newest == STEPS
    for path in key.glob(f"step-{newest:08d}*"):
        path.unlink()
    assert 0 < store.steps()[-1] < STEPS
    fitted(tiny_dataset, tmp_path)
    assert list(key.parent.iterdir()) == [key], "it began anew"
    assert same_weights(tmp_path / "segmenter", first)


def same_weights(folder: Path, other: Path) -> bool:
    return (folder / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@pytest.mark.faults
def test_ray_workers_fit_what_one_process_does(
    tiny_dataset: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path))
    settings = labelled_by(tiny_settings(tiny_dataset, tmp_path / "storage"))
    settings = settings.model_copy(update={"run": settings.run.model_copy(update={"workers": 2})})
    fit_segmenter.run(settings, DATASET, tiny_dataset / "shards", tmp_path / "segmenter")
    here, there = (load_file(folder / "model.safetensors") for folder in (first, tmp_path / "segmenter"))
    assert here.keys() == there.keys()
    for name in here:
        assert torch.allclose(here[name], there[name], atol=1e-3), name


def test_a_fitted_segmenter_is_taken_as_it_is(
    tiny_dataset: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted(tiny_dataset, first.parent, tmp_path / "again")
    assert capsys.readouterr().out.endswith("again: the segmenter deep_parsing, fitted for 6 steps\n")
    fitted(tiny_dataset, tmp_path, checkpoint=str(first))
    after = tmp_path / "segmenter"
    assert capsys.readouterr().out.endswith(f"{after}: the segmenter deep_parsing, taken from {first}\n")
    assert same_weights(after, first)
    assert (after / "report.json").read_bytes() == (first / "report.json").read_bytes()
    assert SegmenterManifest.read(after).checkpoint == str(first)
    assert not (tmp_path / "storage").exists()


def test_a_fitted_segmenter_is_found_by_its_name_its_run_and_in_s3(
    tiny_dataset: Path, first: Path, tmp_path: Path, s3_bucket: str
) -> None:
    fitted(tiny_dataset, first.parent, tmp_path / "again")  # which registers nothing a second time
    storage = open_storage(f"s3://{s3_bucket}/segmenter")
    for name in ("model.safetensors", "model.json"):
        storage.upload(first / name, name)
    run_id = SegmenterManifest.read(first).run_id
    for number, checkpoint in enumerate(
        (f"models:/sge-net-segmenter-{DATASET}/1", f"runs:/{run_id}/segmenter", f"s3://{s3_bucket}/segmenter")
    ):
        fitted(tiny_dataset, tmp_path / str(number), checkpoint=checkpoint)
        assert same_weights(tmp_path / str(number) / "segmenter", first)
    with pytest.raises(TrackingError, match="has no version 2"):
        fitted(tiny_dataset, tmp_path / "none", checkpoint=f"models:/sge-net-segmenter-{DATASET}/2")


def test_a_segmenter_of_other_classes_is_not_taken(tiny_dataset: Path, first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "other")
    description = tmp_path / "other" / "model.json"
    description.write_text(description.read_text().replace('"square"', '"round"'))
    with pytest.raises(CheckpointError, match="knows the classes left, right, round, the dataset"):
        fitted(tiny_dataset, tmp_path, checkpoint=str(description.parent))
    assert not (tmp_path / "segmenter").exists()


def test_for_scores_alone_one_is_fitted_and_people_still_label(tiny_dataset: Path, first: Path, tmp_path: Path) -> None:
    settings = fitted(tiny_dataset, first.parent, tmp_path / "segmenter", source="human", score_filled=True)
    manifest = SegmenterManifest.read(tmp_path / "segmenter")
    assert manifest.segmenter == "deep_parsing"
    # Whoever scores depends on this file, and runs again where the segmenter is used in another way.
    assert manifest.used["window"] == settings.labels_of(DATASET).window
    label.run(settings, DATASET, tiny_dataset / "shards", tmp_path / "segmenter", tmp_path / "labels")
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["manifest.json"]

    place = segmenter_of_filled(settings, DATASET, tmp_path / "segmenter")
    assert place is not None
    assert place.sha256 == manifest.sha256
    unasked = labelled_by(settings, source="human")
    assert segmenter_of_filled(unasked, DATASET, tmp_path / "no segmenter is looked for") is None


def test_people_label_by_default_and_nothing_is_fitted(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings(tiny_dataset, tmp_path / "storage")
    fit_segmenter.run(settings, DATASET, tmp_path / "no shards are looked at", tmp_path / "segmenter")
    assert capsys.readouterr().out == f"{tmp_path / 'segmenter'}: no segmenter, since labels.{DATASET} asks for none\n"
    label.run(settings, DATASET, tmp_path / "no shards", tmp_path / "segmenter", tmp_path / "labels")
    assert capsys.readouterr().out == f"{tmp_path / 'labels'}: nothing is labelled, as labels.source is human\n"
    assert [path.name for path in (tmp_path / "segmenter").iterdir()] == ["manifest.json"]
    assert SegmenterManifest.read(tmp_path / "segmenter") == SegmenterManifest()
