"""A sample table from the shards alone, for a machine that cannot read Parquet. Standard library and NumPy."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.data.shards.columns import Text
from pipelines.data.shards.schema import ABSENT, LABEL_SUFFIX, MANIFEST_NAME, META_SUFFIX, SampleTable, Span
from sgenet.errors import DataError


@dataclass(frozen=True)
class _Scanned:
    key: str
    shard_id: int
    image: Span
    label: Span
    size: tuple[int, int]
    num_classes: int


def scan_tars(folder: Path, split: str) -> SampleTable:
    """Walk the headers of a split's shards; what ``open_index(folder).of_split(split)`` gives, more slowly.

    The digest is the manifest's where there is one, else it covers keys, offsets and sizes only.

    Raises:
        DataError: there are no shards of the split, or one is damaged.
    """
    paths = sorted(folder.glob(f"{split}-??????.tar"))
    samples = [sample for shard_id, path in enumerate(paths) for sample in _scan(path, shard_id)]
    if not samples:
        raise DataError(
            f"{folder} holds no samples in shards named {split}-000000.tar and so on; check folder and split"
        )
    return SampleTable(
        folder=folder,
        digest=_digest(folder, samples),
        shard_names=Text.of(path.name for path in paths),
        shard_bytes=np.array([path.stat().st_size for path in paths], np.int64),
        shard_ends=np.searchsorted([sample.shard_id for sample in samples], np.arange(len(paths)), side="right"),
        keys=Text.of(sample.key for sample in samples),
        split_names=(split,),
        split_ids=np.zeros(len(samples), np.uint8),
        shard_ids=np.array([sample.shard_id for sample in samples], np.int32),
        image_spans=np.array([sample.image for sample in samples], np.int64),
        label_spans=np.array([sample.label for sample in samples], np.int64),
        sizes=np.array([sample.size for sample in samples], np.int32),
        num_classes=np.array([sample.num_classes for sample in samples], np.int32),
    )


def _scan(path: Path, shard_id: int) -> Iterator[_Scanned]:
    try:
        with tarfile.open(path) as tar:
            spans: dict[str, dict[str, Span]] = {}
            for member in tar:
                key, _, suffix = member.name.partition(".")
                spans.setdefault(key, {})[suffix] = Span(member.offset_data, member.size)
        with path.open("rb") as file:
            for key, members in spans.items():
                file.seek(members[META_SUFFIX].offset)
                meta = json.loads(file.read(members[META_SUFFIX].size))
                yield _Scanned(
                    key=key,
                    shard_id=shard_id,
                    image=next(span for suffix, span in members.items() if suffix in ("jpg", "png")),
                    label=members.get(LABEL_SUFFIX, ABSENT),
                    size=(meta["width"], meta["height"]),
                    num_classes=meta["num_classes"],
                )
    except (tarfile.TarError, OSError, KeyError, ValueError, RuntimeError) as error:
        # RuntimeError: what a generator makes of the StopIteration of a sample without image.
        raise DataError(f"{path} is not a shard of this pipeline, or is damaged ({error}); copy it again") from error


def _digest(folder: Path, samples: list[_Scanned]) -> str:
    manifest = folder / MANIFEST_NAME
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["digest"])
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.key} {sample.shard_id} {sample.image} {sample.label}\n".encode())
    return digest.hexdigest()
