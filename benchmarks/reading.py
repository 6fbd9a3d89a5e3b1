"""How fast a training reads its data, beside its peers and the limit of the machine.

python benchmarks/reading.py [--images 512] [--size 256] [--stored 256] [--batch 16] [--seconds 10] [--rounds 2]

The embedded landscapes, 4:3 with a shorter side of --stored pixels, as our shards, which webdataset reads too; as
shards of MosaicML Streaming; and as loose files: the same bytes of JPEG (4:4:4, quality 95) and of label PNG in each,
read from the page cache. Everyone gives batches of shuffled squares of --size pixels, mirrored every other time,
image and label as uint8; ours draws a hole for each as well. A reader has a process of its own, and one thread in it
and in each of its two loader processes. The first batch is counted from opening the data, when all is imported; the
rate begins a second later. The best of the rounds counts. The limit decodes image and label from memory,
as ours does, one after the other, and does nothing else.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from multiprocessing import get_context
from pathlib import Path

import torch
from mixed_scenes import processor
from peer_readers import READERS as PEERS
from peer_readers import Open, Reading, measure
from peers import peer_python

from pipelines.data.shards.index import open_index
from pipelines.data.shards.loader import training_batches
from pipelines.data.shards.reader import ShardDataset, decode_stored_image, decode_stored_label
from pipelines.data.shards.sampler import GlobalBatchSampler
from pipelines.data.shards.schema import SampleTable
from pipelines.settings.params import DataSettings
from pipelines.settings.sources import MixedScenesSource
from pipelines.stages import index, shards
from sgenet.masks import HoleDrawer
from sgenet.settings import AugmentationSettings, HoleSettings
from sgenet.transforms import TrainingTransform

SHARDS = 8
PROCESSES = (0, 2)
TITLES = {
    "ours": "ours, image, label and hole",
    "whole": "ours without holes",
    "webdataset": "webdataset",
    "streaming": "MosaicML Streaming",
    "loose": "loose files, PyTorch's DataLoader",
    "limit": "limit: decoding alone",
}

Result = tuple[float, float]
"""Seconds to the first batch, samples a second."""


class NotMeasuredError(Exception):
    """A reader cannot be measured here, and why."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--stored", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    if options.images < SHARDS:
        raise SystemExit(f"--images is {options.images}; {SHARDS} shards need an image each, give at least that many")
    if options.size > options.stored:
        raise SystemExit(f"--size is {options.size} and --stored {options.stored}; a square has to fit its image")
    os.environ["OMP_NUM_THREADS"] = "1"  # of all processes that are started from here on
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        size = store(data, options.images, options.stored, options.size)
        print(
            f"{options.images} images of {size[0]}×{size[1]}, squares of {options.size}, "
            f"batches of {options.batch}; {processor()}, PyTorch {torch.__version__}\n"
        )
        results, reasons = measure_all(data, options)
    print_table(results, reasons)


