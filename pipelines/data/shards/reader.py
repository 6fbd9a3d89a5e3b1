"""Random access to the samples of shards by byte offset. Needs torch, NumPy and Pillow alone."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from pipelines.data.shards.sampler import SampleRequest
from pipelines.data.shards.schema import SampleTable
from sgenet.batch import Uint8Batch
from sgenet.errors import DataError
from sgenet.label_space import IGNORE_ID

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

Pixels = npt.NDArray[np.uint8]
Transform = Callable[[Pixels, Pixels, np.random.Generator], tuple[Pixels, Pixels]]
DrawHole = Callable[[np.random.Generator], Pixels]
Planes = tuple[Pixels, Pixels, Pixels]
"""A sample in uint8: image (3, H, W), hole mask (1, H, W) and label (H, W)."""

_JPEG_START = b"\xff\xd8"


class LoadedSample(NamedTuple):
    """One sample as the loader hands it on.

    Attributes:
        image: (3, H, W) uint8.
        hole_mask: (1, H, W) uint8, 1 = missing.
        label: (H, W) uint8 class ids, 255 = ignore.
        key: its name in the shards.
    """

    image: Tensor
    hole_mask: Tensor
    label: Tensor
    key: str


class Shards(Protocol):
    """Where the bytes of shards are read."""

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset`` on of a shard that the :class:`SampleTable` named."""


class ShardDataset(Dataset[LoadedSample]):
    """The samples of a table, decoded and varied on request.

    Args:
        table: the samples of one split.
        transform: crops and varies an image and its label alike, from the generator it is given.
        draw_hole: draws a hole mask (H, W) of 0 and 1; None leaves every image whole
            (evaluation has its own fixed masks).
        shards: reads them; None where they lie in the table's folder.
    """

    def __init__(
        self,
        table: SampleTable,
        transform: Transform,
        draw_hole: DrawHole | None = None,
        shards: Shards | None = None,
    ) -> None:
        self.table = table
        self.transform = transform
        self.draw_hole = draw_hole
        self._shards: Shards = shards or _ShardFiles()

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, request: SampleRequest) -> LoadedSample:
        """Read one sample; everything random about it follows from the request's seed.

        Raises:
            DataError: naming the shard and the key.
        """
        image, hole_mask, label = self._varied(request)
        return LoadedSample(_tensor(image), _tensor(hole_mask), _tensor(label), self.table.keys[request.row])

    def read_to(self, place: Planes, request: SampleRequest) -> str:
        """The same to memory there is, copied once from the decoded image; gives the sample's key.

        Raises:
            DataError: naming the shard and the key.
        """
        for source, target in zip(self._varied(request), place, strict=True):
            if source.shape != target.shape:
                raise ValueError(f"a sample of {source.shape} for memory of {target.shape}")
            np.copyto(target, source)
        return self.table.keys[request.row]

    def image(self, row: int) -> tuple[Pixels, Pixels]:
        """A sample as stored: (H, W, 3) uint8 RGB and (H, W) uint8 label, all 255 where there is none.

        Raises:
            DataError: naming the shard and the key.
        """
        try:
            image_bytes, label_bytes = self._stored(row)
            image = decode_stored_image(image_bytes)
            if label_bytes is None:
                return image, np.full(image.shape[:2], IGNORE_ID, np.uint8)
            label = decode_stored_label(label_bytes)
            if label.shape != image.shape[:2]:
                raise ValueError(f"the label is {label.shape} and the image {image.shape[:2]}")
            return image, label
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(
                f"{self._where(row)} cannot be read ({error}); check the disk, then run the shards stage again"
            ) from error

    def _stored(self, row: int) -> tuple[bytes, bytes | None]:
        """The bytes of an image and its label; None where there is none."""
        path, label_path = self.table.shard_path(row), self.table.label_path(row)
        offset, size = self.table.image_spans[row].tolist()
        label_offset, label_size = self.table.label_spans[row].tolist()
        if label_size == 0:
            return self._shards.read(path, offset, size), None
        if label_path != path:
            return self._shards.read(path, offset, size), self._shards.read(label_path, label_offset, label_size)
        # They lie one behind the other: one read, which matters where it is a request.
        first, end = min(offset, label_offset), max(offset + size, label_offset + label_size)
        content = self._shards.read(path, first, end - first)
        offset, label_offset = offset - first, label_offset - first
        return content[offset : offset + size], content[label_offset : label_offset + label_size]

    def _varied(self, request: SampleRequest) -> Planes:
        """A sample with its planes in order: views, to be copied."""
        image, label = self.image(request.row)
        rng = np.random.Generator(np.random.Philox(key=request.seed))
        try:
            image, label = self.transform(image, label, rng)
            hole_mask = np.zeros_like(label) if self.draw_hole is None else self.draw_hole(rng)
        except DataError as error:
            raise DataError(f"{self._where(request.row)}: {error}") from error
        if hole_mask.shape != label.shape:
            raise ValueError(f"draw_hole gave {hole_mask.shape} for an image of {label.shape}")
        return image.transpose(2, 0, 1), hole_mask[None], label

    def _where(self, row: int) -> str:
        return f"sample '{self.table.keys[row]}' of {self.table.shard_path(row)}"


def collate(samples: Sequence[LoadedSample]) -> Uint8Batch:
    """Put samples of one size together.

    Raises:
        DataError: naming two samples of different sizes.
    """
    first = samples[0]
    for sample in samples:
        if sample.image.shape != first.image.shape:
            raise DataError(
                f"'{first.key}' is {tuple(first.image.shape[1:])} and '{sample.key}' {tuple(sample.image.shape[1:])} "
                "after cropping; a batch needs one size"
            )
    return Uint8Batch(
        image=torch.stack([sample.image for sample in samples]),
        hole_mask=torch.stack([sample.hole_mask for sample in samples]),
        label=torch.stack([sample.label for sample in samples]),
        keys=tuple(sample.key for sample in samples),
    )


def decode_stored_image(content: bytes) -> Pixels:
    """Decode an image of a shard to (H, W, 3) uint8 RGB, the same pixels by either JPEG library."""
    if simplejpeg is not None and content.startswith(_JPEG_START):
        pixels: Pixels = simplejpeg.decode_jpeg(content, "RGB", fastdct=False, fastupsample=False)
        return pixels
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        return np.asarray(image.convert("RGB"))


def decode_stored_label(content: bytes) -> Pixels:
    """Decode a label map of a shard to (H, W) uint8 class ids."""
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        return np.asarray(image)


def _tensor(pixels: Pixels) -> Tensor:
    # Copied only where it must be: torch takes neither strides below 0 nor memory it may not write to.
    return torch.from_numpy(np.require(pixels, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


class _ShardFiles:
    """The shards in their folder."""

    def read(self, path: Path, offset: int, size: int) -> bytes:
        with path.open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), size, offset)
        if len(content) != size:
            raise OSError(f"the shard ends {size - len(content)} bytes early")
        return content
