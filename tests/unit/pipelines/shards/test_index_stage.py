from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq
import pytest
from raw_tree import RawTree, label_map, png, texture

from pipelines.data.adapters.samples import RawSample
from pipelines.data.shards.sources import examine, read_sources
from pipelines.stages import index
from pipelines.storage import local as local_storage
from sgenet.errors import DataError


def test_every_raw_sample_is_listed_with_the_hashes_of_its_files(raw_tree: RawTree) -> None:
    rows = pq.read_table(raw_tree.index()).to_pylist()
    assert [row["key"] for row in rows] == [*(f"train{n}" for n in range(7)), "val0", "val1", "val2"]
    image = (raw_tree.root / "images/val/val1.png").read_bytes()
    label = (raw_tree.root / "labels/val/val1.png").read_bytes()
    assert rows[8]["image_sha256"] == hashlib.sha256(image).hexdigest()
    assert rows[8]["label_sha256"] == hashlib.sha256(label).hexdigest()
    assert (rows[8]["image_bytes"], rows[8]["split"], rows[8]["reason"]) == (len(image), "val", None)


@pytest.mark.slow
def test_the_table_has_the_same_bytes_at_any_number_of_workers(
    raw_tree: RawTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = raw_tree.index().read_bytes()
    monkeypatch.setattr(index, "_CHUNK", 2)
    index.run(raw_tree.settings, raw_tree.sources, workers=3)
    assert raw_tree.sources.read_bytes() == alone


class _UnreadableAdapter:
    def read_image(self, sample: RawSample) -> bytes:
        raise PermissionError(13, "Permission denied", sample.image_path)


def test_an_unreadable_file_is_recorded_with_its_reason_not_raised() -> None:
    sample = RawSample("a", "train", "images/a.png", None, "camvid", "raw")
    row = examine(sample, _UnreadableAdapter())  # type: ignore[arg-type]
    assert row.image_sha256 is None
    assert row.reason is not None
    assert row.reason.startswith("cannot be read: ")
    assert "Permission denied" in row.reason


def test_an_unreadable_file_ends_in_quarantine(raw_tree: RawTree, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable = str(raw_tree.root / "images/train/train3.png")

    def refuse(path: str, *_: object) -> IO[bytes]:
        if path == unreadable:
            raise PermissionError(13, "Permission denied", path)
        return open(path, "rb")

    with monkeypatch.context() as patched:
        patched.setattr(local_storage, "open", refuse, raising=False)
        raw_tree.index()
    folder = raw_tree.write(settings=raw_tree.with_settings(max_quarantine_ratio=0.1))
    (row,) = pq.read_table(folder / "quarantine.parquet").to_pylist()
    assert row["key"] == "train3"
    assert row["reason"].startswith("cannot be read: ")


def test_duplicate_names_are_refused_with_both_files(raw_tree: RawTree) -> None:
    content = raw_tree.root / "images/train/train0.png"
    content.with_suffix(".jpg").write_bytes(content.read_bytes())
    with pytest.raises(DataError, match=r"duplicate names.*train0\.jpg.*train0\.png"):
        raw_tree.index()


def test_a_symlink_loop_is_walked_once(raw_tree: RawTree) -> None:
    before = raw_tree.index().read_bytes()
    (raw_tree.root / "images/train/again").symlink_to(raw_tree.root / "images/train", target_is_directory=True)
    (raw_tree.root / "labels/train/again").symlink_to(raw_tree.root / "labels/train", target_is_directory=True)
    assert raw_tree.index().read_bytes() == before


def test_several_sources_are_joined_under_prefixed_keys(raw_tree: RawTree, tmp_path: Path) -> None:
    raw_tree.settings = raw_tree.with_settings(sources=raw_tree.settings.sources * 2)
    keys = pq.read_table(raw_tree.index())["key"].to_pylist()
    assert len(set(keys)) == len(keys) == 20
    assert {key.rpartition("-")[0] for key in keys} == {"msrc_v2", "msrc_v2-2"}


def test_the_table_comes_back_as_it_was(raw_tree: RawTree) -> None:
    rows = read_sources(raw_tree.index())
    assert rows[0].sample.image_path == "images/train/train0.png"
    assert rows[0].image_bytes == len(png(texture(0)))
    assert rows[0].label_sha256 == hashlib.sha256(png(label_map(0))).hexdigest()


def test_a_missing_table_says_which_stage_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run the index stage first"):
        read_sources(tmp_path / "sources.parquet")


def test_a_place_below_a_file_is_said_in_a_sentence(raw_tree: RawTree) -> None:
    (raw_tree.work / "file").touch()
    with pytest.raises(DataError, match=r"file/sources\.parquet cannot be written"):
        index.run(raw_tree.settings, raw_tree.work / "file" / "sources.parquet", workers=1)
