"""Features computed a band of rows at a time where no gradient is wanted.

A layer makes several times what it gives, and at the finest scale one tensor alone takes 128 MiB (64 channels of
1024 × 1024 pixels in bfloat16). In bands, what a layer makes on the way at its own size is alive for some rows at a
time. Training, exported graphs and small features have one band, which is all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sgenet.layers.resizing import upsample

_ROWS = 32
"""Of a band, at least: with a halo of one row on either side, 6 % is computed twice."""

_FEWEST_PIXELS = {"cpu": 2**13}
_FEWEST_PIXELS_ELSEWHERE = 2**18
"""Of a band of each picture, to keep the processors busy; measured on CPUs alone. The batch has no say, so that a
picture's result does not depend on its neighbours."""


@dataclass(frozen=True)
class Band:
    """Some rows of features (B, C, H, W), or all of them.

    Attributes:
        first, last: the rows that are computed, the last one excluded.
        top, bottom: the rows that are read: those, and what convolutions see beside them.
        whole: whether these are all rows.
    """

    first: int
    last: int
    top: int
    bottom: int
    whole: bool

    def read(self, x: Tensor) -> Tensor:
        """The rows of (B, C, H, W) that are read, as a view."""
        return x if self.whole else x[:, :, self.top : self.bottom]

    def upsampled(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """The rows that are read of (B, C, h, w) at twice its size, made of the few that they need.

        Args:
            size: H and W, twice h and w; any size where the band is the whole.
        """
        if self.whole:
            return upsample(x, size)
        above, below = max((self.top - 1) // 2, 0), min(self.bottom // 2 + 1, x.shape[2])
        bigger = upsample(x[:, :, above:below], (2 * (below - above), size[1]))
        return bigger[:, :, self.top - 2 * above : self.bottom - 2 * above]

    def computed(self, rows: Tensor) -> Tensor:
        """Of the rows that were read, those that are right now."""
        return rows if self.whole else rows[:, :, self.first - self.top : self.last - self.top]


def is_whole(like: Tensor) -> bool:
    """Whether features (B, C, H, W) have one band."""
    return bands(like)[0].whole


def bands(like: Tensor, halo: int = 0) -> list[Band]:
    """Cut features into bands.

    Args:
        like: (B, C, H, W); its size and device decide, and whether gradients are enabled.
        halo: how many rows beside it a computed row depends on.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return [Band(0, 0, 0, 0, whole=True)]
    height, width = like.shape[2:]
    fewest = _FEWEST_PIXELS.get(like.device.type, _FEWEST_PIXELS_ELSEWHERE)
    rows = max(_ROWS, -(-fewest // width))
    if rows >= height:
        return [Band(0, height, 0, height, whole=True)]
    starts = range(0, height, rows)
    ends = [min(first + rows, height) for first in starts]
    return [
        Band(first, last, max(first - halo, 0), min(last + halo, height), whole=False)
        for first, last in zip(starts, ends, strict=True)
    ]


def in_bands(compute: Callable[[Band], Tensor], like: Tensor, halo: int = 0) -> Tensor:
    """Put together what is computed for each band.

    Args:
        compute: gives (B, any number of channels, rows read, W) for a band.
        like: features of the size of the result.
        halo: see :func:`bands`.
    """
    first, *others = bands(like, halo)
    rows = compute(first)
    if first.whole:
        return rows
    size = (like.shape[0], rows.shape[1], like.shape[2], like.shape[3])
    result = torch.empty(size, dtype=rows.dtype, device=rows.device, memory_format=torch.channels_last)
    result[:, :, first.first : first.last] = first.computed(rows)
    del rows
    for band in others:
        result[:, :, band.first : band.last] = band.computed(compute(band))
    return result


def replace_in_bands(
    x: Tensor, read: Callable[[Tensor], Tensor], compute: Callable[[Tensor, Band], Tensor], halo: int = 0
) -> Tensor:
    """Replace features by what is computed from them, in their own memory; the one band of a whole gets its own.

    Args:
        x: (B, C, H, W), which nobody else needs.
        read: makes something new of the rows that are read, a copy at least: those of the next band are read
            before this one's are overwritten.
        compute: gives (B, C, rows read, W) from what was read.
        halo: see :func:`bands`; not above the rows of a band.
    """
    cut = bands(x, halo)
    ahead = read(cut[0].read(x))
    if cut[0].whole:
        return compute(ahead, cut[0])
    for band, following in zip(cut, [*cut[1:], None], strict=True):
        rows = ahead
        if following is not None:
            ahead = read(following.read(x))
        x[:, :, band.first : band.last] = band.computed(compute(rows, band))
    return x
