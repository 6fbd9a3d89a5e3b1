"""Which slice of the land each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.noise import Flags, Floats, Integers
from pipelines.landscapes.terrain import Slices
from pipelines.landscapes.view import View


@dataclass(frozen=True)
class Hits:
    """What the rows from ``top`` down show; all arrays are (height - top, width).

    Attributes:
        top: first row in which land or water is seen.
        sky: nothing but sky.
        tree: a tree of the forest at the slice ``index``; ground otherwise.
        index: slice behind which nothing is seen; the ground lies between it and the one before.
        share: how far the ground point lies from slice ``index - 1`` (0) to ``index`` (1).
        flat, before: ``index`` and column, and the slice before it, as indices into raveled slices.
    """

    top: int
    sky: Flags
    tree: Flags
    index: Integers
    share: Floats
    flat: Integers
    before: Integers

    def between(self, values: Floats) -> Floats:
        """Slice values (K, W) at the hit ground points, interpolated between the two slices."""
        raveled = values.ravel()
        before = raveled.take(self.before)
        return before + self.share * (raveled.take(self.flat) - before)

    def exactly(self, values: Floats) -> Floats:
        """Slice values (K, W) of the hit slice itself."""
        return values.ravel().take(self.flat)


def find_hits(view: View, slices: Slices, canopy: Floats) -> Hits:
    """Resolve what hides what.

    Args:
        view: the camera.
        slices: the land.
        canopy: (K, W) metres that the forest rises above the ground, 0 where there is none.
    """
    scale = (np.float32(view.focal * view.height) / slices.z)[:, None]
    ground_row = np.float32(view.horizon * view.height) + (np.float32(view.eye) - slices.surface) * scale
    skyline = np.minimum.accumulate(ground_row - canopy * scale, axis=0)
    first_row: Integers = np.clip(np.ceil(skyline - np.float32(0.5)), 0, view.height).astype(np.int32)
    top = min(int(first_row[-1].min()), view.height - 1)
    num_hidden = _count_above(first_row - top, view.height - top)
    sky = num_hidden == len(slices.z)
    index: Integers = np.minimum(num_hidden, len(slices.z) - 1, dtype=np.int32)
    columns: Integers = np.arange(view.width, dtype=np.int32)
    flat: Integers = index * np.int32(view.width) + columns
    pixel_row = np.arange(top, view.height, dtype=np.float32)[:, None] + np.float32(0.5)
    far_row = ground_row.ravel().take(flat)
    before = flat - np.where(index > 0, np.int32(view.width), np.int32(0))
    near_row = ground_row.ravel().take(before)
    share = np.clip((near_row - pixel_row) / np.maximum(near_row - far_row, np.float32(1e-3)), 0, 1)
    return Hits(top, sky, (far_row > pixel_row) & ~sky, index, share, flat, before)


def _count_above(first_row: Integers, num_rows: int) -> Integers:
    """(num_rows, W): for each pixel, how many slices' skylines start below it."""
    width = first_row.shape[1]
    cells = first_row * np.int32(width) + np.arange(width, dtype=np.int32)
    starts = np.bincount(cells.ravel(), minlength=(num_rows + 1) * width).reshape(-1, width)[:num_rows]
    return (len(first_row) - np.cumsum(starts, axis=0)).astype(np.int32)
