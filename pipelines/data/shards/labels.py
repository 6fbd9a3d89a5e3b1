"""Automatic labels beside the shards they belong to: sidecar shards, an index of them, and how they are read.

``data/<dataset>/labels/`` holds, where labels are automatic:

==============================  ===============================================================================
``{split}-{n:06d}.labels.tar``  for each shard one, with the same keys in the same order: ``<key>.label.png`` (class
                                ids, 255 = ignore) and ``<key>.confidence.png`` (0 … 255 for 0 … 1)
``labels.parquet``              a row for each sample, in the order of ``index.parquet``
``manifest.json``               what made them, of which shards, and their hashes; written last
==============================  ===============================================================================

Where labels are people's there is ``manifest.json`` alone, which says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.shards.columns import Column, Pieces, Text, in_memory
from pipelines.data.shards.index import text_of, write_table
from pipelines.data.shards.manifest import ShardEntry, check_files
from pipelines.data.shards.schema import MANIFEST_NAME, SampleTable
from pipelines.settings.labels import LabelSource
from pipelines.storage.files import reading, sha256_of_file, write_atomically
from sgenet.errors import DataError

LABELS_VERSION = 1
_ROWS_A_PIECE = 1 << 14
LABELS_INDEX_NAME = "labels.parquet"
CONFIDENCE_SUFFIX = "confidence.png"
LABELLED_SPLIT = "train"
"""Only training reads automatic labels: nothing is ever measured by them."""

LABELS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("label_offset", pa.int64(), nullable=False),
        pa.field("label_size", pa.int64(), nullable=False),
        pa.field("confidence_offset", pa.int64(), nullable=False),
        pa.field("confidence_size", pa.int64(), nullable=False),
        pa.field("class_histogram", pa.list_(pa.int64()), nullable=False),
        pa.field("num_ignored", pa.int64(), nullable=False),
        pa.field("mean_confidence", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class LabelManifest:
    """What a folder of labels holds.

    Attributes:
        source: as in the settings; ``human``: nothing else is set.
        digest: of the automatic labels and of how they are used; equal digests mean equal labels in training.
        shards_digest: of the shards that they belong to.
        index_sha256: of ``labels.parquet``.
        shards: the sidecar shards, in order of their names.
        segmenter, segmenter_sha256: what labelled.
        threshold: of confidence, below which a pixel is *ignore*.
        agreement: for each split with labelled images, how well the automatic labels agree with people's.
        version: of the layout.
    """

    source: LabelSource
    digest: str | None = None
    shards_digest: str | None = None
    index_sha256: str | None = None
    shards: tuple[ShardEntry, ...] = ()
    segmenter: str | None = None
    segmenter_sha256: str | None = None
    threshold: float | None = None
    agreement: dict[str, dict[str, float | None]] = field(default_factory=dict)
    version: int = LABELS_VERSION

    def write(self, folder: Path) -> None:
        """Write it, last of a folder's files."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True)
        write_atomically(folder / MANIFEST_NAME, f"{text}\n".encode())


def sidecar_name(shard: str) -> str:
    """The file name of the labels of a shard."""
    return f"{Path(shard).stem}.labels.tar"


def read_label_manifest(folder: Path) -> LabelManifest:
    """Read a folder's manifest.

    Raises:
        DataError: there is none, or it is damaged or of another version.
    """
    path = folder / MANIFEST_NAME
    with reading(path, "run the label stage"):
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != LABELS_VERSION:
            raise DataError(f"{path} is of another version of this project; run the label stage again")
        return LabelManifest(**raw | {"shards": tuple(ShardEntry(**entry) for entry in raw["shards"])})


def write_labels(
    folder: Path, rows: Sequence[dict[str, object]], described: LabelManifest, shards: Sequence[ShardEntry]
) -> LabelManifest:
    """Describe a folder whose sidecar shards are complete.

    Args:
        rows: of ``LABELS_SCHEMA``, in the order of the shards' index.
        described: what is known of the labels but for their hashes.
    """
    write_table(folder / LABELS_INDEX_NAME, pa.Table.from_pylist(list(rows), schema=LABELS_SCHEMA))
    index_sha256 = sha256_of_file(folder / LABELS_INDEX_NAME)
    lines = [
        described.source,
        described.shards_digest,
        index_sha256,
        *(f"{shard.name} {shard.sha256}" for shard in shards),
    ]
    digest = hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()
    manifest = replace(described, digest=digest, index_sha256=index_sha256, shards=tuple(shards))
    manifest.write(folder)
    return manifest


