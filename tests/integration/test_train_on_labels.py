"""Which labels a training learns from: people's, a segmenter's, none; and that it is never others than was said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow_store import make_store
from partly_labelled import NUM_LABELLED, NUM_UNLABELLED, make_partly_labelled, partly_settings
from tiny import DATASET, METHOD

from pipelines.data.shards.labels import read_label_manifest
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.sampler import SampleRequest
from pipelines.settings.layout import DatasetPaths
from pipelines.settings.params import Settings
from pipelines.stages import label, train
from pipelines.storage.store import open_storage
from pipelines.training.inputs import (
    Inputs,
    PublishedPaths,
    fetch_dataset,
    open_inputs,
    publish_dataset,
    publish_for_workers,
    with_published_paths,
)
from pipelines.training.job import TrainingJob, WorkerPlace
from pipelines.training.worker import open_batches
from sgenet.batch import InpaintingBatch
from sgenet.errors import DataError
from sgenet.losses.segmentation import segmentation_loss
from sgenet.transforms import CentreCrop


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``shards``, ``masks`` and ``segmenter``, and the labels of both sources in ``auto`` and ``fill``."""
    root = tmp_path_factory.mktemp("partly")
    make_partly_labelled(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.parallel.parallel.usable_cpus", lambda: 1)
        for source in ("auto", "fill"):
            settings = partly_settings(root, root / "storage", {"source": source, "threshold": 0.0})
            label.run(settings, DATASET, root / "shards", root / "segmenter", root / source)
    return root


def job_of(prepared: Path, storage: Path, source: str) -> TrainingJob:
    settings = settings_of(prepared, storage, source)
    labels = settings.labels_of(DATASET).automatic(prepared / source)
    digests = train.read_digests(prepared / "shards", prepared / "masks", labels)
    return train.plan(settings, DATASET, METHOD, prepared / "shards", prepared / "masks", digests, labels)


def settings_of(prepared: Path, storage: Path, source: str) -> Settings:
    return partly_settings(prepared, storage, {"source": source}, steps=2)


def labels_by_key(job: TrainingJob, inputs: Inputs) -> dict[str, np.ndarray]:
    """What a training sees as the label of the middle of each training image."""
    dataset = ShardDataset(inputs.table.of_split("train"), CentreCrop(job.crop), None, inputs.shards)
    samples = (dataset[SampleRequest(row, seed=row)] for row in range(len(dataset)))
    return {sample.key: sample.label.numpy() for sample in samples}


def test_peoples_labels_are_trained_on_as_ever_whatever_lies_beside_them(prepared: Path, tmp_path: Path) -> None:
    job = job_of(prepared, tmp_path, "human")
    settings = settings_of(prepared, tmp_path, "human")
    with_others = replace(train.read_digests(prepared / "shards", prepared / "masks"), labels="other")
    beside = train.plan(
        settings, DATASET, METHOD, prepared / "shards", prepared / "masks", with_others, prepared / "auto"
    )
    assert beside == job
    assert job.labels is None
    without_section = settings.model_copy(update={"labels": {}})
    digests = train.read_digests(prepared / "shards", prepared / "masks")
    assert train.plan(without_section, DATASET, METHOD, prepared / "shards", prepared / "masks", digests) == job


def test_an_image_without_a_label_is_trained_on_without_the_segmentation_term(prepared: Path, tmp_path: Path) -> None:
    job = job_of(prepared, tmp_path, "human")
    found = labels_by_key(job, open_inputs(job))
    unlabelled = {key: values for key, values in found.items() if key.startswith("folder-2")}
    assert len(unlabelled) == NUM_UNLABELLED
    for values in unlabelled.values():
        assert np.unique(values).tolist() == [255]
    batches = open_batches(job, open_inputs(job), WorkerPlace(), start=0)
    batch = next(batch for batch in batches if 0 < sum(key in unlabelled for key in batch.keys) < len(batch.keys))
    without = torch.tensor([key in unlabelled for key in batch.keys])
    images = InpaintingBatch.from_uint8(batch.image, batch.hole_mask, batch.label)
    logits = images.image.clone().requires_grad_()
    segmentation_loss(images.label, logits).backward()
    assert logits.grad is not None
    assert float(logits.grad[without].abs().max()) == 0
    assert float(logits.grad[~without].abs().max()) > 0


def test_automatic_labels_replace_all_and_filled_ones_what_is_missing(prepared: Path, tmp_path: Path) -> None:
    seen = {
        source: labels_by_key(job, open_inputs(job))
        for source in ("human", "auto", "fill")
        for job in [job_of(prepared, tmp_path, source)]
    }
    for key, people in seen["human"].items():
        if key.startswith("folder-2"):
            assert np.array_equal(seen["fill"][key], seen["auto"][key])
            assert bool((seen["fill"][key] != 255).any())
        else:
            assert np.array_equal(seen["fill"][key], people)
            assert not np.array_equal(seen["auto"][key], people)


def test_the_index_counts_the_classes_of_the_labels_that_are_used(prepared: Path, tmp_path: Path) -> None:
    for source in ("auto", "fill"):
        table = open_inputs(job_of(prepared, tmp_path, source)).table
        dataset = ShardDataset(table, lambda image, label, rng: (image, label))
        labels = [dataset.image(row)[1] for row in range(len(table))]
        assert table.num_classes.tolist() == [len(np.setdiff1d(label, [255])) for label in labels]


def test_what_is_measured_is_measured_by_people(prepared: Path, tmp_path: Path) -> None:
    jobs = [job_of(prepared, tmp_path, source) for source in ("human", "auto")]
    people, automatic = (open_inputs(job).table.of_split("val") for job in jobs)
    readers = [ShardDataset(table, CentreCrop(32)) for table in (people, automatic)]
    assert 0 < len(people) < NUM_LABELLED
    for row in range(len(people)):
        assert np.array_equal(readers[0].image(row)[1], readers[1].image(row)[1])


def test_each_source_of_labels_is_a_training_of_its_own(prepared: Path, tmp_path: Path) -> None:
    keys = {job_of(prepared, tmp_path, source).run_key for source in ("human", "auto", "fill")}
    assert len(keys) == 3


def test_a_training_that_asks_for_labels_that_are_not_there_does_not_start(prepared: Path, tmp_path: Path) -> None:
    settings = settings_of(prepared, tmp_path, "auto")
    label.run(settings_of(prepared, tmp_path, "human"), DATASET, tmp_path, tmp_path, tmp_path / "human")
    for labels in (None, tmp_path / "human"):
        with pytest.raises(DataError, match=r"labels.tiny.source is 'auto'.*run the label stage"):
            train.run(settings, DATASET, METHOD, prepared / "shards", prepared / "masks", tmp_path / "model", labels)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_the_run_says_what_its_labels_were(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = make_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    settings = settings_of(prepared, tmp_path / "storage", "auto")
    train.run(settings, DATASET, METHOD, prepared / "shards", prepared / "masks", tmp_path / "model", prepared / "auto")
    facts = json.loads((tmp_path / "model" / "training.json").read_text())
    digest = read_label_manifest(prepared / "auto").digest
    assert facts["labels"] == "auto"
    assert facts["digests"]["labels"] == digest
    run = MlflowClient(address).get_run(facts["run_id"])
    assert run.data.tags["labels"] == "auto"
    assert json.loads(run.data.tags["digests"])["tiny/labels"] == digest


@pytest.mark.slow
def test_published_labels_are_read_as_local_ones(prepared: Path, tmp_path: Path, s3_bucket: str) -> None:
    root = f"s3://{s3_bucket}/data"
    local = job_of(prepared, tmp_path, "fill")
    cache = local.cache.model_copy(update={"folder": str(tmp_path / "cache")})
    published = replace(publish_for_workers(local, root), cache=cache)
    assert published.labels is not None
    assert not Path(published.labels).exists()
    here, there = labels_by_key(local, open_inputs(local)), labels_by_key(published, open_inputs(published))
    assert here.keys() == there.keys()
    assert all(np.array_equal(here[key], there[key]) for key in here)


@pytest.mark.slow
def test_a_job_downloads_the_labels_that_it_is_to_train_with(
    prepared: Path, tmp_path: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root, paths = f"s3://{s3_bucket}/data", DatasetPaths(DATASET)
    settings = settings_of(prepared, tmp_path, "fill").model_copy(update={"storage": root})
    storage = open_storage(root)
    publish_dataset(storage, prepared / "shards", prepared / "masks").write(paths.published)
    with pytest.raises(DataError, match="names no automatic labels"):
        fetch_dataset(settings, paths)
    publish_dataset(storage, prepared / "shards", prepared / "masks", prepared / "fill").write(paths.published)
    assert fetch_dataset(settings, paths) == paths.labels
    assert read_label_manifest(paths.labels) == read_label_manifest(prepared / "fill")
    assert PublishedPaths.read(paths.published).labels is not None


@pytest.mark.slow
@pytest.mark.parametrize("of_others", [(), ("shards",), ("masks",), ("labels",)])
def test_a_note_of_published_data_counts_only_for_the_same_data(
    prepared: Path, tmp_path: Path, s3_bucket: str, of_others: tuple[str, ...]
) -> None:
    root, note = f"s3://{s3_bucket}/data", tmp_path / "note.json"
    job = job_of(prepared, tmp_path, "fill")
    written = publish_dataset(open_storage(root), prepared / "shards", prepared / "masks", prepared / "fill")
    replace(written, **{name: f"{name}/of-others" for name in of_others}).write(note)
    found = with_published_paths(job, root, note)
    assert (found.masks, found.published) == ((job.masks, None) if of_others else (written.masks, root))
