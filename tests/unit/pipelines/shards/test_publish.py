"""Shards published under their hash, and read from there through a node's cache."""

from __future__ import annotations

import mmap
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from raw_tree import whole
from reads import paths_read

from pipelines.data.published import fetch_files, publish_files
from pipelines.data.shards.columns import Text
from pipelines.data.shards.fetcher import Fetcher
from pipelines.data.shards.index import open_index
from pipelines.data.shards.manifest import read_manifest
from pipelines.data.shards.publish import PublishedShards, open_published, publish_shards
from pipelines.data.shards.reader import ShardDataset
from pipelines.storage import store as store_module
from pipelines.storage.store import S3Storage, Storage, open_storage
from sgenet.errors import DataError


def assert_same_images(folder: Path, storage: Storage, dataset: str, cache: Path) -> PublishedShards:
    """Every sample, read here and there."""
    table, shards = open_published(storage, dataset, cache)
    here, there = ShardDataset(open_index(folder), whole), ShardDataset(table, whole, shards=shards)
    assert len(there) == len(here) > 0
    for row in range(len(here)):
        for expected, found in zip(here.image(row), there.image(row), strict=True):
            np.testing.assert_array_equal(expected, found)
    return shards


def test_shards_lie_under_their_hash_and_are_sent_once(
    shard_folder: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = publish_shards(shard_folder, storage)
    manifest = read_manifest(shard_folder)
    published = [entry.path for entry in storage.list()]
    assert sorted(f"shards/{entry.sha256}.tar" for entry in manifest.shards) == published[-len(manifest.shards) :]
    assert f"datasets/{manifest.digest}/index.parquet" in published
    assert dataset == f"datasets/{manifest.digest}"

    monkeypatch.setattr(S3Storage, "upload", lambda *_: pytest.fail("everything is there"))
    assert publish_shards(shard_folder, storage) == dataset


def test_a_shard_that_was_removed_there_is_published_anew(shard_folder: Path, storage: Storage, tmp_path: Path) -> None:
    dataset = publish_shards(shard_folder, storage)
    first = read_manifest(shard_folder).shards[0].sha256
    storage.delete(f"shards/{first}.tar")
    publish_shards(shard_folder, storage)
    assert_same_images(shard_folder, storage, dataset, tmp_path / "cache")


def test_a_shard_that_is_not_what_was_written_is_not_published(shard_folder: Path, storage: Storage) -> None:
    path = next(shard_folder.glob("train-*.tar"))
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path.name} does not match manifest.json; run the shards stage again"):
        publish_shards(shard_folder, storage)
    assert not any("files.json" in entry.path for entry in storage.list())


def test_samples_come_from_the_storage_until_their_shard_is_here(
    shard_folder: Path, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = publish_shards(shard_folder, storage)
    requests = paths_read(S3Storage, monkeypatch)
    shards = assert_same_images(shard_folder, storage, dataset, tmp_path / "cache")
    # Image and label at once.
    assert len(requests) == len(open_index(shard_folder))

    shards.lease({Path(entry.path).name: entry.size for entry in storage.list("shards")}, {})
    Fetcher(shards.cache.folder, 1 << 30, pytest.fail).fetch_wanted()
    shards.cache.release()
    requests.clear()
    assert_same_images(shard_folder, storage, dataset, tmp_path / "cache")
    assert requests == []


def test_published_shards_can_be_sent_to_another_process(shard_folder: Path, storage: Storage, tmp_path: Path) -> None:
    table, shards = open_published(storage, publish_shards(shard_folder, storage), tmp_path / "cache")
    sent = pickle.loads(pickle.dumps(shards))
    offset, size = table.image_spans[0].tolist()
    assert sent.read(table.shard_path(0), offset, size) == shards.read(table.shard_path(0), offset, size)


def test_files_count_as_published_once_all_are_there_and_a_damaged_copy_is_made_anew(
    storage: Storage, tmp_path: Path
) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "deep").mkdir(parents=True)
    (source / "a").write_bytes(b"1")
    with pytest.raises(DataError, match="b does not exist"):
        publish_files(source, ["a", "deep/b"], storage, "x")
    with pytest.raises(DataError, match=f"nothing was published at {storage.address}/x"):
        fetch_files(storage, "x", copy)
    (source / "deep/b").write_bytes(b"2")
    publish_files(source, ["a", "deep/b"], storage, "x")
    for damaged in (False, True):
        if damaged:
            (copy / "deep/b").write_bytes(b"3")
        fetch_files(storage, "x", copy)
        assert ((copy / "a").read_bytes(), (copy / "deep/b").read_bytes()) == (b"1", b"2")


def is_mapped(array: np.ndarray) -> bool:
    while isinstance(array.base, np.ndarray):
        array = array.base
    base = array.base.obj if isinstance(array.base, memoryview) else array.base
    return isinstance(base, mmap.mmap)


def test_the_columns_of_an_index_are_mapped_and_made_once_for_all_processes_of_a_node(
    shard_folder: Path, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = publish_shards(shard_folder, storage)
    open_published(storage, dataset, tmp_path / "cache")
    # Neither the index nor its copy is read again.
    monkeypatch.setattr("pipelines.data.shards.publish.index_pieces", lambda *_: pytest.fail("they are there"))
    monkeypatch.setattr("pipelines.data.shards.publish.fetch_files", lambda *_: pytest.fail("they are there"))
    table, _ = open_published(storage, dataset, tmp_path / "cache")
    monkeypatch.undo()
    train, here = table.of_split("train"), open_index(shard_folder).of_split("train")
    for name in ("split_ids", "shard_ids", "image_spans", "label_spans", "sizes", "num_classes"):
        np.testing.assert_array_equal(getattr(train, name), getattr(here, name))
        # Nothing of a row is in the memory of this process alone.
        assert is_mapped(getattr(train.labelled(), name)), name
    assert is_mapped(train.keys.content)
    assert table.of_split("val").keys.tolist() == ["val0", "val1", "val2"]
    assert table.shard_names.tolist() == [f"{entry.sha256}.tar" for entry in read_manifest(shard_folder).shards]
    # What they were made of is not kept.
    assert not (tmp_path / "cache" / dataset).exists()


def test_text_gives_any_rows() -> None:
    words = ["", "a", "größer", "", "x" * 300, "end"]
    text = Text.of(words)
    assert text.tolist() == list(text) == words
    assert (len(text), text[-1], text[2]) == (6, "end", "größer")
    assert text[2:5].tolist() == words[2:5]
    assert text[1:1].tolist() == text[4:2].tolist() == []
    assert text[::-2].tolist() == words[::-2]
    assert text[2:][np.array([3, 0, 2, 2])].tolist() == ["end", "größer", "x" * 300, "x" * 300]
    assert text[1:3].equals(Text.of(["a", "größer"]))
    assert not text[1:3].equals(Text.of(["agröße", "r"]))
    with pytest.raises(IndexError):
        text[6]


def test_threads_that_start_together_make_one_client(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write("x", b"content")
    made: list[object] = []
    new_client = store_module._new_client

    def slow() -> object:
        made.append(None)
        time.sleep(0.1)
        return new_client()

    monkeypatch.setattr(store_module, "_new_client", slow)
    fresh = open_storage(storage.address)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(fresh.read, ["x"] * 4)) == {b"content"}
    assert len(made) == 1