def with_automatic_labels(table: SampleTable, folder: Path, source: LabelSource) -> SampleTable:
    """The samples of all splits with automatic labels for those of the training split that are to have them.

    ``auto``: all of them; ``fill``: those that people did not label. The other splits keep people's labels.

    Args:
        table: of all splits, as opened.
        folder: of the stage ``label``.

    Raises:
        DataError: the labels are missing, damaged, of other images, or not of this source.
    """
    return with_labels(table, folder, in_memory(label_pieces(table, folder, source)))


def with_labels(table: SampleTable, folder: Path, columns: dict[str, Column]) -> SampleTable:
    """The samples with the labels whose columns :func:`label_pieces` gave, and whose sidecar shards lie in a folder."""
    return replace(
        table,
        label_spans=columns["label_spans"].reshape(-1, 2),
        num_classes=columns["num_classes"],
        label_folder=folder,
        label_shard_names=Text.column(columns, "label_shard_names"),
        label_shard_bytes=columns["label_shard_bytes"],
        label_shard_ids=columns["label_shard_ids"],
    )


def label_pieces(table: SampleTable, folder: Path, source: LabelSource, *, published: bool = False) -> Pieces:
    """What a table has of its labels instead, some rows at a time.

    Args:
        table, folder, source: as for :func:`with_automatic_labels`.
        published: name the sidecar shards as they are in a storage, where they lie.

    Raises:
        DataError: the labels are missing, damaged, of other images, or not of this source.
    """
    manifest = read_label_manifest(folder)
    if manifest.source != source or source == "human":
        raise DataError(
            f"{folder} holds labels of the source '{manifest.source}', but labels.….source is '{source}'; "
            "run the label stage again"
        )
    if manifest.shards_digest != table.digest:
        raise DataError(f"{folder} was made for other shards than {table.folder}; run the label stage again")
    shards = () if published else manifest.shards
    check_files(folder, LABELS_INDEX_NAME, manifest.index_sha256, shards, "label")
    names = (entry.published_name if published else entry.name for entry in manifest.shards)
    yield Text.of(names).as_columns("label_shard_names")
    yield {"label_shard_bytes": np.array([entry.size for entry in manifest.shards], np.int64)}
    positions = {entry.name: position for position, entry in enumerate(manifest.shards)}
    columns = ["key", "shard", "label_offset", "label_size", "class_histogram"]
    end = 0
    with pq.ParquetFile(folder / LABELS_INDEX_NAME) as file:
        for piece in file.iter_batches(_ROWS_A_PIECE, columns=columns, use_threads=False):
            rows = slice(end, end := end + len(piece))
            if not text_of(piece["key"]).equals(table.keys[rows]):
                break
            chosen = table.split_ids[rows] == table.split_names.index(LABELLED_SPLIT)
            if manifest.source == "fill":
                chosen = chosen & (table.label_spans[rows, 1] == 0)
            spans = np.stack([np.from_dlpack(piece["label_offset"]), np.from_dlpack(piece["label_size"])], axis=1)
            shard_ids = np.array([positions[name] for name in piece["shard"].to_pylist()], np.int32)
            histograms = np.from_dlpack(piece["class_histogram"].flatten()).reshape(len(piece), -1)
            yield {
                "label_spans": np.where(chosen[:, None], spans, table.label_spans[rows]).ravel(),
                "num_classes": np.where(chosen, (histograms > 0).sum(axis=1), table.num_classes[rows]).astype(np.int32),
                "label_shard_ids": np.where(chosen, shard_ids, -1).astype(np.int32),
            }
        else:
            if end == len(table):
                return
    raise DataError(
        f"{folder} does not have one label for each sample of {table.folder}, in their order; run the label stage again"
    )