def store(data: Path, images: int, side: int, crop: int) -> tuple[int, int]:
    """Draw the images and store them for every reader; give their width and height."""
    size = 2 * round(side * 2 / 3), side
    source = MixedScenesSource(adapter="mixed_scenes", train=images, size=size)
    settings = DataSettings(
        sources=(source,),
        label_space="outdoor_scenes",
        shorter_side=side,
        crop=crop,
        samples_per_shard=-(-images // SHARDS),
    )
    with redirect_stdout(io.StringIO()):
        index.run(settings, data / "sources.parquet")
        shards.run(settings, data / "sources.parquet", data / "shards")
    (data / "loose").mkdir()
    for key, image, label in stored_bytes(data):
        (data / "loose" / f"{key}.jpg").write_bytes(image)
        (data / "loose" / f"{key}.png").write_bytes(label)
    return size


def stored_bytes(data: Path) -> Iterator[tuple[str, bytes, bytes]]:
    """Key, JPEG and label PNG of every sample of our shards."""
    table = open_table(data)
    for row, key in enumerate(table.keys):
        content = table.shard_path(row).read_bytes()
        spans = (table.image_spans[row].tolist(), table.label_spans[row].tolist())
        image, label = (content[offset : offset + length] for offset, length in spans)
        yield str(key), image, label


def open_table(data: Path) -> SampleTable:
    """The samples of our shards."""
    return open_index(data / "shards").of_split("train")


def measure_all(
    data: Path, options: argparse.Namespace
) -> tuple[dict[tuple[str, int], Result], dict[str, NotMeasuredError]]:
    """The best of all rounds by reader and number of loader processes, and why others were not measured."""
    interpreters, reasons = _peers(data)
    results: dict[tuple[str, int], Result] = {}
    for number in range(options.rounds):
        for reader in TITLES:
            for processes in PROCESSES:
                if reader in reasons or (reader == "limit" and processes):
                    continue
                reading = Reading(data, options.size, options.batch, processes, options.seconds)
                try:
                    first, rate = (
                        _measure_peer(interpreters[reader], reader, reading)
                        if reader in PEERS
                        else _apart(reader, reading)
                    )
                except NotMeasuredError as error:
                    reasons[reader] = error
                    continue
                before = results.get((reader, processes), (first, rate))
                results[reader, processes] = min(first, before[0]), max(rate, before[1])
                said = f"round {number + 1}: {TITLES[reader]}, {processes} loader processes: {rate:.0f} samples/s"
                print(said, file=sys.stderr, flush=True)
    return results, reasons


def _peers(data: Path) -> tuple[dict[str, Path], dict[str, NotMeasuredError]]:
    """Whose interpreter measures each peer; MosaicML Streaming's data are written, or it is said why they cannot be."""
    own = Path(sys.executable)
    try:
        _run(peer_python(), "write", str(data))
    except (SystemExit, NotMeasuredError) as error:
        return dict.fromkeys(PEERS, own), {"streaming": NotMeasuredError(str(error))}
    return {**dict.fromkeys(PEERS, own), "streaming": peer_python()}, {}


def _measure_peer(python: Path, reader: str, reading: Reading) -> Result:
    how = {"crop": reading.crop, "batch": reading.batch, "processes": reading.processes, "seconds": reading.seconds}
    arguments = [word for name, value in how.items() for word in (f"--{name}", str(value))]
    first, rate = json.loads(_run(python, reader, str(reading.data), *arguments).splitlines()[-1])
    return first, rate


def _run(python: Path, *arguments: str) -> str:
    """What peer_readers.py prints, with nothing of ours to be imported."""
    command = [str(python), "-I", str(Path(__file__).with_name("peer_readers.py")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode} and said nothing"]
        raise NotMeasuredError(said[-1])
    return done.stdout


def _apart(reader: str, reading: Reading) -> Result:
    """Measure one of ours, or the limit, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure_ours, reader, reading).result()


def _measure_ours(reader: str, reading: Reading) -> Result:
    if reader == "limit":
        return 0.0, decoding_limit(reading)
    return measure(ours(reading, holes=reader == "ours"), reading)


def ours(reading: Reading, holes: bool) -> Open:
    """Our reader, put together as a training does it, with the holes that `outdoor_scenes` is trained with."""

    def open_batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        kinds = (
            HoleSettings(kind="centre", size=reading.crop // 2, weight=2),
            HoleSettings(kind="rectangles"),
            HoleSettings(kind="strokes"),
        )
        table = open_table(reading.data)
        transform = TrainingTransform(reading.crop, AugmentationSettings())
        dataset = ShardDataset(table, transform, HoleDrawer(kinds, reading.crop, reading.crop) if holes else None)
        sampler = GlobalBatchSampler([len(table)], reading.batch, seed=1)
        batches = training_batches(dataset, sampler, processes=reading.processes, crop=reading.crop)
        return ((batch.image, batch.label) for batch in batches)

    return open_batches


def decoding_limit(reading: Reading) -> float:
    """Samples a second whose image and label are decoded from memory."""
    samples = [(image, label) for _, image, label in stored_bytes(reading.data)]
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < reading.seconds:
        image, label = samples[count % len(samples)]
        decode_stored_image(image)
        decode_stored_label(label)
        count += 1
    return count / (time.perf_counter() - begin)


def print_table(results: dict[tuple[str, int], Result], reasons: dict[str, NotMeasuredError]) -> None:
    """Print a row for each reader: rates, how many times the best peer's, share of the limit, first batches."""
    print(
        "| reader | samples/s in process | to the best peer | with two processes | to the best peer "
        "| in process, of the limit | first batch | with two processes |"
    )
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    best = {
        processes: max(
            (results[reader, processes][1] for reader in PEERS if (reader, processes) in results), default=None
        )
        for processes in PROCESSES
    }
    limit = results["limit", 0][1]
    for reader, title in TITLES.items():
        if reader in reasons:
            print(f"| {title} | not measured: {reasons[reader]} |" + " |" * 6)
            continue
        cells = []
        for processes in PROCESSES:
            measured = results.get((reader, processes))
            cells.append("–" if measured is None else f"{measured[1]:.0f}")
            peer = best[processes]
            cells.append("–" if measured is None or peer is None else f"× {measured[1] / peer:.2f}")
        cells.append(f"{results[reader, 0][1] / limit:.0%}".replace("%", " %"))
        cells += ["–" if reader == "limit" else f"{results[reader, processes][0]:.2f} s" for processes in PROCESSES]
        print(f"| {title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
