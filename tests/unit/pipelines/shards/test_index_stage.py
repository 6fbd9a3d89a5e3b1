from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq
import pytest
from raw_tree import RawTree

from pipelines.data.shards.sources import read_sources
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
    assert "permission denied" in row["reason"]


def test_duplicate_names_are_refused_with_both_files(raw_tree: RawTree) -> None:
    content = raw_tree.root / "images/train/train0.png"
    content.with_suffix(".jpg").write_bytes(content.read_bytes())
    with pytest.raises(DataError, match=r"duplicate names.*train0\.jpg.*train0\.png"):
        raw_tree.index()


def test_a_missing_table_says_which_stage_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run the index stage first"):
        read_sources(tmp_path / "sources.parquet")


def test_a_place_below_a_file_is_said_in_a_sentence(raw_tree: RawTree) -> None:
    (raw_tree.work / "file").touch()
    with pytest.raises(DataError, match=r"file/sources\.parquet cannot be written"):
        index.run(raw_tree.settings, raw_tree.work / "file" / "sources.parquet", workers=1)
