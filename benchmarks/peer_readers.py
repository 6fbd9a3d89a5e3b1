"""The readers of benchmarks/reading.py that others wrote, and the clock that all readers are measured with.

python benchmarks/peer_readers.py READER DATA [--crop 256] [--batch 16] [--processes 0] [--seconds 10]

DATA holds the same samples as ``loose`` (jpg and png files), ``shards`` (our tar files, which webdataset reads) and
``mds``, which the reader ``write`` makes of the loose files. Prints a line of JSON: seconds to the first batch, then
samples a second. Needs PyTorch, NumPy, Pillow and the reader's package alone, since it runs in the peers' environment.

Each is used as its documentation says: webdataset draws shards at random, shuffles samples in a buffer of 1,000 before
they are decoded, and batches in its processes; MosaicML Streaming knows the batch size and shuffles by its default
algorithm. No label is decoded to colours first and no metadata is parsed. Epochs are long, so that nobody pays at their
ends.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

WARM_UP = 1.0  # seconds
EPOCH = 100_000  # samples
SHUFFLED = 1000  # samples in webdataset's buffer

Sample = tuple[Tensor, Tensor]
Open = Callable[[], Iterable[Any]]


@dataclass(frozen=True)
class Reading:
    """What is read and how; see the command's arguments."""

    data: Path
    crop: int
    batch: int
    processes: int
    seconds: float


def main() -> None:
    """Measure one reader, or write what MosaicML Streaming reads."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("reader", choices=[*READERS, "write"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = vars(parser.parse_args())
    reader, reading = options.pop("reader"), Reading(**options)
    if reader == "write":
        write_mds(reading.data)
    else:
        print(json.dumps(measure(READERS[reader](reading), reading)), flush=True)


def measure(open_batches: Open, reading: Reading) -> tuple[float, float]:
    """Seconds from opening to the first batch, and samples a second after the warm-up, with one thread a process.

    Args:
        open_batches: gives batches without end: image (B, 3, H, W) and label (B, H, W), uint8.
    """
    torch.set_num_threads(1)
    Image.preinit()  # imports Pillow's formats, which would count as a part of somebody's first batch
    started = time.perf_counter()
    batches = iter(open_batches())
    image, label = next(batches)
    first = time.perf_counter() - started
    for content, channels in ((image, (3,)), (label, ())):
        assert content.dtype == torch.uint8
        assert content.is_contiguous()
        assert content.shape == (reading.batch, *channels, reading.crop, reading.crop)
    warm = time.perf_counter() + WARM_UP
    while time.perf_counter() < warm:
        next(batches)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < reading.seconds:
        count += len(next(batches)[0])
    return first, count / (time.perf_counter() - begin)


def webdataset(reading: Reading) -> Open:
    """Our own shards, read by webdataset: Pillow through its decoder."""
    import webdataset as wds

    def open_batches() -> Iterable[Any]:
        urls = sorted(str(path) for path in (reading.data / "shards").glob("train-*.tar"))
        samples = (
            wds.WebDataset(urls, resampled=True, shardshuffle=False, select_files=_is_image)
            .shuffle(SHUFFLED)
            .decode(wds.handle_extension("label.png", _decode_label), "rgb8")
            .to_tuple("jpg", "label.png")
            .map(lambda sample: vary(sample[0], sample[1], reading.crop))
            .batched(reading.batch, partial=False, collation_fn=default_collate)
        )
        batches: Iterable[Any] = wds.WebLoader(samples, batch_size=None, num_workers=reading.processes)
        return batches

    return open_batches


def streaming(reading: Reading) -> Open:
    """MosaicML Streaming with all shards on a local disk."""
    from streaming import StreamingDataset

    class Stored(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> Sample:
            sample = super().__getitem__(index)
            return vary(_decode_image(io.BytesIO(sample["image"])), _decode_label(sample["label"]), reading.crop)

    def open_batches() -> Iterable[Any]:
        samples = Stored(local=str(reading.data / "mds"), shuffle=True, batch_size=reading.batch, epoch_size=EPOCH)
        return _without_end(_loader(samples, reading))

    return open_batches


def loose(reading: Reading) -> Open:
    """Loose files, as most training codes read them."""

    def open_batches() -> Iterable[Any]:
        return _without_end(_loader(LooseFiles(reading.data / "loose", reading.crop), reading, shuffle=True))

    return open_batches


READERS: dict[str, Callable[[Reading], Open]] = {"webdataset": webdataset, "streaming": streaming, "loose": loose}


class LooseFiles(Dataset[Sample]):
    """Images ``<key>.jpg`` of a folder with their labels ``<key>.png``, over and over until an epoch is long."""

    def __init__(self, folder: Path, crop: int) -> None:
        self._images = sorted(folder.glob("*.jpg"))
        self._crop = crop

    def __len__(self) -> int:
        return len(self._images) * -(-EPOCH // len(self._images))

    def __getitem__(self, index: int) -> Sample:
        image = self._images[index % len(self._images)]
        with Image.open(image.with_suffix(".png")) as label:
            return vary(_decode_image(image), np.asarray(label), self._crop)


def vary(image: np.ndarray, label: np.ndarray, crop: int) -> Sample:
    """A random square of an image (H, W, 3) and its label (H, W), mirrored every other time, channels first."""
    top, left = (random.randint(0, length - crop) for length in label.shape)
    square = slice(top, top + crop), slice(left, left + crop)
    image, label = image[square], label[square]
    if random.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(label.copy())


def write_mds(data: Path) -> None:
    """Write the loose files' bytes as shards of MosaicML Streaming."""
    from streaming import MDSWriter

    with MDSWriter(out=str(data / "mds"), columns={"image": "bytes", "label": "bytes"}) as shards:
        for image in sorted((data / "loose").glob("*.jpg")):
            shards.write({"image": image.read_bytes(), "label": image.with_suffix(".png").read_bytes()})


def _loader(samples: Dataset[Sample], reading: Reading, shuffle: bool = False) -> DataLoader[Sample]:
    return DataLoader(
        samples,
        batch_size=reading.batch,
        shuffle=shuffle,
        num_workers=reading.processes,
        drop_last=True,
        persistent_workers=reading.processes > 0,
    )


def _without_end(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from batches


def _is_image(name: str) -> bool:
    return not name.endswith(".json")


def _decode_image(file: Path | io.BytesIO) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _decode_label(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as label:
        return np.asarray(label)


if __name__ == "__main__":
    main()
