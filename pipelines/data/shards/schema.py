"""What lies in a shard and what is known about it without opening it. Needs NumPy alone.

A sample is up to three members of a tar file that share a key:

===================  ==================================================================
``<key>.jpg``        the image of a training sample, JPEG 4:4:4
``<key>.png``        the image of an evaluation sample, lossless
``<key>.label.png``  its label map, 8-bit class ids, 255 = ignore (absent when unlabelled)
``<key>.json``       source, path, hash, width, height, number of classes
===================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.data.shards.columns import Text
from sgenet.errors import DataError

SCHEMA_VERSION = 1
"""Raised whenever shards written before can no longer be read."""

INDEX_NAME = "index.parquet"
QUARANTINE_NAME = "quarantine.parquet"
MANIFEST_NAME = "manifest.json"

LABEL_SUFFIX = "label.png"
META_SUFFIX = "json"


class Span(NamedTuple):
    """Where a member's content lies in its shard.

    Attributes:
        offset: of its first byte, from the start of the tar file.
        size: in bytes; 0 when the sample has no such member.
    """

    offset: int
    size: int


ABSENT = Span(0, 0)


@dataclass(frozen=True)
class SampleTable:
    """The samples of a folder of shards in index order (split, then key), a column an array of N rows.

    Attributes:
        folder: where the shards lie; of published ones the folder in the storage.
        digest: identifies the content of the whole folder, whichever rows this table holds.
        shard_names: (S,) file names of the shards, in the order of their samples.
        shard_bytes: (S,) int64 their sizes.
        shard_ends: (S,) int64 how many of these samples lie in a shard and those before it.
        keys: (N,) text.
        split_names: names of the splits, sorted.
        split_ids: (N,) uint8 positions in ``split_names``.
        shard_ids: (N,) positions in ``shard_names``.
        image_spans, label_spans: (N, 2) int64 byte offset and size; size 0 = no label.
        sizes: (N, 2) int32 width and height in pixels.
        num_classes: (N,) int32 different classes in the label, *ignore* not counted; 0 = no label.
        label_folder: where sidecar shards with automatic labels lie, if any are used.
        label_shard_names, label_shard_bytes: (T,) their file names and sizes.
        label_shard_ids: (N,) positions in ``label_shard_names``; -1 where the label lies beside the image, as all do
            where this is None.
    """

    folder: Path
    digest: str
    shard_names: Text
    shard_bytes: npt.NDArray[np.int64]
    shard_ends: npt.NDArray[np.int64]
    keys: Text
    split_names: tuple[str, ...]
    split_ids: npt.NDArray[np.uint8]
    shard_ids: npt.NDArray[np.int32]
    image_spans: npt.NDArray[np.int64]
    label_spans: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int32]
    num_classes: npt.NDArray[np.int32]
    label_folder: Path | None = None
    label_shard_names: Text | None = None
    label_shard_bytes: npt.NDArray[np.int64] | None = None
    label_shard_ids: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def of_split(self, split: str) -> SampleTable:
        """The samples of one split, which lie one after the other; they share the memory of these.

        Raises:
            DataError: there are none.
        """
        ends = np.searchsorted(self.split_ids, np.arange(len(self.split_names)), side="right").tolist()
        pieces = dict(zip(self.split_names, map(slice, [0, *ends], ends), strict=False))
        found = [name for name, piece in pieces.items() if piece.stop > piece.start]
        if split not in found:
            raise DataError(
                f"{self.folder} has no samples of the split '{split}'; the splits there are: "
                f"{', '.join(found) or 'none'}"
            )
        return self.rows(pieces[split])

    def labelled(self) -> SampleTable:
        """The samples that have a label, in the same order.

        Raises:
            DataError: there are none.
        """
        labelled = self.label_spans[:, 1] > 0
        if labelled.all() and len(self):
            return self
        if not labelled.any():
            splits = ", ".join(self.split_names[number] for number in np.unique(self.split_ids))
            raise DataError(
                f"none of the {len(self)} samples of {splits} in {self.folder} has a label, which "
                "a segmenter is fitted to and scored by; label some, or name a fitted one in labels.….checkpoint"
            )
        return self.rows(np.flatnonzero(labelled))

    def rows(self, rows: npt.NDArray[np.integer] | slice) -> SampleTable:
        """The samples at the given positions, in ascending order; those of a slice share the memory of these."""
        if isinstance(rows, slice):
            first, last, _ = rows.indices(len(self))
            shard_ends = np.clip(self.shard_ends, first, last) - first
        else:
            shard_ends = np.searchsorted(rows, self.shard_ends)
        return replace(
            self,
            shard_ends=shard_ends,
            keys=self.keys[rows],
            split_ids=self.split_ids[rows],
            shard_ids=self.shard_ids[rows],
            image_spans=self.image_spans[rows],
            label_spans=self.label_spans[rows],
            sizes=self.sizes[rows],
            num_classes=self.num_classes[rows],
            label_shard_ids=None if self.label_shard_ids is None else self.label_shard_ids[rows],
        )

    def shard_sizes(self) -> npt.NDArray[np.int64]:
        """How many of these samples each shard holds, (S,)."""
        return np.diff(self.shard_ends, prepend=0)

    def files_of(self, shards: Iterable[int]) -> dict[str, int]:
        """File names and sizes of the shards of these numbers, and of those with the labels of their samples."""
        files = {}
        for shard in shards:
            files[self.shard_names[shard]] = int(self.shard_bytes[shard])
            if self.label_shard_ids is None or self.label_shard_names is None or self.label_shard_bytes is None:
                continue
            first, last = self.shard_ends[shard - 1] if shard else 0, self.shard_ends[shard]
            for labels in np.unique(self.label_shard_ids[first:last]):
                if labels >= 0:
                    files[self.label_shard_names[labels]] = int(self.label_shard_bytes[labels])
        return files

    def shard_path(self, row: int) -> Path:
        """The shard that holds a sample."""
        return self.folder.joinpath(self.shard_names[self.shard_ids[row]])

    def label_path(self, row: int) -> Path:
        """The shard that holds a sample's label: the sample's own, or a sidecar."""
        if self.label_shard_ids is None or self.label_shard_ids[row] < 0:
            return self.shard_path(row)
        assert self.label_folder is not None
        assert self.label_shard_names is not None
        return self.label_folder.joinpath(self.label_shard_names[self.label_shard_ids[row]])


def shard_name(split: str, number: int) -> str:
    """File name of a split's shard, counted from 0."""
    return f"{split}-{number:06d}.tar"


def image_suffix(split: str) -> str:
    """``jpg`` for training images; what is measured on is stored losslessly, as ``png``."""
    return "jpg" if split == "train" else "png"


def spread(table: SampleTable, most: int) -> SampleTable:
    """At most ``most`` samples, evenly spread over the table."""
    if len(table) <= most:
        return table
    return table.rows(np.arange(most) * len(table) // most)
