"""What a network makes of each place in an image: its features say what is there, and in the hole, what should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sgenet.inpainter.pyramid import Floats

_SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True)
class Features:
    """A coarse map of the whole image.

    Attributes:
        planes: (h, w, C).
        cell: how many pixels of the image, each way, each of them stands for.
    """

    planes: Floats
    cell: int

    def at(self, rows: npt.NDArray[np.floating], columns: npt.NDArray[np.floating]) -> Floats:
        """(R, S, C) at some places of the image, in pixels from its upper left corner: bilinear, each of length 1, so
        that products are cosines. Each channel is standardised over the image first, so that they count alike."""
        spread = self.planes.std(axis=(0, 1)) + _SMALLEST_SPREAD
        standardised = (self.planes - self.planes.mean(axis=(0, 1))) / spread
        found = _interpolated(_interpolated(standardised, rows / self.cell - 0.5, 0), columns / self.cell - 0.5, 1)
        length = np.sqrt(np.einsum("ijk,ijk->ij", found, found))[..., None]
        return found / length.clip(min=_SMALLEST_SPREAD)


def _interpolated(values: Floats, positions: npt.NDArray[np.floating], axis: int) -> Floats:
    """Linear along an axis, its ends repeated."""
    last = values.shape[axis] - 1
    positions = positions.clip(0, last)
    before = positions.astype(np.intp)
    share = np.expand_dims((positions - before).astype(np.float32), tuple({0, 1, 2} - {axis}))
    return values.take(before, axis) * (1 - share) + values.take(np.minimum(before + 1, last), axis) * share
