"""The stage ``label``: what it writes, that it resumes, and that no wrong label enters a training."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from partly_labelled import make_partly_labelled, partly_settings, write_segmenter
from PIL import Image
from tiny import DATASET

from pipelines.data.labels import labelling
from pipelines.data.shards.index import open_index
from pipelines.data.shards.labels import read_label_manifest, sidecar_name, with_automatic_labels
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.schema import SampleTable
from pipelines.settings.params import Settings
from pipelines.stages import label
from sgenet.errors import CheckpointError, DataError
from sgenet.segmenters.release import load_segmenter

THRESHOLD = 0.5


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("partly")
    make_partly_labelled(root)
    return root


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.parallel.parallel.usable_cpus", lambda: 1)


def auto(root: Path, storage: Path, source: str = "auto", **changes: object) -> Settings:
    return partly_settings(root, storage, {"source": source, "threshold": THRESHOLD, **changes})


def labelled(prepared: Path, to: Path, source: str = "auto", **changes: object) -> Path:
    settings = auto(prepared, to / "storage", source, **changes)
    label.run(settings, DATASET, prepared / "shards", prepared / "segmenter", to / "labels")
    return to / "labels"


@pytest.fixture(scope="module")
def done(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels of the dataset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.parallel.parallel.usable_cpus", lambda: 1)
        return labelled(prepared, tmp_path_factory.mktemp("done"))


def as_stored(prepared: Path) -> ShardDataset:
    return ShardDataset(open_index(prepared / "shards"), lambda image, label, rng: (image, label))


def test_every_sample_has_the_label_the_segmenter_gives_it(prepared: Path, done: Path) -> None:
    table, network = open_index(prepared / "shards"), load_segmenter(prepared / "segmenter").network
    members: dict[str, np.ndarray] = {}
    order = []
    for name in table.shard_names:
        with tarfile.open(done / sidecar_name(name)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                members[member.name] = np.asarray(Image.open(io.BytesIO(content.read())))
                order.append(member.name)
    keys = [str(key) for key in table.keys]
    assert order == [f"{key}.{suffix}" for key in keys for suffix in ("label.png", "confidence.png")]
    ignored = 0
    for row, key in enumerate(keys):
        image, _ = as_stored(prepared).image(row)
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
        with torch.inference_mode():
            confidence, best = network(pixels).softmax(dim=1)[0].max(dim=0)
        found = members[f"{key}.label.png"]
        near = (confidence - THRESHOLD).abs().numpy() < 1e-4  # on the edge, rounding decides
        expected = torch.where(confidence >= THRESHOLD, best, 255).numpy()
        assert ((found == expected) | near).mean() > 0.999
        assert np.abs(members[f"{key}.confidence.png"].astype(int) - (confidence * 255).numpy()).max() <= 1.01
        ignored += int((found == 255).sum())
    assert 0 < ignored < sum(members[f"{key}.label.png"].size for key in keys)


def test_the_index_says_where_and_what_the_labels_are(prepared: Path, done: Path) -> None:
    table = open_index(prepared / "shards")
    rows = pq.read_table(done / "labels.parquet").to_pylist()
    assert len(rows) == len(table) > 0
    for row, values in enumerate(rows):
        assert values["key"] == table.keys[row]
        with (done / values["shard"]).open("rb") as file:
            found = {}
            for kind in ("label", "confidence"):
                file.seek(values[f"{kind}_offset"])
                found[kind] = np.asarray(Image.open(io.BytesIO(file.read(values[f"{kind}_size"]))))
        assert values["class_histogram"] == [int((found["label"] == number).sum()) for number in range(3)]
        assert values["num_ignored"] == int((found["label"] == 255).sum())
        assert values["mean_confidence"] == pytest.approx(found["confidence"].mean() / 255)


def test_the_user_is_told_how_good_the_labels_are(
    prepared: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(done.parent / "storage", tmp_path / "storage")
    labelled(prepared, tmp_path)
    printed = capsys.readouterr().out
    agreement = read_label_manifest(done).agreement["train"]
    assert f": {len(open_index(prepared / 'shards'))} images labelled by deep_parsing\n" in printed
    assert f"train, against people's labels of {agreement['images']} images: mIoU {agreement['miou']:.3f}" in printed
    assert f"{agreement['trusted_share']:.1%} of the labelled pixels reach the threshold of {THRESHOLD}" in printed


def test_the_manifest_says_what_labelled_and_how_well_it_agrees_with_people(prepared: Path, done: Path) -> None:
    manifest = read_label_manifest(done)
    assert manifest.source == "auto"
    assert manifest.segmenter_sha256 == load_segmenter(prepared / "segmenter").sha256
    assert manifest.shards_digest == open_index(prepared / "shards").digest
    table = open_index(prepared / "shards")
    right = total = 0
    network = load_segmenter(prepared / "segmenter").network
    for row in np.flatnonzero(in_train(table) & (table.label_spans[:, 1] > 0)):
        image, people = as_stored(prepared).image(int(row))
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
        with torch.inference_mode():
            best = network(pixels).argmax(dim=1)[0].numpy()
        right += int(((best == people) & (people != 255)).sum())
        total += int((people != 255).sum())
    assert manifest.agreement["train"]["pixel_accuracy"] == pytest.approx(right / total, abs=1e-3)
    labelled_by_people = int((in_train(table) & (table.label_spans[:, 1] > 0)).sum())
    assert manifest.agreement["train"]["images"] == labelled_by_people


@pytest.mark.slow
def test_the_same_bytes_every_time_whoever_labels(
    prepared: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    again = labelled(prepared, tmp_path)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in done.iterdir()
    }


def test_an_interrupted_labelling_goes_on_with_what_is_not_done(
    prepared: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    original = labelling.open_segmenter
    failing = True

    def open_until_killed(place: labelling.SegmenterPlace) -> object:
        opened.append(1)
        if failing and len(opened) == 3:
            raise KeyboardInterrupt
        return original(place)

    monkeypatch.setattr(labelling, "open_segmenter", open_until_killed)
    with pytest.raises(KeyboardInterrupt):
        labelled(prepared, tmp_path)
    assert not (tmp_path / "labels").exists()
    failing = False
    opened.clear()
    again = labelled(prepared, tmp_path)
    assert len(opened) == len(open_index(prepared / "shards").shard_names) - 2
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in done.iterdir()
    }


def test_other_settings_do_not_go_on_with_labels_of_these(prepared: Path, done: Path, tmp_path: Path) -> None:
    shutil.copytree(done.parent / "storage", tmp_path / "storage")
    again = labelled(prepared, tmp_path, threshold=0.9)
    ignored = [
        sum(row["num_ignored"] for row in pq.read_table(folder / "labels.parquet").to_pylist())
        for folder in (done, again)
    ]
    assert ignored[0] < ignored[1]


def test_large_images_are_labelled_through_windows(prepared: Path, done: Path, tmp_path: Path) -> None:
    again = labelled(prepared, tmp_path, window=32)
    name = sidecar_name(open_index(prepared / "shards").shard_names[0])
    assert (again / name).read_bytes() != (done / name).read_bytes()
    rows = pq.read_table(again / "labels.parquet").to_pylist()
    sizes = open_index(prepared / "shards").sizes
    assert [sum(row["class_histogram"]) + row["num_ignored"] for row in rows] == sizes.prod(axis=1).tolist()


def test_half_precision_labels_nearly_alike(prepared: Path, done: Path, tmp_path: Path) -> None:
    again = labelled(prepared, tmp_path, precision="bfloat16")
    exact, rounded = (
        np.array([row["class_histogram"] for row in pq.read_table(folder / "labels.parquet").to_pylist()])
        for folder in (done, again)
    )
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact - rounded).sum() < 0.1 * exact.sum()


def in_train(table: SampleTable) -> np.ndarray:
    return table.split_ids == table.split_names.index("train")


def without_last_row(folder: Path) -> None:
    path = folder / "labels.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, len(table) - 1), path)
    rewrite(folder, "index_sha256", hashlib.sha256(path.read_bytes()).hexdigest())


def rewrite(folder: Path, key: str, value: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "does not exist; run the label stage"),
        (lambda folder: rewrite(folder, "source", "human"), "holds labels of the source 'human'"),
        (lambda folder: rewrite(folder, "shards_digest", "0"), "was made for other shards"),
        (lambda folder: rewrite(folder, "version", 0), "of another version"),
        (lambda folder: next(folder.glob("*.tar")).unlink(), "does not exist though"),
        (lambda folder: next(folder.glob("*.tar")).write_bytes(b"short"), "does not match"),
        (lambda folder: (folder / "labels.parquet").write_bytes(b"?"), "does not match"),
        (without_last_row, "does not have one label for each sample of"),
    ],
)
def test_labels_that_do_not_belong_to_the_images_are_refused(
    prepared: Path, done: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "labels"
    shutil.copytree(done, folder)
    spoil(folder)
    with pytest.raises(DataError, match=message):
        with_automatic_labels(open_index(prepared / "shards"), folder, "auto")


def test_a_label_of_another_size_is_refused_where_it_is_read(prepared: Path, done: Path) -> None:
    used = with_automatic_labels(open_index(prepared / "shards"), done, "auto").of_split("train")
    sizes = [tuple(size) for size in used.sizes.tolist()]
    row, other = next((a, b) for a in range(len(sizes)) for b in range(len(sizes)) if sizes[a] != sizes[b])
    spans, shards = used.label_spans.copy(), used.label_shard_ids.copy()
    spans[row], shards[row] = spans[other], shards[other]
    swapped = replace(used, label_spans=spans, label_shard_ids=shards)
    with pytest.raises(DataError, match=rf"sample '{used.keys[row]}' of .*\(the label is"):
        ShardDataset(swapped, lambda image, label, rng: (image, label)).image(row)


def test_a_segmenter_that_was_exchanged_does_not_label(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared / "segmenter", tmp_path / "segmenter")
    manifest = (tmp_path / "segmenter" / "manifest.json").read_bytes()
    settings = auto(prepared, tmp_path / "storage")
    write_segmenter(tmp_path / "segmenter", settings.data[DATASET].labels, seed=2)
    (tmp_path / "segmenter" / "manifest.json").write_bytes(manifest)
    with pytest.raises(CheckpointError, match="changed since it was chosen"):
        label.run(settings, DATASET, prepared / "shards", tmp_path / "segmenter", tmp_path / "labels")
    assert not (tmp_path / "labels").exists()


def test_a_segmenter_of_other_settings_does_not_label(prepared: Path, tmp_path: Path) -> None:
    settings = auto(prepared, tmp_path / "storage", segmenter="deeplab_v3_plus")
    with pytest.raises(DataError, match=r"holds deep_parsing, but labels.tiny asks for deeplab_v3_plus"):
        label.run(settings, DATASET, prepared / "shards", prepared / "segmenter", tmp_path / "labels")
