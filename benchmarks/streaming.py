"""Data larger than a node's disk: how well they are shuffled, and how fast they are read.

python benchmarks/streaming.py [--samples 100000000] [--small 300032] [--steps 250] [--step 0.16] [--latency 0.02]

**Shuffling.** The worst data for shards: sorted, so that a shard holds one class of 365. How far a batch, and 100
batches in a row, are from the shares of the classes: χ² by its degrees of freedom, which is 1 for independent draws;
and how many samples of a batch have another of their shard with them.

**Simulation.** A node of eight readers, each waited for at every step, and a store that answers after `--latency`:
which samples are here follows from the order itself, the times from the numbers below. `--samples` of 60 kB in shards
of 256, a cache of 2 % of them. Reading is not overlapped with steps, so that every wait counts.

**Loopback.** The same with `--small` real samples, of 64×64 pixels: eight processes that read and decode, a store on
loopback that answers every request after `--latency`, our cache, of 2 % of the data, and the process that fills it. A
step of eight times eight samples takes `--step` seconds beside reading them, as if a GPU computed. With `--step 0`,
readers, fetcher and store share the processors at full speed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from mixed_scenes import processor

from pipelines.data.shards.ahead import WindowsAhead
from pipelines.data.shards.index import INDEX_SCHEMA, open_index, write_index
from pipelines.data.shards.loader import training_batches
from pipelines.data.shards.manifest import ShardEntry, SplitCount, read_manifest, write_manifest
from pipelines.data.shards.publish import open_published, publish_shards
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.sampler import GlobalBatchSampler, training_order
from pipelines.data.shards.schema import INDEX_NAME
from pipelines.data.shards.tar import ShardWriter, encode_png
from pipelines.storage.store import LocalStorage, open_storage

READERS = 8
BATCH = 64
SHARD_SAMPLES = 256
CACHE_SHARE = 0.02
CLASSES = 365

# Of the simulated node.
SAMPLE_BYTES = 60_000
SAMPLES_A_SECOND = 300  # of a reader
BANDWIDTH = 1.25e9  # bytes a second of the node
REQUESTS_AT_ONCE = 16
REQUESTS_A_SHARD = 2


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--samples", type=int, default=10**8)
    parser.add_argument("--small", type=int, default=1172 * SHARD_SAMPLES)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--step", type=float, default=0.16)
    parser.add_argument("--latency", type=float, default=0.02)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of all processes that are started from here on
    print(f"{processor()}\n")
    shuffling(options.samples)
    simulation(options.samples, options.latency)
    loopback(options)


def shuffling(samples: int) -> None:
    """How batches differ from independent draws, by the size of a window."""
    sizes = np.full(samples // SHARD_SAMPLES, SHARD_SAMPLES)
    shares = np.diff(np.arange(CLASSES + 1) * len(sizes) // CLASSES) / len(sizes)
    rng = np.random.default_rng(0)
    starts = rng.integers(0, samples // BATCH - 100, 300)
    print("| shards of a window | windows | χ² of a batch | of 100 batches in a row | with another of its shard |")
    print("| --: | --: | --: | --: | --: |")
    for windows in sorted({1, windows_of(samples), 1000, 10_000, len(sizes) // 4}):
        sampler = GlobalBatchSampler(sizes, BATCH, seed=1, num_windows=windows)
        single, row, beside = [], [], []
        for number, start in enumerate(starts.tolist()):
            shards = shards_of(sampler, start, 1)
            single.append(_distance(shards * CLASSES // len(sizes), shares))
            beside.append(1 - np.isin(shards, _once(shards)).mean())
            if number % 10 == 0:
                row.append(_distance(shards_of(sampler, start, 100) * CLASSES // len(sizes), shares))
        cells = [f"{len(sizes) / windows:,.0f}", f"{windows:,}", f"{np.mean(single):.2f}", f"{np.mean(row):.2f}"]
        _print_row(*cells, f"{np.mean(beside):.2%}".replace("%", " %"))
    print()


def windows_of(samples: int) -> int:
    """How many windows, so that two of them and some shards fit into the cache."""
    return max(1, round(1 / (0.45 * CACHE_SHARE))) if samples > SHARD_SAMPLES else 1


def shards_of(sampler: GlobalBatchSampler, start: int, batches: int) -> np.ndarray:
    """The shard of each sample of some batches."""
    rows = [request.row for number in range(start, start + batches) for request in sampler.batch(number)]
    return np.array(rows) // SHARD_SAMPLES


def _once(values: np.ndarray) -> np.ndarray:
    found, counts = np.unique(values, return_counts=True)
    return found[counts == 1]


def _distance(classes: np.ndarray, shares: np.ndarray) -> float:
    expected = shares * len(classes)
    return float(((np.bincount(classes, minlength=CLASSES) - expected) ** 2 / expected).sum() / (CLASSES - 1))


class Arrivals:
    """When the shards of windows arrive on a simulated node, whose order of fetching is its own."""

    def __init__(self, sampler: GlobalBatchSampler, latency: float) -> None:
        self._sampler = sampler
        self._rng = np.random.default_rng(0)
        transfer = SHARD_SAMPLES * SAMPLE_BYTES / (BANDWIDTH / REQUESTS_AT_ONCE)
        self._seconds = REQUESTS_A_SHARD * latency + transfer
        self._at = np.full(sampler.num_samples // SHARD_SAMPLES, np.inf)
        self._free = 0.0

    def enter(self, number: int, now: float) -> None:
        """A training enters the window of a batch: the next one is fetched after what is under way."""
        window = self._sampler.window_of(number)
        following = self._sampler.window_after(window)
        kept = np.union1d(window.shards, following.shards)
        gone = np.ones(len(self._at), bool)
        gone[kept] = False
        self._at[gone] = np.inf
        for each in (window, following):
            missing = self._rng.permutation(each.shards[np.isinf(self._at[each.shards])])
            begin = max(self._free, now)
            self._at[missing] = begin + (np.arange(len(missing)) // REQUESTS_AT_ONCE + 1) * self._seconds
            if len(missing):
                self._free = float(self._at[missing].max())

    def missing(self, shards: np.ndarray, now: float) -> np.ndarray:
        """Which samples' shards are not here."""
        return self._at[shards] > now


