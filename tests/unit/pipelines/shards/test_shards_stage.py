from __future__ import annotations

import errno
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image
from PIL.JpegImagePlugin import get_sampling
from raw_tree import RawTree, label_map, png, texture

from pipelines.data.shards.index import open_index
from pipelines.data.shards.manifest import read_manifest
from pipelines.storage.files import sha256_of_file
from sgenet.errors import DataError
from sgenet.transforms import resize_pixels

Bad = Callable[[], tuple[bytes, bytes]]


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_the_same_bytes_at_any_number_of_workers_and_every_time(raw_tree: RawTree) -> None:
    raw_tree.index()
    alone = _bytes_of(raw_tree.write("alone", workers=1))
    assert sorted(alone) == [
        "index.parquet",
        "manifest.json",
        "quarantine.parquet",
        "train-000000.tar",
        "train-000001.tar",
        "train-000002.tar",
        "val-000000.tar",
    ]
    assert _bytes_of(raw_tree.write("three", workers=3)) == alone
    assert _bytes_of(raw_tree.write("three", workers=1)) == alone


def test_shards_depend_on_the_files_alone_not_on_where_they_lie(raw_tree: RawTree) -> None:
    raw_tree.index()
    first = _bytes_of(raw_tree.write())
    moved = raw_tree.root.rename(raw_tree.work / "elsewhere")
    raw_tree.settings = raw_tree.with_settings(
        sources=(raw_tree.settings.sources[0].model_copy(update={"root": str(moved)}),)
    )
    raw_tree.index()
    second = _bytes_of(raw_tree.write())
    del first["manifest.json"], second["manifest.json"]
    assert first == second


def test_stock_webdataset_gives_the_images_that_were_put_in(raw_tree: RawTree, shard_folder: Path) -> None:
    samples = list(webdataset.WebDataset(str(shard_folder / "val-000000.tar"), shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in samples] == ["val0", "val1", "val2"]
    for seed, sample in enumerate(samples):
        expected = resize_pixels(texture(seed), 24, 30)
        assert (np.asarray(sample["png"]) == expected).all()
        assert sample["label.png"].size == (30, 24)
        assert (sample["json"]["width"], sample["json"]["height"]) == (30, 24)


def test_stock_webdataset_takes_training_shards_together(shard_folder: Path) -> None:
    urls = str(shard_folder / "train-{000000..000002}.tar")
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in samples] == [f"train{number}" for number in range(7)]
    original = resize_pixels(texture(6), 28, 35).astype(int)
    assert abs(np.asarray(samples[6]["jpg"]) - original).mean() < 4


def test_training_images_keep_their_colour_at_full_resolution(shard_folder: Path) -> None:
    (row,) = pq.read_table(shard_folder / "index.parquet").filter(pc.field("key") == "train4").to_pylist()
    content = (shard_folder / row["shard"]).read_bytes()[row["image_offset"] :][: row["image_size"]]
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
        assert get_sampling(image) == 0


