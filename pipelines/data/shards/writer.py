"""From raw samples to one shard: read, decode, resize, encode; whatever is unusable is listed with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simplejpeg

from pipelines.data.adapters.files import Adapter
from pipelines.data.shards.decode_raw import check_fits, decode_image, decode_label, resize_image, resize_label
from pipelines.data.shards.index import INDEX_SCHEMA
from pipelines.data.shards.manifest import ShardEntry
from pipelines.data.shards.schema import ABSENT, LABEL_SUFFIX, META_SUFFIX, image_suffix, shard_name
from pipelines.data.shards.sources import SourceRow, read_unchanged
from pipelines.data.shards.tar import ShardWriter, encode_png
from pipelines.settings.params import DataSettings
from sgenet.errors import DataError
from sgenet.label_space import IGNORE_ID
from sgenet.transforms import Pixels


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be written: its file name, its split and its samples in order."""

    name: str
    split: str
    rows: tuple[SourceRow, ...]


@dataclass(frozen=True)
class Quarantined:
    """An input that is in no shard, and why."""

    key: str
    split: str
    path: str
    reason: str


@dataclass(frozen=True)
class WrittenShard:
    """What became of a plan: every row of it is either in the index or quarantined.

    Where not one of its samples was usable, no file is left, and the entry is None.
    """

    split: str
    entry: ShardEntry | None
    index: pa.Table
    quarantined: tuple[Quarantined, ...]


@dataclass(frozen=True)
class StoredSample:
    """A sample as it will be stored: encoded files, (width, height), and the label's pixels of each class."""

    image: bytes
    label: bytes | None
    size: tuple[int, int]
    class_histogram: tuple[int, ...]
    num_ignored: int


def plan_shards(rows: Sequence[SourceRow], samples_per_shard: int) -> list[ShardPlan]:
    """Divide samples among shards by their position among the sorted keys of their split.

    The division knows nothing of workers, and nothing of which samples will turn out unusable:
    a quarantined one leaves its shard one shorter and moves no other.
    """
    ordered = sorted(rows, key=lambda row: (row.sample.split, row.sample.key))
    plans = []
    for split, group in groupby(ordered, key=lambda row: row.sample.split):
        members = tuple(group)
        for number, first in enumerate(range(0, len(members), samples_per_shard)):
            plans.append(ShardPlan(shard_name(split, number), split, members[first : first + samples_per_shard]))
    return plans


def write_shard(plan: ShardPlan, adapters: Mapping[str, Adapter], data: DataSettings, folder: Path) -> WrittenShard:
    """Write one shard into ``folder``. The same bytes for the same plan, files and settings.

    Args:
        adapters: by source name.

    Raises:
        DataError: a raw file changed since it was indexed, or the shard cannot be written.
    """
    path = folder / plan.name
    indexed: list[dict[str, Any]] = []
    quarantined: list[Quarantined] = []
    with ShardWriter(path) as shard:
        for row, outcome in _prepared(plan, adapters, data):
            if isinstance(outcome, StoredSample):
                indexed.append(_add(shard, plan, row, outcome))
            else:
                sample = row.sample
                quarantined.append(Quarantined(sample.key, sample.split, sample.image_path, str(outcome)))
    entry = ShardEntry(plan.name, shard.sha256, shard.size, len(indexed)) if indexed else None
    if entry is None:
        path.unlink()
    index = pa.Table.from_pylist(indexed, schema=INDEX_SCHEMA)
    return WrittenShard(plan.split, entry, index, tuple(quarantined))


def prepare(
    image_file: bytes, label_file: bytes | None, adapter: Adapter, data: DataSettings, split: str
) -> StoredSample:
    """Decode, resize and encode one sample.

    Raises:
        DataError: with the reason why it is unusable.
    """
    side = data.side(split)
    decoded = decode_image(image_file, side if data.jpeg_decoding == "scaled" else None)
    check_fits(decoded.size, data.crop)
    resized = resize_image(decoded, side)
    height, width, _ = resized.shape
    image = _encoded_image(resized, split, data.jpeg_quality)
    num_classes = data.labels.num_classes
    if label_file is None:
        return StoredSample(image, None, (width, height), (0,) * num_classes, 0)
    label = resize_label(adapter.map_label(decode_label(label_file, decoded)), (width, height))
    counts = _count_ids(label, num_classes)
    return StoredSample(image, encode_png(label), (width, height), counts, int((label == IGNORE_ID).sum()))


def _prepared(
    plan: ShardPlan, adapters: Mapping[str, Adapter], data: DataSettings
) -> Iterator[tuple[SourceRow, StoredSample | str]]:
    """Each row of the plan with its stored form, or with the reason why it has none."""
    for row in plan.rows:
        if row.reason is not None:
            yield row, row.reason
            continue
        adapter = adapters[row.sample.source]
        files = read_unchanged(row, adapter)
        try:
            outcome: StoredSample | str = prepare(*files, adapter, data, plan.split)
        except DataError as error:
            outcome = str(error)
        yield row, outcome


def _add(shard: ShardWriter, plan: ShardPlan, row: SourceRow, stored: StoredSample) -> dict[str, Any]:
    """Append a sample to its shard; its row of the index."""
    sample, (width, height) = row.sample, stored.size
    meta = {
        "height": height,
        "image_path": sample.image_path,
        "image_sha256": row.image_sha256,
        "num_classes": sum(count > 0 for count in stored.class_histogram),
        "source": sample.source,
        "width": width,
    }
    members = [(image_suffix(plan.split), stored.image)]
    if stored.label is not None:
        members.append((LABEL_SUFFIX, stored.label))
    members.append((META_SUFFIX, json.dumps(meta, sort_keys=True).encode()))
    image, *labels, described = shard.add(sample.key, members)
    label = labels[0] if labels else ABSENT
    return meta | {
        "key": sample.key,
        "split": sample.split,
        "shard": plan.name,
        "image_offset": image.offset,
        "image_size": image.size,
        "label_offset": label.offset,
        "label_size": label.size,
        "meta_offset": described.offset,
        "meta_size": described.size,
        "label_sha256": row.label_sha256,
        "class_histogram": stored.class_histogram,
        "num_ignored": stored.num_ignored,
    }


def _count_ids(label: npt.NDArray[np.uint8], num_classes: int) -> tuple[int, ...]:
    counts = np.bincount(label.ravel(), minlength=IGNORE_ID + 1)
    foreign = np.flatnonzero(counts[num_classes:IGNORE_ID]) + num_classes
    if len(foreign):
        raise DataError(f"label id out of range: {foreign.tolist()} though the ids are 0 … {num_classes - 1}")
    return tuple(counts[:num_classes].tolist())


def _encoded_image(pixels: Pixels, split: str, jpeg_quality: int) -> bytes:
    if image_suffix(split) == "png":
        return encode_png(pixels)
    content: bytes = simplejpeg.encode_jpeg(np.require(pixels, requirements="C"), jpeg_quality, "RGB", "444", False)
    return content