def simulation(samples: int, latency: float) -> None:
    """Samples a second of a node's readers, each batch waited for."""
    sizes = np.full(samples // SHARD_SAMPLES, SHARD_SAMPLES)
    local = READERS * SAMPLES_A_SECOND
    print(
        f"{samples:,} samples of {SAMPLE_BYTES // 1000} kB, {samples * SAMPLE_BYTES / 1e12:.1f} TB; a reader takes "
        f"{SAMPLES_A_SECOND} a second, a node {BANDWIDTH / 1e9:.2f} GB/s, a request {1e3 * latency:.0f} ms\n"
    )
    print("| order | nodes | window | first window | the next two | of local files | requests a sample |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for nodes in (1, 2, 4, 8):
        windows = windows_of(samples)
        sampler = GlobalBatchSampler(sizes, BATCH * nodes, seed=1, num_windows=windows)
        arrivals = Arrivals(sampler, latency)
        now, entered, requests = 0.0, -1, 0
        rates: list[float] = []
        begun, read = 0.0, 0
        for number, part in enumerate(sampler.rank_batches(0, nodes)):
            window = sampler.window_of(number)
            if window.number != entered:
                if read:
                    rates.append(read / (now - begun))
                if len(rates) == 3:
                    break
                arrivals.enter(number, now)
                entered, begun, read = window.number, now, 0
            shards = np.array([request.row for request in part]) // SHARD_SAMPLES
            waits = arrivals.missing(shards, now).reshape(READERS, -1).sum(axis=1)
            requests += int(waits.sum())
            now += BATCH / local + waits.max() * (latency + SAMPLE_BYTES / BANDWIDTH)
            read += BATCH
        cells = [f"{nodes}", f"{samples // windows * SAMPLE_BYTES / 1e9:.0f} GB", f"{rates[0]:,.0f}"]
        _print_row("windows", *cells, *_rate(float(np.mean(rates[1:])), local), f"{requests / (number * BATCH):.3f}")
    for title, a_miss in (("whole data, two requests", 2), ("whole data, one request", 1)):
        missed = np.random.default_rng(0).binomial(BATCH // READERS, 1 - CACHE_SHARE, (10_000, READERS))
        seconds = BATCH / local + missed.max(axis=1) * a_miss * (latency + SAMPLE_BYTES / a_miss / BANDWIDTH)
        rate = BATCH / seconds.mean()
        _print_row(title, "1", "–", "–", *_rate(rate, local), f"{a_miss * (1 - CACHE_SHARE):.2f}")
    print()


def _rate(rate: float, local: float) -> tuple[str, str]:
    return f"{rate:,.0f}", f"{rate / local:.0%}".replace("%", " %")


def _print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


class Reading(NamedTuple):
    """What a reader of the loopback part is told.

    Attributes:
        folder: of the shards, read in place; None: from the store.
        dataset: where they are published.
        cache: folder and capacity in bytes.
        window_gigabytes: of the order.
        step: seconds of it beside reading.
        steps: how many.
    """

    folder: Path | None
    dataset: str
    cache: tuple[Path, int]
    window_gigabytes: float
    step: float
    steps: int


def loopback(options: argparse.Namespace) -> None:
    """The rates of eight processes, from local files and through the cache."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        size = write_shards(root / "shards", options.small)
        dataset = publish_shards(root / "shards", LocalStorage(str(root / "store" / "bucket" / "data")))
        windows = windows_of(options.small)
        capacity = int(CACHE_SHARE * size)
        print(
            f"{options.small:,} real samples, {size / 1e9:.2f} GB in {options.small // SHARD_SAMPLES:,} shards; cache "
            f"{capacity / 1e6:.0f} MB, windows of {size / windows / 1e6:.0f} MB\n"
        )
        print("| order | read from | first window | after it | of local files |\n| --- | --- | --: | --: | --: |")
        with store_of(root / "store", options.latency):
            windowed = size / windows / 1e9
            local = None
            for title, place, folder, gigabytes in (
                ("windows", "local files", root / "shards", windowed),
                ("windows", "store and cache", None, windowed),
                ("whole data", "store and cache", None, 1e9),
            ):
                shutil.rmtree(root / "cache", ignore_errors=True)
                cache = root / "cache", capacity
                first, after = rates_of(Reading(folder, dataset, cache, gigabytes, options.step, options.steps))
                local = local or after
                _print_row(title, place, f"{first:,.0f}", *_rate(after, local))
    print()


def write_shards(folder: Path, samples: int) -> int:
    """Write shards whose samples are 512 different ones under many names; give their size in bytes."""
    import simplejpeg

    folder.mkdir()
    rng = np.random.default_rng(0)
    images, labels = [], []
    for _ in range(512):
        coarse = rng.integers(0, 256, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        pixels = (coarse // 2 + rng.integers(0, 32, (64, 64, 3), np.uint8)).astype(np.uint8)
        images.append(simplejpeg.encode_jpeg(pixels, 95, "RGB", "444", False))
        labels.append(encode_png(rng.integers(0, 8, (4, 4), np.uint8).repeat(16, 0).repeat(16, 1)))
    entries, tables = [], []
    for number in range(samples // SHARD_SAMPLES):
        name, rows = f"train-{number:06d}.tar", []
        with ShardWriter(folder / name) as shard:
            for index in range(number * SHARD_SAMPLES, (number + 1) * SHARD_SAMPLES):
                members = [("jpg", images[index % 512]), ("label.png", labels[index % 512]), ("json", b"{}")]
                image, label, meta = shard.add(f"{index:09d}", members)
                spans = {"image": image, "label": label, "meta": meta}
                rows.append(
                    {f"{member}_offset": span.offset for member, span in spans.items()}
                    | {f"{member}_size": span.size for member, span in spans.items()}
                    | dict.fromkeys(("source", "image_path", "image_sha256"), "made")
                    | {"key": f"{index:09d}", "split": "train", "shard": name, "width": 64, "height": 64}
                    | {"class_histogram": [1] * 8, "num_ignored": 0, "num_classes": 8}
                )
        entries.append(ShardEntry(name, shard.sha256, shard.size, SHARD_SAMPLES))
        tables.append(pa.Table.from_pylist(rows, schema=INDEX_SCHEMA))
    write_index(folder / INDEX_NAME, tables)
    write_manifest(folder, entries, {"train": SplitCount(samples, 0)}, {})
    return sum(entry.size for entry in read_manifest(folder).shards)


def rates_of(reading: Reading) -> tuple[float, float]:
    """Samples a second of all readers in the first window, and after it."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(READERS)
    results = context.Queue()
    processes = [
        context.Process(target=_read, args=(reading, rank, barrier, results if rank == 0 else None))
        for rank in range(READERS)
    ]
    for process in processes:
        process.start()
    first, after = results.get()
    for process in processes:
        process.join()
    return first, after


def _read(reading: Reading, rank: int, barrier: Barrier, results: Queue[tuple[float, float]] | None) -> None:
    shards = ahead = None
    if reading.folder is not None:
        table = open_index(reading.folder)
    else:
        table, shards = open_published(open_storage("s3://bucket/data"), reading.dataset, reading.cache[0])
    order = training_order(table, BATCH, 1, reading.window_gigabytes)
    dataset = ShardDataset(table, lambda image, label, rng: (image, label), shards=shards)
    batches = training_batches(dataset, order, rank=rank, world=READERS, crop=64)
    barrier.wait()
    times = [time.perf_counter()]
    if shards is not None:
        ahead = WindowsAhead(shards, table, order, {}, reading.cache[1], print if rank == 0 else len)
    for number in range(reading.steps):
        if ahead is not None:
            ahead.move_to(number)
        next(batches)
        time.sleep(reading.step)
        # As where gradients are exchanged.
        barrier.wait()
        times.append(time.perf_counter())
    if ahead is not None:
        ahead.close()
    if results is not None:
        border = min(order.window_of(0).size // BATCH + 1, reading.steps // 2)
        first = border * BATCH / (times[border] - times[0])
        results.put((first, (reading.steps - border) * BATCH / (times[-1] - times[border])))


@contextmanager
def store_of(root: Path, latency: float) -> Iterator[None]:
    """As much of S3 as reading takes, in a process of its own, every answer late; where processes look for it."""
    context = multiprocessing.get_context("spawn")
    ports: Queue[int] = context.Queue()
    process = context.Process(target=_serve, args=(root, latency, ports), daemon=True)
    process.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports.get()}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    yield
    process.kill()
    process.join()


def _serve(root: Path, latency: float, ports: Queue[int]) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and content in one piece, which the other side waits for.
        wbufsize = 1 << 20

        def do_GET(self) -> None:
            self._answer(with_content=True)

        def do_HEAD(self) -> None:
            self._answer(with_content=False)

        def _answer(self, with_content: bool) -> None:
            time.sleep(latency)
            path = root / self.path.lstrip("/").split("?")[0]
            if not path.is_file():
                self.send_error(404)
                return
            size, wanted = path.stat().st_size, re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (int(wanted[1]), min(int(wanted[2] or size), size - 1)) if wanted else (0, size - 1)
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(last + 1 - first))
            self.send_header("ETag", '"it"')
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.end_headers()
            if with_content:
                with path.open("rb") as file:
                    file.seek(first)
                    self.wfile.write(file.read(last + 1 - first))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # Connections that end with a reader are no news.
    server.handle_error = lambda request, address: None  # type: ignore[method-assign]
    ports.put(server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    main()
