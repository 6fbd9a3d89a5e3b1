"""Shards in a storage that many nodes share, named by their hash, and reading them from there.

=============================  ===============================================================
``shards/<sha256>.tar``        a shard; datasets that hold the same one share it
``datasets/<digest>/``         index and manifest of a folder of shards
``labels/<digest>/``           the same of a folder of automatic labels
=============================  ===============================================================
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.published import fetch_files, publish_files
from pipelines.data.shards.cache import Lease, ShardCache, published_path
from pipelines.data.shards.columns import COLUMNS_VERSION, Pieces, mapped
from pipelines.data.shards.index import index_pieces, table_of
from pipelines.data.shards.labels import (
    LABELS_INDEX_NAME,
    LabelManifest,
    label_pieces,
    read_label_manifest,
    with_labels,
)
from pipelines.data.shards.manifest import Manifest, ShardEntry, check_files, read_manifest
from pipelines.data.shards.schema import INDEX_NAME, MANIFEST_NAME, SampleTable
from pipelines.settings.labels import LabelSource
from pipelines.storage.files import sha256_of_file
from pipelines.storage.store import Storage
from sgenet.errors import DataError

_SHARDS = "shards"
_DATASETS = "datasets"
_LABELS = "labels"


def publish_shards(folder: Path, storage: Storage) -> str:
    """Publish a folder of shards; what is there already is not sent again.

    Returns:
        The path of the dataset in the storage, for :func:`open_published`.

    Raises:
        DataError: a shard is not what the manifest says, or the storage cannot be used.
    """
    manifest = read_manifest(folder)
    return _publish(folder, manifest.shards, INDEX_NAME, storage, published_shards(manifest), "shards")


def publish_labels(folder: Path, storage: Storage) -> str:
    """The same for a folder of automatic labels, for :func:`with_published_labels`."""
    manifest = read_label_manifest(folder)
    return _publish(folder, manifest.shards, LABELS_INDEX_NAME, storage, published_labels(manifest), "label")


def _publish(folder: Path, entries: Sequence[ShardEntry], index: str, storage: Storage, path: str, stage: str) -> str:
    there = {entry.path: entry.size for entry in storage.list(_SHARDS)}
    for entry in entries:
        shard = published_path(entry.sha256)
        if there.get(shard) == entry.size:
            continue
        if sha256_of_file(folder / entry.name) != entry.sha256:
            raise DataError(f"{folder / entry.name} does not match {MANIFEST_NAME}; run the {stage} stage again")
        storage.upload(folder / entry.name, shard)
    publish_files(folder, (index, MANIFEST_NAME), storage, path)
    return path


def published_shards(manifest: Manifest) -> str:
    """The path in a storage of the shards that a manifest lists."""
    return f"{_DATASETS}/{manifest.digest}"


def published_labels(manifest: LabelManifest) -> str:
    """The path in a storage of the automatic labels that a manifest lists."""
    return f"{_LABELS}/{manifest.digest}"


def open_published(storage: Storage, path: str, cache_folder: Path) -> tuple[SampleTable, PublishedShards]:
    """Open a published dataset on a node.

    Args:
        path: from :func:`publish_shards`.
        cache_folder: of this node; index and shards are copied there.

    Returns:
        The samples of all splits, and what reads their shards.

    Raises:
        DataError: nothing was published there, or the storage or the disk cannot be used.
    """
    folder = cache_folder / path

    def pieces() -> Pieces:
        fetch_files(storage, path, folder)
        manifest = read_manifest(folder)
        check_files(folder, INDEX_NAME, manifest.index_sha256)
        yield from index_pieces(folder, manifest, published=True)
        # Large, and needed no more.
        shutil.rmtree(folder)

    digest = Path(path).name
    columns = mapped(cache_folder / "columns" / f"{digest}-{COLUMNS_VERSION}", pieces)
    return table_of(Path(_SHARDS), digest, columns), PublishedShards(storage, ShardCache(cache_folder))


def with_published_labels(
    table: SampleTable, storage: Storage, path: str, source: LabelSource, cache_folder: Path
) -> SampleTable:
    """The samples of a published dataset with published labels; see :func:`.labels.with_automatic_labels`.

    Args:
        path: from :func:`publish_labels`.

    Raises:
        DataError: nothing was published there, it is not for these samples, or the storage or the disk cannot be used.
    """
    folder = cache_folder / path

    def pieces() -> Pieces:
        fetch_files(storage, path, folder)
        yield from label_pieces(table, folder, source, published=True)
        shutil.rmtree(folder)

    name = f"{Path(path).name}-{source}-{table.digest}-{COLUMNS_VERSION}"
    return with_labels(table, Path(_SHARDS), mapped(cache_folder / "columns" / name, pieces))


@dataclass
class PublishedShards:
    """Reads members of published shards, from this node's disk where the shard is there, else from the storage.

    Training need not wait for whole shards: one that is not here yet, or for which there is no
    room, is read by a ranged request a sample. Only the speed depends on it.
    """

    storage: Storage
    cache: ShardCache

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Bytes of a shard at its path in the storage, as they were published.

        Raises:
            DataError: the storage cannot be used.
        """
        content = self.cache.read(path.stem, offset, size)
        return content if content is not None else self.storage.read_range(path.as_posix(), offset, size)

    def lease(self, now: Mapping[str, int], following: Mapping[str, int]) -> None:
        """Keep the current and the next shards on this node, and release the previous ones.

        They are given by their names and sizes, as :meth:`SampleTable.files_of` does.

        Raises:
            OSError: the cache cannot be written to.
        """
        leased = ({Path(name).stem: size for name, size in shards.items()} for shards in (now, following))
        self.cache.lease(Lease(self.storage.address, *leased))
