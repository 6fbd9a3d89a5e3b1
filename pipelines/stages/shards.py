"""Stage ``shards``: the raw samples as WebDataset shards with an index, every input accounted for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.adapters.build import build_adapters
from pipelines.data.shards.decode_raw import TOO_SMALL
from pipelines.data.shards.index import write_index, write_table
from pipelines.data.shards.manifest import SplitCount, write_manifest
from pipelines.data.shards.schema import INDEX_NAME, QUARANTINE_NAME
from pipelines.data.shards.sources import read_sources
from pipelines.data.shards.writer import Quarantined, WrittenShard, plan_shards, write_shard
from pipelines.parallel.parallel import parallel_map
from pipelines.settings.params import DataSettings
from pipelines.storage.files import publish_folder
from sgenet.errors import DataError

QUARANTINE_SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("key", "split", "path", "reason")]
)

_NUM_REASONS_SHOWN = 5
_SUSPICIOUS_IGNORED_RATIO = 0.5


def run(data: DataSettings, sources: Path, output: Path, workers: int | None = None) -> None:
    """Write ``{split}-{n:06d}.tar``, ``index.parquet``, ``quarantine.parquet``, and last ``manifest.json``.

    The folder appears whole or not at all.

    Args:
        sources: the table of the index stage.
        workers: processes; None takes every core. The bytes are the same for any number.

    Raises:
        DataError: raw files changed since they were indexed, more of them are unusable than
            ``max_quarantine_ratio`` allows, no pixel of the labels has a class, or the disk is full.
    """
    refused = output.with_name(f"{output.name}.{QUARANTINE_NAME}")
    refused.unlink(missing_ok=True)
    plans = plan_shards(read_sources(sources), data.samples_per_shard)
    adapters = dict(build_adapters(data))
    with publish_folder(output) as folder:
        write = partial(write_shard, adapters=adapters, data=data, folder=folder)
        written = list(parallel_map(write, plans, workers, "writing shards"))
        quarantined = [item for shard in written for item in shard.quarantined]
        _check_share(quarantined, sum(len(plan.rows) for plan in plans), data.max_quarantine_ratio, refused)
        _check_labels([shard.index for shard in written], data)
        _write_tables(folder, written, quarantined, data)
    lost = f"; {len(quarantined):,} unusable ones in its {QUARANTINE_NAME}" if quarantined else ""
    print(f"{output}: {sum(len(shard.index) for shard in written):,} images in {len(written):,} shards{lost}")


def _write_tables(
    folder: Path, written: Sequence[WrittenShard], quarantined: Sequence[Quarantined], data: DataSettings
) -> None:
    entries = [shard.entry for shard in written if shard.entry is not None]
    write_index(folder / INDEX_NAME, [shard.index for shard in written])
    _write_quarantine(folder / QUARANTINE_NAME, quarantined)
    write_manifest(folder, entries, _counts(written), data.model_dump(mode="json"))


def _counts(written: Sequence[WrittenShard]) -> dict[str, SplitCount]:
    counts: dict[str, SplitCount] = {}
    for shard in written:
        before = counts.get(shard.split, SplitCount(0, 0))
        counts[shard.split] = SplitCount(before.written + len(shard.index), before.quarantined + len(shard.quarantined))
    return counts


def _check_share(quarantined: Sequence[Quarantined], total: int, allowed: float, refused: Path) -> None:
    if len(quarantined) <= allowed * total:
        return
    _write_quarantine(refused, quarantined)
    shown = "; ".join(f"{item.path}: {item.reason}" for item in quarantined[:_NUM_REASONS_SHOWN])
    more = len(quarantined) - _NUM_REASONS_SHOWN
    too_small = all(item.reason.startswith(TOO_SMALL) for item in quarantined)
    remedy = "lower data.<dataset>.crop, remove them," if too_small else "repair or remove them,"
    raise DataError(
        f"{len(quarantined)} of {total} inputs are unusable and max_quarantine_ratio allows a share of {allowed:g} "
        f"({shown}{f'; and {more} more' if more > 0 else ''}); all are listed in {refused}: {remedy} "
        "or raise data.<dataset>.max_quarantine_ratio"
    )


def _check_labels(tables: Sequence[pa.Table], data: DataSettings) -> None:
    """Say what looks wrong with the labels of all samples together, where there are any."""
    index = pa.concat_tables(tables)
    ignored = pc.sum(index["num_ignored"]).as_py() or 0
    flat = index["class_histogram"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    counts = flat.reshape(-1, data.labels.num_classes).sum(axis=0)
    total = ignored + int(counts.sum())
    if not total:
        return
    named = ", ".join(f"{name} {count:,}" for name, count in zip(data.labels.names, counts.tolist(), strict=True))
    all_counts = f"pixels of each class: {named}; ignored {ignored:,} ({ignored / total:.0%})"
    if not counts.any() and not data.allow_ignored_labels:
        raise DataError(
            f"every pixel of the labels is 255, which means ignore ({all_counts}); check their values and "
            "class_map, or leave the labels out, or set data.<dataset>.allow_ignored_labels: true"
        )
    missing = [name for name, count in zip(data.labels.names, counts.tolist(), strict=True) if not count]
    if missing or ignored > _SUSPICIOUS_IGNORED_RATIO * total:
        doubt = f"no pixel of the labels is {' or '.join(missing)}" if missing else "most of the labels is ignored"
        if ignored and (counts > 0).sum() == 1:
            doubt += "; 255 means ignore: if the labels are masks of 0 and 255, write 1 instead of 255"
        print(f"warning: {doubt}; {all_counts}", file=sys.stderr)


def _write_quarantine(path: Path, quarantined: Sequence[Quarantined]) -> None:
    write_table(path, pa.Table.from_pylist([asdict(item) for item in quarantined], schema=QUARANTINE_SCHEMA))