def test_tar_lists_members_without_time_owner_or_machine(shard_folder: Path) -> None:
    command = ["tar", "--numeric-owner", "--utc", "-tvf", str(shard_folder / "train-000002.tar")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["train6.jpg", "train6.label.png", "train6.json"]
    assert all(line.startswith("-rw-r--r-- 0/0") and "1970-01-01 00:00" in line for line in lines)


def test_reading_by_offset_equals_extracting(shard_folder: Path) -> None:
    rows = pq.read_table(shard_folder / "index.parquet").to_pylist()
    assert len(rows) > 5
    for row in rows:
        content = (shard_folder / row["shard"]).read_bytes()
        suffix = "jpg" if row["split"] == "train" else "png"
        with tarfile.open(shard_folder / row["shard"]) as shard:
            for member, name in (("image", suffix), ("label", "label.png"), ("meta", "json")):
                extracted = shard.extractfile(f"{row['key']}.{name}")
                assert extracted is not None
                start = row[f"{member}_offset"]
                assert content[start : start + row[f"{member}_size"]] == extracted.read()


def test_the_index_counts_the_pixels_of_each_class(empty_tree: RawTree) -> None:
    label = np.zeros((32, 40), np.uint8)
    label[:, 20:] = 3
    label[:16, :10] = 255
    empty_tree.settings = empty_tree.with_settings(shorter_side=32, train_shorter_side=None)
    for split in ("train", "val"):
        empty_tree.add(split, split, png(texture(0)), png(label))
    empty_tree.index()
    row = pq.read_table(empty_tree.write() / "index.parquet").to_pylist()[0]
    assert row["class_histogram"] == [480, 0, 0, 640, 0, 0, 0, 0]
    assert (row["num_ignored"], row["num_classes"], row["width"], row["height"]) == (160, 2, 40, 32)


def test_the_manifest_holds_hashes_counts_and_settings(raw_tree: RawTree, shard_folder: Path) -> None:
    manifest = read_manifest(shard_folder)
    for entry in manifest.shards:
        assert sha256_of_file(shard_folder / entry.name) == entry.sha256
    assert {split: (count.written, count.quarantined) for split, count in manifest.splits.items()} == {
        "train": (7, 0),
        "val": (3, 0),
    }
    assert manifest.settings == json.loads(raw_tree.settings.model_dump_json())
    assert [entry.num_samples for entry in manifest.shards] == [3, 3, 1, 3]


def _good() -> tuple[bytes, bytes]:
    return png(texture(1)), png(label_map(1))


def _jpeg() -> bytes:
    content = io.BytesIO()
    Image.fromarray(texture(1)).save(content, "JPEG")
    return content.getvalue()


def _out_of_range() -> bytes:
    label = label_map(1)
    label[5, 5] = 42
    return png(label)


HOSTILE: dict[str, tuple[Bad, str]] = {
    "truncated": (lambda: (_jpeg()[:700], _good()[1]), "damaged or truncated"),
    "zero bytes": (lambda: (b"", _good()[1]), "the file is empty"),
    "text": (lambda: (b"plain text\n" * 99, _good()[1]), "not an image"),
    "other size": (lambda: (_good()[0], png(np.zeros((8, 8), np.uint8))), "label of another size"),
    "foreign id": (lambda: (_good()[0], _out_of_range()), "label ids 42 are out of range"),
    "small": (lambda: (png(texture(1, 40, 19)), png(label_map(1, 40, 16))), "smaller than the crop"),
    "label damaged": (lambda: (_good()[0], _good()[1][:60]), "damaged or truncated"),
    "label in colour": (lambda: (_good()[0], png(texture(1))), "the label holds colours"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_input_is_quarantined_with_its_reason_and_moves_no_other(raw_tree: RawTree, name: str) -> None:
    make, reason = HOSTILE[name]
    raw_tree.add("train", "train1", *make())
    raw_tree.settings = raw_tree.with_settings(max_quarantine_ratio=0.1)
    raw_tree.index()
    folder = raw_tree.write()
    (refused,) = pq.read_table(folder / "quarantine.parquet").to_pylist()
    assert (refused["key"], refused["split"], refused["path"]) == ("train1", "train", "images/train/train1.png")
    assert reason in refused["reason"]
    index = pq.read_table(folder / "index.parquet").to_pydict()
    assert list(zip(index["key"], index["shard"], strict=True))[:4] == [
        ("train0", "train-000000.tar"),
        ("train2", "train-000000.tar"),
        ("train3", "train-000001.tar"),
        ("train4", "train-000001.tar"),
    ]
    assert read_manifest(folder).splits["train"].quarantined == 1


def test_images_that_no_crop_fits_into_are_told_with_the_crop_as_the_cure(raw_tree: RawTree) -> None:
    raw_tree.add("train", "train1", png(texture(1, 40, 19)), png(label_map(1, 40, 19)))
    raw_tree.index()
    with pytest.raises(DataError, match=r"smaller than the crop: .* lower data.<dataset>.crop, remove them, or raise"):
        raw_tree.write()


def test_more_bad_inputs_than_allowed_fail_the_stage_and_leave_their_list(raw_tree: RawTree) -> None:
    raw_tree.add("train", "train1", b"", _good()[1])
    raw_tree.index()
    with pytest.raises(DataError, match=r"1 of 10 inputs .* \(images/train/train1.png: the file is empty\)") as raised:
        raw_tree.write()
    table = raw_tree.work / "data" / "shards.quarantine.parquet"
    assert str(table) in str(raised.value)
    assert "repair or remove them" in str(raised.value)
    assert pq.read_table(table)["key"].to_pylist() == ["train1"]
    assert sorted(path.name for path in table.parent.iterdir()) == [table.name, "sources.parquet"]
    raw_tree.write(settings=raw_tree.with_settings(max_quarantine_ratio=0.1))
    assert not table.exists()


def test_a_shard_of_which_nothing_is_usable_is_not_written(raw_tree: RawTree) -> None:
    raw_tree.add("train", "train6", b"", _good()[1])
    raw_tree.settings = raw_tree.with_settings(max_quarantine_ratio=0.1)
    raw_tree.index()
    folder = raw_tree.write()
    assert not (folder / "train-000002.tar").exists()
    assert len(open_index(folder)) == 9


def test_unicode_and_spaces_in_names_survive(raw_tree: RawTree, tmp_path: Path) -> None:
    raw_tree.add("val", "été на озере 湖 v1.2", *_good())
    raw_tree.index()
    folder = raw_tree.write()
    keys = open_index(folder).of_split("val").keys.tolist()
    assert "été_на_озере_湖_v1_2" in keys
    samples = webdataset.WebDataset(str(folder / "val-{000000..000001}.tar"), shardshuffle=False)
    assert sorted(sample["__key__"] for sample in samples) == sorted(keys)
    subprocess.run(["tar", "-xf", str(folder / "val-000001.tar"), "-C", str(tmp_path)], check=True)
    assert (tmp_path / "été_на_озере_湖_v1_2.label.png").is_file()


@pytest.mark.parametrize("path", ["images/train/train2.png", "labels/train/train2.png"])
def test_a_file_that_changed_in_one_bit_since_it_was_indexed_stops_the_stage(raw_tree: RawTree, path: str) -> None:
    raw_tree.index()
    content = bytearray((raw_tree.root / path).read_bytes())
    content[-20] ^= 1
    (raw_tree.root / path).write_bytes(content)
    with pytest.raises(DataError, match=r"train2.png or its label changed since it was indexed; run the index stage"):
        raw_tree.write()
    assert not (raw_tree.work / "data" / "shards").exists()


def test_a_file_that_vanished_since_it_was_indexed_stops_the_stage(raw_tree: RawTree) -> None:
    raw_tree.index()
    (raw_tree.root / "images/train/train2.png").unlink()
    with pytest.raises(DataError, match=r"could be read when it was indexed and now cannot be"):
        raw_tree.write()


def test_a_full_disk_gives_one_sentence_and_leaves_nothing(raw_tree: RawTree, monkeypatch: pytest.MonkeyPatch) -> None:
    raw_tree.index()

    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    really_open = Path.open
    with monkeypatch.context() as patched:
        patched.setattr(
            Path,
            "open",
            lambda path, mode="r", **options: Full() if path.suffix == ".tar" else really_open(path, mode, **options),
        )
        with pytest.raises(DataError, match=r"the disk is full while writing .*train-000000.tar; free some space"):
            raw_tree.write()
    assert [path.name for path in (raw_tree.work / "data").iterdir()] == ["sources.parquet"]


def test_what_a_killed_run_left_is_cleared(raw_tree: RawTree) -> None:
    raw_tree.index()
    leftover = raw_tree.work / "data" / ".shards.partial"
    leftover.mkdir()
    (leftover / "train-000000.tar").write_bytes(b"half")
    folder = raw_tree.write()
    assert open_index(folder).keys.tolist()
    assert not leftover.exists()


def test_images_without_labels_have_no_label_member(empty_tree: RawTree) -> None:
    for number in range(12):
        path = empty_tree.root / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(texture(number)))
    source = {"adapter": "folder", "root": str(empty_tree.root), "val_ratio": 0.3}
    empty_tree.settings = type(empty_tree.settings).model_validate(
        empty_tree.settings.model_dump() | {"sources": [source]}
    )
    empty_tree.index()
    folder = empty_tree.write()
    with tarfile.open(folder / "train-000000.tar") as shard:
        assert {name.partition(".")[2] for name in shard.getnames()} == {"jpg", "json"}
    table = open_index(folder)
    assert len(table) == 12
    assert not table.label_spans.any()
    assert not table.num_classes.any()


def test_labels_that_say_nothing_are_refused_unless_allowed_and_those_that_lack_classes_are_counted(tmp_path, capsys):
    tree = RawTree(tmp_path)
    for split in ("train", "val"):
        tree.add(split, f"{split}0", png(texture(0)), png(np.full((32, 40), 255, np.uint8)))
    tree.index()
    with pytest.raises(
        DataError,
        match=r"every pixel of the labels is 255, which means ignore.*background 0, .*; ignored 1,\d+ \(100%\)",
    ):
        tree.write()
    assert not (tmp_path / "data" / "shards").exists()
    tree.write(settings=tree.with_settings(allow_ignored_labels=True))
    tree.add("val", "val0", png(texture(0)), png(np.zeros((32, 40), np.uint8)))
    tree.index()
    capsys.readouterr()
    tree.write()
    said = capsys.readouterr().err
    assert said.startswith("warning: no pixel of the labels is sky or ")
    assert "; 255 means ignore: if the labels are masks of 0 and 255, write 1 instead of 255; " in said
    assert "; pixels of each class: background 720, sky 0, " in said
