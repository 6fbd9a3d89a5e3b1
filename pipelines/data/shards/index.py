"""``index.parquet``: one row a sample, with the byte offset of every member of every shard.

Of the columns, ``class_histogram`` has the pixels of each class in the order of the label space, all 0 without a label,
and ``num_ignored`` those that are *ignore*; width and height are as stored; hashes are of the raw files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.shards.columns import Column, Pieces, Text, in_memory
from pipelines.data.shards.manifest import Manifest, check_files, read_manifest
from pipelines.data.shards.schema import INDEX_NAME, SampleTable
from pipelines.storage.files import write_atomically
from sgenet.errors import DataError

_SPAN = ("offset", "size")
_ROWS_A_PIECE = 1 << 14

# What a SampleTable holds, and the columns with few distinct values.
_REPEATED = ["split", "shard"]
_TABLE_COLUMNS = [
    "key", *_REPEATED, "image_offset", "image_size", "label_offset", "label_size", "width", "height", "num_classes",
]  # fmt: skip

INDEX_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        *(
            pa.field(f"{member}_{part}", pa.int64(), nullable=False)
            for member in ("image", "label", "meta")
            for part in _SPAN
        ),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("image_path", pa.string(), nullable=False),
        pa.field("image_sha256", pa.string(), nullable=False),
        pa.field("label_sha256", pa.string()),
        pa.field("class_histogram", pa.list_(pa.int64()), nullable=False),
        pa.field("num_ignored", pa.int64(), nullable=False),
        pa.field("num_classes", pa.int32(), nullable=False),
    ]
)


def write_index(path: Path, tables: Sequence[pa.Table]) -> None:
    """Write the tables of all shards, in the order of split and key, as one Parquet file."""
    write_table(path, pa.concat_tables([INDEX_SCHEMA.empty_table(), *tables]))


def open_index(folder: Path) -> SampleTable:
    """Open the index of a folder of shards; a million rows take less than a second.

    The index is checked by its hash, the shards by their sizes.

    Raises:
        DataError: the folder is unfinished, or a file is missing or altered.
    """
    manifest = read_manifest(folder)
    check_files(folder, INDEX_NAME, manifest.index_sha256, manifest.shards)
    return table_of(folder, manifest.digest, in_memory(index_pieces(folder, manifest)))


@lru_cache(maxsize=1)
def reopen_index(folder: Path, digest: str) -> SampleTable:
    """Open in a worker what its driver opened with :func:`open_index`; kept for its next piece of work.

    Raises:
        DataError: as :func:`open_index`, or the folder has another digest by now.
    """
    table = open_index(folder)
    if table.digest != digest:
        raise DataError(f"{folder} changed while it was used; run the stage again")
    return table


def table_of(folder: Path, digest: str, columns: dict[str, Column]) -> SampleTable:
    """The table whose columns :func:`index_pieces` gave."""
    return SampleTable(
        folder=folder,
        digest=digest,
        shard_names=Text.column(columns, "shard_names"),
        shard_bytes=columns["shard_bytes"],
        shard_ends=columns["shard_ends"],
        keys=Text.column(columns, "keys"),
        split_names=tuple(Text.column(columns, "split_names")),
        split_ids=columns["split_ids"],
        shard_ids=columns["shard_ids"],
        image_spans=columns["image_spans"].reshape(-1, 2),
        label_spans=columns["label_spans"].reshape(-1, 2),
        sizes=columns["sizes"].reshape(-1, 2),
        num_classes=columns["num_classes"],
    )


def index_pieces(folder: Path, manifest: Manifest, *, published: bool = False) -> Pieces:
    """What a table holds of the index, some rows at a time, which bounds the memory.

    Args:
        published: name the shards as they are in a storage.
    """
    entries, split_names = manifest.shards, sorted(manifest.splits)
    names = (entry.published_name if published else entry.name for entry in entries)
    yield Text.of(names).as_columns("shard_names")
    yield {
        "shard_bytes": np.array([entry.size for entry in entries], np.int64),
        "shard_ends": np.cumsum([entry.num_samples for entry in entries], dtype=np.int64),
    }
    yield Text.of(split_names).as_columns("split_names")
    shards = {entry.name: number for number, entry in enumerate(entries)}
    splits = {name: number for number, name in enumerate(split_names)}
    with pq.ParquetFile(folder / INDEX_NAME, read_dictionary=_REPEATED) as file:
        end = 0
        yield {"keys_starts": np.zeros(1, np.int64)}
        # pq.read_table and to_numpy, which would do for a column, import pandas, and that takes as long as all of
        # this. Arrow's threads would each keep memory, and save no time.
        for piece in file.iter_batches(_ROWS_A_PIECE, columns=_TABLE_COLUMNS, use_threads=False):
            keys = text_of(piece["key"])
            spans = {
                member: [np.from_dlpack(piece[f"{member}_{part}"]) for part in _SPAN] for member in ("image", "label")
            }
            yield {
                "keys_content": keys.content,
                "keys_starts": keys.starts[1:] + end,
                "split_ids": _positions(piece["split"], splits).astype(np.uint8),
                "shard_ids": _positions(piece["shard"], shards),
                "image_spans": np.stack(spans["image"], axis=1).ravel(),
                "label_spans": np.stack(spans["label"], axis=1).ravel(),
                "sizes": np.stack([np.from_dlpack(piece[side]) for side in ("width", "height")], axis=1).ravel(),
                "num_classes": np.from_dlpack(piece["num_classes"]),
            }
            end += len(keys.content)


def text_of(column: pa.StringArray) -> Text:
    """A column of Arrow without a Python object a row."""
    _, starts, content = column.buffers()
    rows = np.frombuffer(starts, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return Text(np.frombuffer(content, np.uint8)[rows[0] : rows[-1]], rows - rows[0])


def class_pixels(folder: Path, split: str) -> tuple[int, ...]:
    """How many pixels of each class people labelled in a split of a folder of shards, checked already."""
    table = pq.read_table(folder / INDEX_NAME, columns=["class_histogram"], filters=[("split", "=", split)])
    histograms = table["class_histogram"].to_pylist()
    return tuple(int(count) for count in np.sum(histograms, axis=0)) if histograms else ()


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically, with the same bytes for the same table.

    Raises:
        DataError: the disk is full or the folder cannot be written to.
    """
    content = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), content, compression="zstd", row_group_size=1 << 16)
    write_atomically(path, content.getvalue().to_pybytes())


def _positions(column: pa.DictionaryArray, place: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """The number of each value of a column of few different ones."""
    numbers = np.array([place[value] for value in column.dictionary.to_pylist()], np.int32)
    positions: npt.NDArray[np.int32] = numbers[np.from_dlpack(column.indices)]
    return positions
