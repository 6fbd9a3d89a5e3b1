from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from raw_tree import RawTree

from pipelines.data.shards.index import INDEX_SCHEMA, open_index, write_index
from pipelines.data.shards.manifest import ShardEntry, SplitCount, write_manifest
from sgenet.errors import DataError


def test_a_split_keeps_the_order_of_the_index(shard_folder: Path) -> None:
    table = open_index(shard_folder)
    assert table.keys.tolist() == [*(f"train{number}" for number in range(7)), "val0", "val1", "val2"]
    assert table.of_split("val").keys.tolist() == ["val0", "val1", "val2"]
    assert table.shard_sizes().tolist() == [3, 3, 1, 3]
    assert table.of_split("val").shard_sizes().tolist() == [0, 0, 0, 3]
    assert table.rows(np.array([1, 2, 6, 9])).shard_sizes().tolist() == [2, 0, 1, 1]
    assert table.of_split("val").shard_path(2) == shard_folder / "val-000000.tar"


def test_equal_data_has_an_equal_digest_and_other_data_another(raw_tree: RawTree, shard_folder: Path) -> None:
    again = raw_tree.write("again")
    finer = raw_tree.write("finer", settings=raw_tree.with_settings(jpeg_quality=94))
    assert open_index(again).digest == open_index(shard_folder).digest != open_index(finer).digest


def test_an_index_that_does_not_belong_to_the_manifest_is_refused(raw_tree: RawTree, shard_folder: Path) -> None:
    finer = raw_tree.write("finer", settings=raw_tree.with_settings(jpeg_quality=94))
    (finer / "index.parquet").replace(shard_folder / "index.parquet")
    with pytest.raises(DataError, match=r"index\.parquet does not match manifest\.json; run the shards stage again"):
        open_index(shard_folder)


def test_a_missing_shard_is_named(shard_folder: Path) -> None:
    (shard_folder / "train-000001.tar").unlink()
    with pytest.raises(DataError, match=r"train-000001\.tar does not exist though manifest\.json names it"):
        open_index(shard_folder)


def test_shards_of_another_layout_version_are_refused(shard_folder: Path) -> None:
    path = shard_folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    with pytest.raises(DataError, match="layout version 0, this code reads version 1"):
        open_index(shard_folder)


def test_a_damaged_manifest_is_called_damaged(shard_folder: Path) -> None:
    (shard_folder / "manifest.json").write_text('{"version": 1}')
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        open_index(shard_folder)


@pytest.mark.slow
def test_a_million_samples_open_in_a_second(tmp_path: Path) -> None:
    size = 1_000_000
    zeros = np.zeros(size, np.int64)
    text = pa.array([f"places2-{number:08d}" for number in range(size)])
    columns = {field.name: zeros for field in INDEX_SCHEMA} | {
        "key": text,
        "image_path": text,
        "image_sha256": text,
        "label_sha256": text,
        "split": ["train"] * size,
        "source": ["places2"] * size,
        "shard": ["train-000000.tar"] * size,
        "class_histogram": pa.array([[0] * 8] * size, pa.list_(pa.int64())),
    }
    (tmp_path / "train-000000.tar").touch()
    write_index(tmp_path / "index.parquet", [pa.table(columns).select(INDEX_SCHEMA.names).cast(INDEX_SCHEMA)])
    shard = ShardEntry("train-000000.tar", "", 0, size)
    write_manifest(tmp_path, [shard], {"train": SplitCount(size, 0)}, {})
    start = time.process_time()
    table = open_index(tmp_path)
    assert time.process_time() - start < 1
    assert table.keys[-1] == "places2-00999999"
