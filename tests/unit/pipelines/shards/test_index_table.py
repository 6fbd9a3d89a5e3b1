from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from raw_tree import RawTree

from pipelines.data.shards.index import open_index
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


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (
            "index.parquet",
            lambda content: content + b"?",
            r"index\.parquet does not match manifest\.json; run the shards",
        ),
        ("train-000001.tar", None, r"train-000001\.tar does not exist though manifest\.json names it"),
        ("train-000001.tar", lambda content: content[:-1], r"train-000001\.tar does not match manifest\.json"),
        ("manifest.json", None, "does not exist; run the shards stage"),
        ("manifest.json", lambda _: b'{"version": 0}', "layout version 0, this code reads version 1"),
        ("manifest.json", lambda _: b'{"version": 1}', r"manifest\.json is damaged"),
    ],
)
def test_a_file_that_is_missing_or_altered_is_named(
    shard_folder: Path, name: str, change: Callable[[bytes], bytes] | None, sentence: str
) -> None:
    path = shard_folder / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=sentence):
        open_index(shard_folder)
