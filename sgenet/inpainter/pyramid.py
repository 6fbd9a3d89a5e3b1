"""An image and its hole at full size, a half, a quarter …: what coarse-to-fine filling walks along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Level:
    """One size of an image; level j is 1/2^j as large.

    Attributes:
        image: (h, w, 3), RGB: float32 in [-1, 1], or at level 0 the unsigned integers that were given.
        unknown: (h, w), what the network must not see: the hole, and what is transparent.
        guide: (h, w) class ids, 255 = the network decides; None without a guide.
    """

    image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | Floats
    unknown: Bools
    guide: Ids | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.unknown.shape[0], self.unknown.shape[1]

    def crop(self, rows: slice, columns: slice) -> Level:
        """A part of it, as views."""
        guide = None if self.guide is None else self.guide[rows, columns]
        return Level(self.image[rows, columns], self.unknown[rows, columns], guide)


@dataclass(frozen=True)
class Scene:
    """One size of an image with a hole, as texture is copied into it.

    Attributes:
        image: (h, w, 3) in [-1, 1]: what is known, and in the hole what the network drew.
        hole: (h, w), what is filled.
        unknown: (h, w), what must not be copied; includes the hole.
    """

    image: Floats
    hole: Bools
    unknown: Bools

    def halved(self) -> Scene:
        """Means of 2×2 blocks; a block is unknown, or of the hole, when any of its pixels is."""
        everywhere = np.ones_like(self.hole)
        return Scene(halve_where(self.image, everywhere), halve_any(self.hole), halve_any(self.unknown))


def to_floats(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | Floats) -> Floats:
    """Unsigned integers over their whole range → float32 in [-1, 1]; floats pass."""
    if image.dtype == np.float32:
        return image.view(np.float32)
    half_range = np.float32(127.5 if image.dtype == np.uint8 else 32767.5)
    # Divided rather than multiplied by the inverse: 0 and the largest value must map to exactly ±1.
    floats = image.astype(np.float32)
    floats /= half_range
    floats -= 1
    return floats


def build_pyramid(level: Level, longest_side: int, num_classes: int) -> list[Level]:
    """Halve until no side is longer than ``longest_side``; entry 0 is the level given."""
    levels = [level]
    while max(levels[-1].size) > longest_side:
        levels.append(halve(levels[-1], num_classes))
    return levels


def halve(level: Level, num_classes: int) -> Level:
    """Means over the known pixels of each 2×2 block; a block is known when at least half of it is."""
    image = halve_where(to_floats(level.image), ~level.unknown)
    unknown = F.avg_pool2d(_planes(~level.unknown), 2)[0, 0].numpy() < 0.5
    image[unknown] = 0
    guide = None if level.guide is None else _most_frequent(level.guide, num_classes)
    return Level(image, unknown, guide)


def _planes(array: Bools | Floats) -> Tensor:
    """(h, w) or (h, w, C) → (1, C, h, w) float32, a copy, its sides even: edge pixels are repeated."""
    planes = torch.from_numpy(array).float()
    planes = planes[None, None] if planes.ndim == 2 else planes.permute(2, 0, 1)[None]
    height, width = planes.shape[2:]
    if height % 2 or width % 2:
        return F.pad(planes, (0, width % 2, 0, height % 2), mode="replicate")
    return planes.clone() if array.dtype == np.float32 else planes


def _most_frequent(guide: Ids, num_classes: int) -> Ids:
    """The class id (or 255) that most of each 2×2 block has; the lowest id where several do."""
    winner: Ids | None = None
    for class_id in (*range(num_classes), 255):
        share = F.avg_pool2d(_planes(guide == class_id), 2)[0, 0].numpy()
        if winner is None:
            winner, highest = np.full(share.shape, class_id, np.uint8), share
        else:
            more = share > highest
            winner[more] = class_id
            highest = np.maximum(share, highest)
    assert winner is not None
    return winner


def halve_where(image: Floats, chosen: Bools) -> Floats:
    """(h, w, 3) → (⌈h/2⌉, ⌈w/2⌉, 3): the mean of the chosen pixels of each 2×2 block, 0 where there is none."""
    weights, planes = _planes(chosen), _planes(image)
    planes *= weights
    halved = F.avg_pool2d(planes, 2) / F.avg_pool2d(weights, 2).clamp(min=0.25)
    return halved[0].permute(1, 2, 0).contiguous().numpy()


def halve_any(chosen: Bools) -> Bools:
    """(h, w) → (⌈h/2⌉, ⌈w/2⌉): whether any pixel of each 2×2 block is chosen."""
    return F.max_pool2d(_planes(chosen), 2)[0, 0].numpy() > 0


def enlarge(planes: Tensor, factor: int, rows: slice, columns: slice) -> Tensor:
    """A part of (C, h, w) planes made ``factor`` times as large, bilinear.

    Args:
        rows, columns: the part, in the larger size. It is what the whole would be there.
    """
    coarse_rows = _under(rows, factor, planes.shape[1])
    coarse_columns = _under(columns, factor, planes.shape[2])
    part = planes[:, coarse_rows, coarse_columns].float()
    size = (part.shape[1] * factor, part.shape[2] * factor)
    large = F.interpolate(part[None], size=size, mode="bilinear", align_corners=False)[0]
    return large[:, moved(rows, -coarse_rows.start * factor), moved(columns, -coarse_columns.start * factor)]


def enlarge_image(image: Floats, factor: int, size: tuple[int, ...]) -> Floats:
    """(h, w, C) → (H, W, C): all of it, ``factor`` times as large, cut to ``size``."""
    planes = torch.from_numpy(image).permute(2, 0, 1)
    return enlarge(planes, factor, slice(0, size[0]), slice(0, size[1])).permute(1, 2, 0).numpy()


def _under(span: slice, factor: int, length: int) -> slice:
    """The coarse pixels under a span and one more on either side, which bilinear weights reach."""
    return slice(max(span.start // factor - 1, 0), min(-(-span.stop // factor) + 1, length))


def moved(span: slice, by: int) -> slice:
    """The span, so many pixels further."""
    return slice(span.start + by, span.stop + by)


def depth(unknown: Bools, reach: int) -> Floats:
    """How far a pixel lies from what is known, (h, w) in [0, 1].

    It is 0 where at least half of the pixels within ``reach`` rows and columns are known, as at the
    straight rim of a large hole, and 1 where none is.
    """
    known = Image.fromarray(np.where(unknown, 0, 255).astype(np.uint8))
    known_share = np.asarray(known.filter(ImageFilter.BoxBlur(reach)), np.float32)
    known_share *= np.float32(2 / 255)
    np.minimum(known_share, 1, out=known_share)
    return np.subtract(1, known_share, out=known_share)
