"""Where to cut: crops with context around each connected part of a hole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects, label

from sgenet.inpainter.pyramid import Bools, Floats, moved


@dataclass(frozen=True)
class Crop:
    """A square that the network looks at, and the part of the hole that it is asked for.

    Attributes:
        rows, columns: the square, within the image.
        inner_rows, inner_columns: the part of it whose pixels are used.
        weight: (h, w) of the inner part: how much a pixel counts against the same pixel of neighbouring
            crops. 0 where it is not asked for; over all crops a pixel's weights sum to 1, up to rounding.
        nearest: (h, w) of the inner part: of the pixels asked for, those nearest to this crop's middle.
            Every pixel that is asked for is in exactly one crop's.
    """

    rows: slice
    columns: slice
    inner_rows: slice
    inner_columns: slice
    weight: Floats
    nearest: Bools

    @property
    def where(self) -> tuple[slice, slice]:
        """The inner part in the image."""
        return self.inner_rows, self.inner_columns

    @property
    def inner(self) -> tuple[slice, slice]:
        """The inner part in the square."""
        return moved(self.inner_rows, -self.rows.start), moved(self.inner_columns, -self.columns.start)


def plan_crops(asked: Bools, side: int) -> Iterator[Crop]:
    """Cover the pixels that are asked for.

    Pixels closer than an eighth of the side belong together. A part of at most half the side in height
    and width gets one crop with the part in its middle; a larger one gets a grid of crops whose inner
    parts overlap and fade into one another.

    Args:
        asked: (H, W).
        side: of the crops, a multiple of 16; shorter where the image is.

    Yields:
        Crops in reading order of the parts and within each part.
    """
    cell = side // 8
    # Numbered from 1, in reading order; corners connect.
    parts, _ = label(_any_of_cells(asked, cell), structure=np.ones((3, 3)))
    for number, (cell_rows, cell_columns) in enumerate(find_objects(parts), start=1):
        rows, columns = (slice(span.start * cell, span.stop * cell) for span in (cell_rows, cell_columns))
        mine = np.kron(parts[cell_rows, cell_columns] == number, np.ones((cell, cell), bool))
        mine = mine[: asked.shape[0] - rows.start, : asked.shape[1] - columns.start] & asked[rows, columns]
        yield from _cover(mine, rows.start, columns.start, asked.shape, side)


def _cover(mine: Bools, top: int, left: int, size: tuple[int, ...], side: int) -> Iterator[Crop]:
    """Crops of one part, whose pixels ``mine`` begin at (top, left)."""
    tight_rows, tight_columns = find_objects(mine.astype(np.uint8))[0]
    mine = mine[tight_rows, tight_columns]
    top, left = top + tight_rows.start, left + tight_columns.start
    for inner_rows, row_weights in _spans(mine.shape[0], side):
        for inner_columns, column_weights in _spans(mine.shape[1], side):
            owned = mine[inner_rows, inner_columns]
            if owned.any():
                rows, columns = moved(inner_rows, top), moved(inner_columns, left)
                yield Crop(
                    rows=_around(rows, size[0], side),
                    columns=_around(columns, size[1], side),
                    inner_rows=rows,
                    inner_columns=columns,
                    weight=np.where(owned, row_weights[:, None] * column_weights, np.float32(0)),
                    nearest=owned & (row_weights[:, None] > 0.5) & (column_weights > 0.5),
                )


def _spans(length: int, side: int) -> Iterator[tuple[slice, Floats]]:
    """Cut a length into spans of about half the side that overlap by a quarter of it, with weights that sum to 1."""
    count = max(1, -(-length // (side // 2)))
    bounds = [length * i // count for i in range(count + 1)]
    fade = side // 8
    for first, last in itertools.pairwise(bounds):
        start, stop = max(0, first - fade), min(length, last + fade)
        positions = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
        weights = np.ones(stop - start, np.float32)
        if first > 0:
            weights = np.minimum(weights, (positions - (first - fade)) / (2 * fade))
        if last < length:
            weights = np.minimum(weights, ((last + fade) - positions) / (2 * fade))
        yield slice(start, stop), weights.astype(np.float32)


def _around(inner: slice, length: int, side: int) -> slice:
    """A span of ``side`` with ``inner`` in its middle, moved into the image where it sticks out."""
    start = (inner.start + inner.stop - side) // 2
    start = max(0, min(start, length - side))
    return slice(start, min(length, start + side))


def _any_of_cells(asked: Bools, cell: int) -> Bools:
    padded = np.pad(asked, [(0, -length % cell) for length in asked.shape])
    height, width = (length // cell for length in padded.shape)
    return np.asarray(padded.reshape(height, cell, width, cell).any(axis=(1, 3)))
