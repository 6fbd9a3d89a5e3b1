"""Shards in a storage that many nodes share, named by their hash, and reading them from there.

=============================  ===============================================================
``shards/<sha256>.tar``        a shard; datasets that hold the same one share it
``datasets/<digest>/``         index and manifest of a folder of shards
``labels/<digest>/``           the same of a folder of automatic labels
=============================  ===============================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.published import fetch_files, publish_files
from pipelines.data.shards.cache import Lease, PublishedShard, ShardCache
from pipelines.data.shards.columns import COLUMNS_VERSION
from pipelines.data.shards.index import read_index
from pipelines.data.shards.labels import (
    LABELS_INDEX_NAME,
    LabelManifest,
    read_label_manifest,
    sidecar_name,
    with_automatic_labels,
)
from pipelines.data.shards.manifest import Manifest, ShardEntry, check_index, read_manifest
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
    _publish_entries(folder, manifest.shards, storage, "shards")
    path = published_shards(manifest)
    publish_files(folder, (INDEX_NAME, MANIFEST_NAME), storage, path)
    return path


def publish_labels(folder: Path, storage: Storage) -> str:
    """Publish a folder of automatic labels, as :func:`publish_shards` does the images.

    Returns:
        The path of the labels in the storage, for :meth:`PublishedShards.add_labels`.

    Raises:
        DataError: a sidecar shard is not what the manifest says, or the storage cannot be used.
    """
    manifest = read_label_manifest(folder)
    _publish_entries(folder, manifest.shards, storage, "label")
    path = published_labels(manifest)
    publish_files(folder, (LABELS_INDEX_NAME, MANIFEST_NAME), storage, path)
    return path


def _publish_entries(folder: Path, entries: Sequence[ShardEntry], storage: Storage, stage: str) -> None:
    there = {entry.path: entry.size for entry in storage.list(_SHARDS)}
    for entry in entries:
        if there.get(_object(entry)) == entry.size:
            continue
        if sha256_of_file(folder / entry.name) != entry.sha256:
            raise DataError(f"{folder / entry.name} does not match {MANIFEST_NAME}; run the {stage} stage again")
        storage.upload(folder / entry.name, _object(entry))


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
    folder, columns = _fetch_index(storage, path, cache_folder)
    manifest = read_manifest(folder)
    if not columns.is_dir():
        check_index(folder, manifest)
    entries = {entry.name: entry for entry in manifest.shards}
    return read_index(folder, manifest, columns), PublishedShards(storage, entries, ShardCache(cache_folder))


@dataclass
class PublishedShards:
    """Reads members of published shards, from this node's disk where the shard is there, else from the storage.

    Training need not wait for whole shards: one that is not here yet, or for which there is no
    room, is read by a ranged request a sample. Only the speed depends on it.
    """

    storage: Storage
    entries: dict[str, ShardEntry]
    cache: ShardCache

    def add_labels(self, table: SampleTable, path: str, source: LabelSource) -> SampleTable:
        """The table with published labels, whose sidecar shards are read as well; before the first read.

        Args:
            table: the samples of all splits.
            path: from :func:`publish_labels`.
            source: which of the samples have them.

        Raises:
            DataError: nothing was published there, they are not for these samples, or the storage or the disk cannot
                be used.
        """
        folder, columns = _fetch_index(self.storage, path, self.cache.folder)
        self.entries |= {entry.name: entry for entry in read_label_manifest(folder).shards}
        return with_automatic_labels(table, folder, source, mapped_at=columns)

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Bytes of the shard of this name, as they were published.

        Raises:
            DataError: the storage cannot be used.
        """
        entry = self.entries[path.name]
        content = self.cache.read(entry.sha256, offset, size)
        return content if content is not None else self.storage.read_range(_object(entry), offset, size)

    def lease(self, now: Iterable[str], following: Iterable[str] = ()) -> None:
        """Have shards of these names, and the labels beside them, brought here and kept.

        Args:
            now: those that are read from now on, in place of what was leased before.
            following: those that come next.

        Raises:
            OSError: the cache cannot be written to.
        """
        self.cache.lease(Lease(self.storage.address, self._published(now), self._published(following)))

    def _published(self, names: Iterable[str]) -> tuple[PublishedShard, ...]:
        entries = (self.entries.get(each) for name in names for each in (name, sidecar_name(name)))
        return tuple(PublishedShard(_object(entry), entry.sha256, entry.size) for entry in entries if entry)


def _fetch_index(storage: Storage, path: str, cache_folder: Path) -> tuple[Path, Path]:
    """The folder of a published index and its manifest, and where its columns are mapped from on this node."""
    folder, columns = cache_folder / path, cache_folder / "columns" / f"{Path(path).name}-{COLUMNS_VERSION}"
    # The index is large, and was verified before its columns were written.
    if not (columns.is_dir() and (folder / MANIFEST_NAME).is_file()):
        fetch_files(storage, path, folder)
    return folder, columns


def _object(entry: ShardEntry) -> str:
    return f"{_SHARDS}/{entry.sha256}.tar"
