"""A training whose data are larger than its node's cache: windows are fetched ahead, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from raw_tree import RawTree, crop, label_map, png, texture
from reads import wait_until

from pipelines.data.shards.ahead import WindowsAhead
from pipelines.data.shards.index import open_index
from pipelines.data.shards.loader import training_batches
from pipelines.data.shards.publish import PublishedShards, open_published, publish_shards
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.sampler import GlobalBatchSampler, training_order
from pipelines.data.shards.schema import SampleTable
from pipelines.storage.store import S3Storage, Storage

BATCH = 4


@pytest.fixture
def folder(empty_tree: RawTree) -> Path:
    """Eight shards of three samples for training, one to be validated on."""
    for split, count in (("train", 24), ("val", 3)):
        for seed in range(count):
            empty_tree.add(split, f"{split}{seed:02d}", png(texture(seed)), png(label_map(seed)))
    empty_tree.index()
    return empty_tree.write()


def order_of(table: SampleTable) -> GlobalBatchSampler:
    """Four windows of two shards."""
    return training_order(table, BATCH, seed=3, window_gigabytes=sum(table.shard_bytes[:8]) / 4e9)


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 7])
def test_windows_are_read_from_the_disk_that_holds_two_of_them(
    folder: Path, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    table, shards = open_published(storage, publish_shards(folder, storage), tmp_path / "cache")
    always = table.of_split("val").files_of([8])
    table, order, said = table.of_split("train"), order_of(table.of_split("train")), []
    assert order.num_windows == 4
    capacity = 5 * max(table.shard_bytes) + 10_000
    assert capacity < 0.7 * sum(table.shard_bytes)
    ahead = WindowsAhead(shards, table, order, always, capacity, said.append)

    def number_here() -> int:
        return len(list((tmp_path / "cache" / "shards").iterdir()))

    def download(number: int) -> None:
        ahead.move_to(number)
        window = order_of(table).window_of(number)
        wanted = {*window.shards.tolist(), *order_of(table).window_after(window).shards.tolist()}
        digests = {Path(name).stem for name in (*always, *table.files_of(wanted))}
        wait_until(lambda: digests <= {path.name for path in (tmp_path / "cache" / "shards").iterdir()})

    download(start)
    requests: list[str] = []
    # Requests of this process alone: samples that are not here.
    monkeypatch.setattr(S3Storage, "read_range", lambda storage, path, *_: requests.append(path))
    expected = training_batches(ShardDataset(open_index(folder).of_split("train"), crop), order_of(table), start=start)
    found = training_batches(ShardDataset(table, crop, shards=shards), order, start=start)
    for number in range(start, start + 8):
        there, here = next(found), next(expected)
        assert there.keys == here.keys
        assert torch.equal(there.image, here.image)
        assert torch.equal(there.label, here.label)
        assert number_here() <= 5
        download(number + 1)
    ahead.close()
    assert requests == said == []
    assert list((tmp_path / "cache" / "leases").iterdir()) == []


@pytest.mark.slow
def test_the_shards_that_two_ranks_lease_are_fetched_once(folder: Path, storage: Storage, tmp_path: Path) -> None:
    dataset = publish_shards(folder, storage)
    said: list[str] = []
    ranks = []
    for _ in range(2):
        table, shards = open_published(storage, dataset, tmp_path / "cache")
        table = table.of_split("train")
        ranks.append(WindowsAhead(shards, table, order_of(table), {}, 1 << 30, said.append))
    for rank in ranks:
        rank.move_to(0)
    wait_until(lambda: len(list((tmp_path / "cache" / "shards").iterdir())) == 4)
    # The one that fetched ends; the other goes on.
    ranks[0].close()
    ranks[1].move_to(2)
    wait_until(lambda: len(list((tmp_path / "cache" / "shards").iterdir())) == 6)
    ranks[1].close()
    assert said == []


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_to_is_said_and_does_no_harm(
    folder: Path, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, shards = open_published(storage, publish_shards(folder, storage), tmp_path / "cache")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PublishedShards, "lease", full)
    said: list[str] = []
    train = table.of_split("train")
    ahead = WindowsAhead(shards, train, order_of(train), {}, 1 << 30, said.append)
    ahead.move_to(0)
    ahead.close()
    assert said == [
        f"no more shards are cached in {tmp_path / 'cache'} (No space left on device); samples of others are read from "
        "the storage one by one"
    ]
    here, there = ShardDataset(open_index(folder), crop), ShardDataset(table, crop, shards=shards)
    assert np.array_equal(here.image(5)[0], there.image(5)[0])
