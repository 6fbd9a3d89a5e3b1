"""What opening, sampling and resuming cost as the data grow.

python benchmarks/index_scale.py [--sizes 10000 100000 1000000] [--stream 1000000000]

For each size an index of made-up samples is written, and opened in a process of its own: seconds, and by how much its
memory grows. Then batches of 64 are drawn from streams of these sizes and of `--stream` samples, which no index exists
of: the first batch after opening, the next ones, and one far inside the stream, as a resumed training takes it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from memory import memory
from mixed_scenes import processor

from pipelines.data.shards.index import INDEX_SCHEMA, open_index, write_table
from pipelines.data.shards.manifest import ShardEntry, SplitCount, write_manifest
from pipelines.data.shards.sampler import GlobalBatchSampler
from pipelines.data.shards.schema import INDEX_NAME

SHARD_SAMPLES = 1000
SAMPLE_BYTES = 100_000
WINDOW_SAMPLES = 400_000
BATCH = 64
BATCHES = 200
FAR = 10**12  # samples into the stream


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--stream", type=int, default=10**9)
    options = parser.parse_args()
    print(f"{processor()}\n")
    print("| samples | index | to open it | memory |\n| --: | --: | --: | --: |")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            written = write_samples(Path(folder), size)
            seconds, grown = _apart(folder)
        print(f"| {size:,} | {written / 2**20:.0f} MiB | {seconds:.2f} s | {grown / 2**20:.0f} MiB |", flush=True)
    print(f"\n| samples | first batch of {BATCH} | next | after {FAR:,} samples |\n| --: | --: | --: | --: |")
    for size in (*options.sizes, options.stream):
        first, following, far = measure_sampler(size)
        print(f"| {size:,} | {1e3 * first:.2f} ms | {1e3 * following:.2f} ms | {1e3 * far:.2f} ms |", flush=True)


def write_samples(folder: Path, count: int) -> int:
    """Write an index and a manifest of samples, with shards that are holes; give the size of the index in bytes."""
    number = np.arange(count)
    keys = pa.array([f"{index * 2654435761 % 2**64:016x}-{index:010d}" for index in range(count)])
    names = [f"train-{shard:06d}.tar" for shard in range(-(-count // SHARD_SAMPLES))]
    shard = pa.array(np.repeat(names, SHARD_SAMPLES)[:count])
    offset = number % SHARD_SAMPLES * SAMPLE_BYTES
    columns = {
        "key": keys,
        "split": pa.repeat("train", count),
        "shard": shard,
        "width": np.full(count, 384, np.int32),
        "height": np.full(count, 256, np.int32),
        "source": pa.repeat("folder", count),
        "image_path": keys,
        "image_sha256": keys,
        "label_sha256": keys,
        "class_histogram": pa.FixedSizeListArray.from_arrays(pa.array(np.tile(np.arange(8), count)), 8),
        "num_ignored": np.zeros(count, np.int64),
        "num_classes": np.full(count, 4, np.int32),
    }
    for place, member in enumerate(("image", "label", "meta")):
        columns[f"{member}_offset"] = offset + place * SAMPLE_BYTES // 4
        columns[f"{member}_size"] = np.full(count, SAMPLE_BYTES // 4, np.int64)
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in INDEX_SCHEMA]
    write_table(folder / INDEX_NAME, pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA))
    entries = []
    for name in names:
        with (folder / name).open("wb") as file:
            file.truncate(SHARD_SAMPLES * SAMPLE_BYTES)
        entries.append(ShardEntry(name, "0" * 64, SHARD_SAMPLES * SAMPLE_BYTES, SHARD_SAMPLES))
    write_manifest(folder, entries, {"train": SplitCount(count, 0)}, {})
    return (folder / INDEX_NAME).stat().st_size


def _apart(folder: str) -> tuple[float, int]:
    """Seconds and bytes of opening, in a process that has opened nothing before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_open, (folder,))


def _open(folder: str) -> tuple[float, int]:
    before = memory("VmRSS")
    started = time.perf_counter()
    table = open_index(Path(folder))
    seconds = time.perf_counter() - started
    assert len(table)
    return seconds, memory("VmHWM") - before


def measure_sampler(size: int) -> tuple[float, float, float]:
    """Seconds of the first batch, of the next ones (median), and of one far inside the stream.

    The samples of many batches within an epoch are checked to be different ones.
    """
    started = time.perf_counter()
    batches = _order(size).rank_batches(0, 1)
    rows = [request.row for request in next(batches)]
    first = time.perf_counter() - started
    following = []
    for _ in range(min(BATCHES, size // BATCH - 1)):
        started = time.perf_counter()
        batch = next(batches)
        following.append(time.perf_counter() - started)
        rows += [request.row for request in batch]
    assert len(set(rows)) == len(rows)
    assert 0 <= min(rows) <= max(rows) < size
    started = time.perf_counter()
    next(_order(size).rank_batches(0, 1, start=FAR // BATCH))
    return first, statistics.median(following), time.perf_counter() - started


def _order(size: int) -> GlobalBatchSampler:
    shards = [SHARD_SAMPLES] * (size // SHARD_SAMPLES)
    return GlobalBatchSampler(shards, BATCH, seed=1, num_windows=-(-size // WINDOW_SAMPLES))


if __name__ == "__main__":
    main()
