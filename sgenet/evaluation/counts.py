"""Confusion matrices of many images in little memory."""

from __future__ import annotations

import math
from array import array

import numpy as np
import numpy.typing as npt

MAX_CLASSES = 256
"""More classes than this would not fit the table's cells."""


class ConfusionCounts:
    """The confusion matrix of every image, as the few of its cells that are not zero.

    An image shows a handful of the classes, so of 19 × 19 cells some ten are not zero: 60 bytes an image for 2,888.

    Args:
        num_classes: C, at most :data:`MAX_CLASSES`.
        with_none: whether there is one more predicted class, *none of them*.

    Attributes:
        shape: of an image's matrix: (C, C), or (C, C + 1).
    """

    def __init__(self, num_classes: int, *, with_none: bool = False) -> None:
        if num_classes > MAX_CLASSES:
            raise ValueError(f"confusion counts hold at most {MAX_CLASSES} classes, found {num_classes}")
        self.shape = (num_classes, num_classes + with_none)
        # array rather than lists of numbers: two or four bytes each, and plain bytes on their way between processes.
        self._sizes = array("I")  # non-zero cells of each image
        self._cells = array("I" if with_none else "H")  # true class × columns + predicted class
        self._counts = array("I")

    def __len__(self) -> int:
        """How many images."""
        return len(self._sizes)

    def append(self, matrix: npt.NDArray[np.int64]) -> None:
        """Add the matrix of the next image."""
        cells = np.flatnonzero(matrix)
        self._sizes.append(len(cells))
        self._cells.extend(cells.tolist())
        self._counts.extend(matrix.ravel()[cells].tolist())

    def extend(self, other: ConfusionCounts) -> None:
        """Add the images of another table of the same classes."""
        self._sizes.extend(other._sizes)
        self._cells.extend(other._cells)
        self._counts.extend(other._counts)

    def __getitem__(self, images: slice) -> npt.NDArray[np.int64]:
        """The matrices of neighbouring images: (N, *shape)."""
        first, last, _ = images.indices(len(self))
        sizes = np.array(self._sizes, np.int64)
        part = slice(int(sizes[:first].sum()), int(sizes[:last].sum()))
        dense = np.zeros((max(last - first, 0), math.prod(self.shape)), np.int64)
        image = np.repeat(np.arange(len(dense)), sizes[first:last])
        dense[image, np.array(self._cells[part], np.int64)] = self._counts[part]
        return dense.reshape(-1, *self.shape)

    def total(self, images: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
        """The sum of the matrices of some images, by their positions, each at most once; of all for None."""
        counts = np.array(self._counts, np.int64)
        if images is not None:
            chosen = np.zeros(len(self), np.int64)
            chosen[images] = 1
            counts *= np.repeat(chosen, np.array(self._sizes, np.int64))
        total = np.zeros(math.prod(self.shape), np.int64)
        np.add.at(total, np.array(self._cells, np.int64), counts)
        return total.reshape(self.shape)
