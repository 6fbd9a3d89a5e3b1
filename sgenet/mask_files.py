"""Holes read from images: any size, either polarity, checked at the door."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from sgenet.errors import DataError

Mask = npt.NDArray[np.uint8]
"""A hole mask (H, W) of 0 and 1, **1 = missing**."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
LARGEST_GREY_RATIO = 0.01
"""Share of pixels that may lie far from both black and white (JPEG ringing, a soft edge)."""
LARGEST_MEDIAN_RATIO = 0.65
"""A folder whose median hole is larger is taken for inverted: the masks of Liu et al. 2018 have a
median of 0.30 as they are and of 0.70 when read the wrong way round."""
_POLARITY_SAMPLE = 31
_GREY_LEVELS = (64, 191)


def hole_ratio(hole_mask: Mask) -> float:
    """Share of missing pixels of a (H, W) mask of 0 and 1."""
    return float(np.count_nonzero(hole_mask)) / hole_mask.size


def load_mask_file(path: Path, white_is_hole: bool) -> Mask:
    """Read a black-and-white image as a hole mask of the image's own size.

    Args:
        path: image of any format and depth that Pillow reads; pixels of 128 and more are white.
        white_is_hole: the file's polarity; False where black pixels are the missing ones.

    Returns:
        (H, W) uint8 of 0 and 1, 1 = missing.

    Raises:
        DataError: where the file is unreadable, transparent or not black and white.
    """
    grey = _read_grey(path)
    low, high = _GREY_LEVELS
    grey_ratio = np.count_nonzero((grey > low) & (grey < high)) / grey.size
    if grey_ratio > LARGEST_GREY_RATIO:
        raise DataError(
            f"{path} is not black and white, {grey_ratio:.1%} of its pixels are grey; "
            "save the mask with values 0 and 255"
        )
    if 0 < grey.max() < 128:
        raise DataError(
            f"{path} has no white pixels, its brightest value is {grey.max()}; save the mask with values 0 and 255"
        )
    white = grey >= 128
    return (white if white_is_hole else ~white).astype(np.uint8)


def resize_mask(hole_mask: Mask, height: int, width: int) -> Mask:
    """Resize a (H, W) mask to (height, width) by nearest neighbour, so that it stays two-valued."""
    if hole_mask.shape == (height, width):
        return hole_mask
    return np.array(Image.fromarray(hole_mask).resize((width, height), Image.Resampling.NEAREST))


@dataclass(frozen=True)
class MaskFolder:
    """The mask images of a folder, in the order of their sorted relative paths.

    Attributes:
        folder: where they lie.
        names: their paths below the folder, with ``/``.
        white_is_hole: their polarity.
    """

    folder: Path
    names: tuple[str, ...]
    white_is_hole: bool

    @classmethod
    def open(cls, folder: Path, white_is_hole: bool) -> MaskFolder:
        """List a folder and its subfolders and check the declared polarity on an even sample.

        Raises:
            DataError: where there is no such folder, it holds no images, or the polarity looks inverted.
        """
        if not folder.is_dir():
            raise DataError(f"the mask folder {folder} does not exist; correct the path of the hole in the settings")
        found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        names = sorted(path.relative_to(folder).as_posix() for path in found)
        if not names:
            raise DataError(f"the mask folder {folder} holds no images ({', '.join(sorted(SUFFIXES))})")
        masks = cls(folder, tuple(names), white_is_hole)
        masks._check_polarity()
        return masks

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int, height: int, width: int) -> Mask:
        """Mask ``index`` at (height, width)."""
        return resize_mask(load_mask_file(self.folder / self.names[index], self.white_is_hole), height, width)

    def _check_polarity(self) -> None:
        positions = np.unique(np.linspace(0, len(self) - 1, _POLARITY_SAMPLE).round().astype(int))
        masks = (load_mask_file(self.folder / self.names[i], self.white_is_hole) for i in positions)
        median = float(np.median([hole_ratio(mask) for mask in masks]))
        if median > LARGEST_MEDIAN_RATIO:
            raise DataError(
                f"the masks in {self.folder} look inverted: with white_is_hole: {str(self.white_is_hole).lower()} half "
                f"of them miss more than {median:.0%} of the image; set white_is_hole: "
                f"{str(not self.white_is_hole).lower()}"
            )


def grey_levels(image: Image.Image, name: str) -> Mask:
    """(H, W) uint8 of an opaque image of 8 or 16 bits.

    Raises:
        DataError: under this name, where something is transparent, or nothing of 16 bits is white.
    """
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min(initial=255) < 255:
        raise DataError(f"{name} has transparent pixels; save it opaque, in black and white")
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("L"))
    # Pillow would clip 16 bits at 255 on conversion.
    levels = np.asarray(image).astype(np.int64).clip(0, 65535)
    brightest = levels.max(initial=0)
    if 0 < brightest < 128 * 257:
        raise DataError(
            f"{name} has no white pixels, its brightest value is {brightest} of 65535; draw it with the values 0 and "
            "65535, or save it with 8 bits"
        )
    return (levels // 257).astype(np.uint8)


def _read_grey(path: Path) -> Mask:
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            upright.load()
    # The last is of EXIF data that are cut off.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, struct.error) as error:
        raise DataError(f"{path} cannot be read as a mask image ({error}); replace the file") from None
    return grey_levels(upright, str(path))
