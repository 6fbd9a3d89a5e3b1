"""``manifest.json``: what a folder of shards holds and the hashes it must have. Written last: the done-marker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.data.shards.schema import INDEX_NAME, MANIFEST_NAME, SCHEMA_VERSION
from pipelines.storage.files import reading, sha256_of_file, write_atomically
from sgenet.errors import DataError


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard: its file name, sha256, size in bytes and number of samples."""

    name: str
    sha256: str
    size: int
    num_samples: int

    @property
    def published_name(self) -> str:
        """Its file name in a storage."""
        return f"{self.sha256}.tar"


@dataclass(frozen=True)
class SplitCount:
    """How many samples of a split were written, and how many were quarantined."""

    written: int
    quarantined: int


@dataclass(frozen=True)
class Manifest:
    """The content of a folder of shards.

    Attributes:
        digest: identifies the shards and the index; equal digests mean equal bytes.
        index_sha256: of ``index.parquet``.
        shards: in order of their names.
        splits: counts of each split.
        settings: the dataset's settings, as in ``params.yaml``.
        version: of the layout, ``SCHEMA_VERSION``.
    """

    digest: str
    index_sha256: str
    shards: tuple[ShardEntry, ...]
    splits: dict[str, SplitCount]
    settings: dict[str, Any]
    version: int = SCHEMA_VERSION


def write_manifest(
    folder: Path, shards: Sequence[ShardEntry], splits: dict[str, SplitCount], settings: dict[str, Any]
) -> Manifest:
    """Describe a folder whose shards and index are complete."""
    index_sha256 = sha256_of_file(folder / INDEX_NAME)
    digest = _digest(index_sha256, shards)
    manifest = Manifest(digest, index_sha256, tuple(shards), splits, settings)
    text = json.dumps(asdict(manifest), indent=1, sort_keys=True)
    write_atomically(folder / MANIFEST_NAME, f"{text}\n".encode())
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest.

    Raises:
        DataError: there is none (the shards were never finished), or it is of another version.
    """
    path = folder / MANIFEST_NAME
    with reading(path, "run the shards stage"):
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != SCHEMA_VERSION:
            raise DataError(
                f"{path} describes shards of layout version {raw['version']}, this code reads version "
                f"{SCHEMA_VERSION}; run the shards stage again"
            )
        shards = tuple(ShardEntry(**entry) for entry in raw["shards"])
        splits = {name: SplitCount(**count) for name, count in raw["splits"].items()}
        return Manifest(raw["digest"], raw["index_sha256"], shards, splits, raw["settings"])


def check_files(
    folder: Path, index: str, index_sha256: str | None, shards: Sequence[ShardEntry] = (), stage: str = "shards"
) -> None:
    """Check an index by its hash and shards by their sizes.

    Args:
        stage: that writes such a folder.

    Raises:
        DataError: naming the first file that is missing or altered.
    """
    for name in (index, *(entry.name for entry in shards)):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name} does not exist though {MANIFEST_NAME} names it; run the {stage} stage again"
            )
    altered = [index] if sha256_of_file(folder / index) != index_sha256 else []
    altered += [entry.name for entry in shards if (folder / entry.name).stat().st_size != entry.size]
    if altered:
        raise DataError(f"{folder / altered[0]} does not match {MANIFEST_NAME}; run the {stage} stage again")


def _digest(index_sha256: str, shards: Sequence[ShardEntry]) -> str:
    lines = [f"{INDEX_NAME} {index_sha256}", *(f"{entry.name} {entry.sha256}" for entry in shards)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
