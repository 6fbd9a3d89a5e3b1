"""Shards in a storage that many nodes share, named by their hash, and reading them from there.

=============================  ===============================================================
``shards/<sha256>.tar``        a shard; datasets that hold the same one share it
``datasets/<digest>/``         index and manifest of a folder of shards
``labels/<digest>/``           the same of a folder of automatic labels
=============================  ===============================================================
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipelines.data.published import fetch_files, publish_files
from pipelines.data.shards.cache import Fetched, ShardCache
from pipelines.data.shards.index import read_index
from pipelines.data.shards.labels import LABELS_INDEX_NAME, LabelManifest, read_label_manifest
from pipelines.data.shards.manifest import Manifest, ShardEntry, check_index, read_manifest
from pipelines.data.shards.schema import INDEX_NAME, MANIFEST_NAME, SampleTable
from pipelines.storage.files import sha256_of_file
from pipelines.storage.store import Storage
from sgenet.errors import DataError

Say = Callable[[str], None]

_SHARDS = "shards"
_DATASETS = "datasets"
_LABELS = "labels"
_SECONDS_BETWEEN_LOOKS = 30.0


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


def open_published(
    storage: Storage, path: str, cache_folder: Path, capacity: int
) -> tuple[SampleTable, PublishedShards]:
    """Open a published dataset on a node.

    Args:
        path: from :func:`publish_shards`.
        cache_folder: of this node; index and shards are copied there.
        capacity: most bytes of shards there.

    Returns:
        The samples of all splits, and what reads their shards; :meth:`PublishedShards.keep` downloads them.

    Raises:
        DataError: nothing was published there, or the storage or the disk cannot be used.
    """
    folder = cache_folder / path
    fetch_files(storage, path, folder)
    manifest = read_manifest(folder)
    check_index(folder, manifest)
    entries = {entry.name: entry for entry in manifest.shards}
    shards = PublishedShards(storage, entries, ShardCache(cache_folder, capacity))
    return read_index(folder, manifest), shards


@dataclass
class PublishedShards:
    """Reads members of published shards, from this node's disk where the shard is there, else from the storage.

    Training need not wait for whole shards: while :meth:`keep` downloads them, and where there
    is no room for them, each member is one ranged request. Only the speed depends on it.
    """

    storage: Storage
    entries: dict[str, ShardEntry]
    cache: ShardCache
    _stopped: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _were_here: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self._were_here = self._names_here()

    def __reduce__(self) -> tuple[type[PublishedShards], tuple[Storage, dict[str, ShardEntry], ShardCache]]:
        return type(self), (self.storage, self.entries, self.cache)

    def add_labels(self, path: str) -> Path:
        """Read the sidecar shards of published labels as well; before the first read.

        Args:
            path: from :func:`publish_labels`.

        Returns:
            A local folder with their index and manifest.

        Raises:
            DataError: nothing was published there, or the storage or the disk cannot be used.
        """
        folder = self.cache.folder / path
        fetch_files(self.storage, path, folder)
        self.entries |= {entry.name: entry for entry in read_label_manifest(folder).shards}
        self._were_here = self._names_here()
        return folder

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Bytes of the shard of this name, as they were published.

        Raises:
            DataError: the storage cannot be used.
        """
        entry = self.entries[path.name]
        content = self.cache.read(entry.sha256, offset, size)
        return content if content is not None else self.storage.read_range(_object(entry), offset, size)

    def keep(self, say: Say) -> None:
        """Fetch all shards into the cache and keep them there, in the background, until :meth:`stop`.

        Args:
            say: receives why a shard is not cached, and when a cached one was damaged.
        """
        try:
            self.cache.lease(entry.sha256 for entry in self.entries.values())
        except OSError as error:
            say(f"no shards are cached in {self.cache.folder} ({error.strerror}); each sample is read from the storage")
            return
        threading.Thread(target=self._keep, args=(say,), name="shard-cache", daemon=True).start()

    def stop(self) -> None:
        """End the work in the background after the shard it is at."""
        self._stopped.set()

    def fetch_missing(self, say: Say) -> None:
        """Fetch each shard that is not in the cache, as long as there is room.

        Raises:
            DataError: the storage cannot be used, or a published shard is damaged.
            OSError: the cache cannot be written to.
        """
        for entry in self.entries.values():
            if self._stopped.is_set():
                return
            came = self.cache.fetch(entry.sha256, entry.size, partial(self.storage.read_range, _object(entry)))
            if came in (Fetched.NO_ROOM, Fetched.DISK_FULL):
                say(
                    f"not all shards are cached in {self.cache.folder}: {came.value}; the samples of the others are "
                    "read from the storage one by one"
                )
                return

    def _keep(self, say: Say) -> None:
        said: set[str] = set()

        def say_once(text: str) -> None:
            if text not in said:
                said.add(text)
                say(text)

        while not self._stopped.is_set():
            # A copy that turns out damaged is removed when it is read.
            for name in sorted(self._were_here - self._names_here()):
                say(f"the copy of {name} in {self.cache.folder} was damaged or removed; fetching it again")
            try:
                self.fetch_missing(say_once)
            except (DataError, OSError) as error:
                say_once(f"a shard could not be cached, its samples are read from the storage one by one: {error}")
            self._were_here = self._names_here()
            self._stopped.wait(_SECONDS_BETWEEN_LOOKS)

    def _names_here(self) -> set[str]:
        return {entry.name for entry in self.entries.values() if self.cache.has(entry.sha256)}


def _object(entry: ShardEntry) -> str:
    return f"{_SHARDS}/{entry.sha256}.tar"
