"""Whole stored images in batches of one size: what a segmenter is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipelines.data.shards.reader import Pixels, ShardDataset
from pipelines.data.shards.schema import SampleTable


class WholeImages(NamedTuple):
    """Some samples of one size.

    Attributes:
        rows: their places in the table.
        image: (B, 3, H, W) uint8.
        label: (B, H, W) uint8, what people labelled; 255 where there is none.
    """

    rows: tuple[int, ...]
    image: Tensor
    label: Tensor


def whole_images(table: SampleTable, batch_size: int) -> Iterator[WholeImages]:
    """Every sample once, as stored, in the table's order; a batch ends where the next image has another size.

    Raises:
        DataError: a sample cannot be read.
    """
    dataset = ShardDataset(table, _as_it_is)
    for rows in _runs_of_one_size(table, batch_size):
        pairs = [dataset.image(row) for row in rows]
        yield WholeImages(
            rows,
            torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image, _ in pairs])),
            torch.from_numpy(np.stack([label for _, label in pairs])),
        )


def _runs_of_one_size(table: SampleTable, most: int) -> Iterable[tuple[int, ...]]:
    run: list[int] = []
    for row in range(len(table)):
        if run and (len(run) == most or not np.array_equal(table.sizes[row], table.sizes[run[0]])):
            yield tuple(run)
            run = []
        run.append(row)
    if run:
        yield tuple(run)


def _as_it_is(image: Pixels, label: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    return image, label
