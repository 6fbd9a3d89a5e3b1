"""Seven training and three validation samples, raw and as shards, and a storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_tree import RawTree, label_map, png, texture

from pipelines.storage.store import Storage, open_storage


@pytest.fixture
def empty_tree(tmp_path: Path) -> RawTree:
    return RawTree(tmp_path)


@pytest.fixture
def raw_tree(empty_tree: RawTree) -> RawTree:
    for split, number in (("train", 7), ("val", 3)):
        for seed in range(number):
            empty_tree.add(split, f"{split}{seed}", png(texture(seed)), png(label_map(seed)))
    return empty_tree


@pytest.fixture
def shard_folder(raw_tree: RawTree) -> Path:
    raw_tree.index()
    return raw_tree.write()


@pytest.fixture
def storage(s3_bucket: str) -> Storage:
    return open_storage(f"s3://{s3_bucket}/store")
