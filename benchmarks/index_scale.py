"""What opening, sampling and resuming cost as the data grow.

python benchmarks/index_scale.py [--sizes 10000 100000 1000000] [--stream 1000000000] [--processes 8]

For each size an index of made-up samples is written. It is opened as that of local data, in the memory of a process of
its own: seconds, and by how much its memory grows. Then as on a node whose data lie elsewhere: the first process writes
the columns to a folder, the others map them, and all of them together read all rows of a window, which is 2 % of the
data or a shard: by how much their own memory grows, and what of the files they have mapped, which the system takes back
when it needs the memory (PSS, the files' cached pages dropped before).

Then batches of 64 are drawn from streams of these sizes and of `--stream` samples, which no index exists of: the first
batch after opening, the next ones, and one far inside the stream, as a resumed training takes it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from memory import memory, proportional_memory
from mixed_scenes import processor

from pipelines.data.shards.columns import mapped
from pipelines.data.shards.index import INDEX_SCHEMA, index_pieces, open_index, table_of
from pipelines.data.shards.manifest import ShardEntry, SplitCount, read_manifest, write_manifest
from pipelines.data.shards.sampler import GlobalBatchSampler
from pipelines.data.shards.schema import INDEX_NAME, SampleTable

SHARD_SAMPLES = 256
SAMPLE_BYTES = 100_000
WINDOW_SAMPLES = 400_000
WINDOW_SHARE = 0.02
ROWS_AT_ONCE = 1 << 20
BATCH = 64
BATCHES = 200
FAR = 10**12  # samples into the stream

Result = TypeVar("Result")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--stream", type=int, default=10**9)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--most-in-memory", type=int, default=10_000_000, help="samples of local data, the most")
    options = parser.parse_args()
    print(f"{processor()}\n")
    many = f"{options.processes} processes together"
    print(f"| samples | index | local: to open | memory | columns | mapped: the first | the next | {many} | files |")
    print("| --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as name:
            print(f"| {size:,} | {' | '.join(measure_index(Path(name), size, options))} |", flush=True)
    print(f"\n| samples | first batch of {BATCH} | next | after {FAR:,} samples |\n| --: | --: | --: | --: |")
    for size in (*options.sizes, options.stream):
        first, following, far = measure_sampler(size)
        print(f"| {size:,} | {1e3 * first:.2f} ms | {1e3 * following:.2f} ms | {1e3 * far:.2f} ms |", flush=True)


def measure_index(folder: Path, size: int, options: argparse.Namespace) -> list[str]:
    """The cells of a row: of the index in a process's memory, and of its columns mapped by many processes."""
    written = write_samples(folder, size)
    cells = [_mebibytes(written)]
    if size <= options.most_in_memory:
        seconds, grown = _apart(_open, folder)
        cells += [f"{seconds:.2f} s", _mebibytes(grown)]
    else:
        cells += ["–", "–"]
    first = _apart(_open_mapped, folder)
    cells.append(_mebibytes(sum(path.stat().st_size for path in (folder / "columns").iterdir())))
    cells += [f"{first:.2f} s", f"{_apart(_open_mapped, folder):.2f} s"]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(options.processes)
    with context.Pool(options.processes, initializer=_keep, initargs=(barrier,)) as pool:
        for path in (folder / "columns").iterdir():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        own, in_files = zip(*pool.map(_read_window, [folder] * options.processes, chunksize=1), strict=True)
    return [*cells, _mebibytes(sum(own)), _mebibytes(sum(in_files))]


def write_samples(folder: Path, count: int) -> int:
    """Write an index and a manifest of samples, with shards that are holes; give the size of the index in bytes."""
    names = [f"train-{shard:06d}.tar" for shard in range(-(-count // SHARD_SAMPLES))]
    with pq.ParquetWriter(folder / INDEX_NAME, INDEX_SCHEMA, compression="zstd") as writer:
        for first in range(0, count, ROWS_AT_ONCE):
            writer.write_table(_rows(names, first, min(count, first + ROWS_AT_ONCE)), row_group_size=1 << 16)
    entries = []
    for number, name in enumerate(names):
        with (folder / name).open("wb") as file:
            file.truncate(SHARD_SAMPLES * SAMPLE_BYTES)
        samples = min(SHARD_SAMPLES, count - number * SHARD_SAMPLES)
        entries.append(ShardEntry(name, f"{number:064x}", SHARD_SAMPLES * SAMPLE_BYTES, samples))
    write_manifest(folder, entries, {"train": SplitCount(count, 0)}, {})
    return (folder / INDEX_NAME).stat().st_size


def _rows(names: list[str], first: int, last: int) -> pa.Table:
    count, number = last - first, np.arange(first, last)
    keys = pa.array([f"{index * 2654435761 % 2**64:016x}-{index:010d}" for index in range(first, last)])
    shards = number // SHARD_SAMPLES
    offset = number % SHARD_SAMPLES * SAMPLE_BYTES
    columns = {
        "key": keys,
        "split": pa.repeat("train", count),
        "shard": pa.array(np.array(names[shards[0] : shards[-1] + 1], object)[shards - shards[0]]),
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
    return pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA)


def _apart(function: Callable[[Path], Result], folder: Path) -> Result:
    """What it gives in a process that has opened nothing before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, (folder,))


def _open(folder: Path) -> tuple[float, int]:
    before = memory("VmRSS")
    started = time.perf_counter()
    table = open_index(folder)
    seconds = time.perf_counter() - started
    assert len(table)
    return seconds, memory("VmHWM") - before


def _open_mapped(folder: Path) -> float:
    started = time.perf_counter()
    assert len(_mapped(folder))
    return time.perf_counter() - started


def _mapped(folder: Path) -> SampleTable:
    return table_of(folder, "", mapped(folder / "columns", lambda: index_pieces(folder, read_manifest(folder))))


def _keep(barrier: object) -> None:
    global _all_here
    _all_here = barrier


def _read_window(folder: Path) -> tuple[int, int]:
    """By how much the memory of this process grows while all of them read the rows of one window."""
    before = proportional_memory("Pss_Anon"), proportional_memory("Pss_File")
    _all_here.wait()
    table = _mapped(folder)
    sampler = GlobalBatchSampler(table.shard_sizes(), BATCH, seed=1, num_windows=round(1 / WINDOW_SHARE))
    window = sampler.window_of(0)
    read = 0
    for shard in window.shards.tolist():
        rows = slice(shard * SHARD_SAMPLES, (shard + 1) * SHARD_SAMPLES)
        read += int(table.image_spans[rows].sum()) + int(table.label_spans[rows].sum())
        read += len(table.keys[rows].tolist())
    assert read
    sampler.batch(0)
    _all_here.wait()
    grown = proportional_memory("Pss_Anon") - before[0], proportional_memory("Pss_File") - before[1]
    _all_here.wait()
    return grown


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


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
    shards = np.full(size // SHARD_SAMPLES, SHARD_SAMPLES)
    return GlobalBatchSampler(shards, BATCH, seed=1, num_windows=-(-size // WINDOW_SAMPLES))


if __name__ == "__main__":
    main()
