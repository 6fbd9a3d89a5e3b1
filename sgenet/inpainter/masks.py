"""Holes and guides at the outer door."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from sgenet.errors import DataError
from sgenet.inpainter.images import upright
from sgenet.label_space import IGNORE_ID, LabelSpace
from sgenet.mask_files import grey_levels

Hole = Image.Image | npt.NDArray[np.uint8] | npt.NDArray[np.bool_]
Guide = npt.NDArray[np.uint8]

SUSPICIOUS_HOLE_RATIO = 0.6
"""A mask with a larger share of missing pixels is probably inverted, and is warned about."""
SUSPICIOUS_GREY_RATIO = 0.05
"""A mask with a larger share of greys is probably no mask but a photograph, and is warned about."""

_GREYS = (32, 223)
"""Grey levels further from black and from white than JPEG leaves them."""

_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
_WHITE = 128


def as_hole(hole_mask: Hole, *, white_is_hole: bool = True) -> npt.NDArray[np.bool_]:
    """A hole mask as (H, W) bool, True = missing; see :func:`read_hole`."""
    return read_hole(hole_mask, white_is_hole=white_is_hole)[0]


def read_hole(hole_mask: Hole, *, white_is_hole: bool = True) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """A hole mask as (H, W) bool, True = missing, and in sentences what about it looks wrong.

    It looks wrong when more than 60 % is missing, as in an inverted mask, and when many pixels are neither black nor
    white, as in a photograph.

    Args:
        white_is_hole: False where black is missing.

    Raises:
        DataError: it is no mask with one channel of 8 bits (Pillow images: or 16), has transparent
            pixels, or holds grey alone.
    """
    if isinstance(hole_mask, Image.Image):
        hole_mask = _as_array(upright(hole_mask, "hole mask"))
    if not isinstance(hole_mask, np.ndarray):
        raise DataError(
            f"a hole mask must be a Pillow image or a NumPy array, found {type(hole_mask).__name__}; "
            "open a file with PIL.Image.open first"
        )
    if hole_mask.ndim != 2 or hole_mask.dtype not in (np.uint8, np.bool_) or hole_mask.size == 0:
        raise DataError(
            f"a hole mask must be an array (height, width) of bool or uint8, found {tuple(hole_mask.shape)} of "
            f"{hole_mask.dtype}; convert it to one 8-bit channel"
        )
    whites = _whites(hole_mask)
    hole = whites if white_is_hole else ~whites
    doubts = []
    if hole_mask.dtype == np.uint8:
        darkest, brightest = _GREYS
        greys = np.count_nonzero((hole_mask > darkest) & (hole_mask < brightest)) / hole_mask.size
        if greys > SUSPICIOUS_GREY_RATIO:
            doubts.append(
                f"{greys:.0%} of the hole mask is grey, as in a photograph; what is brighter than half was taken as "
                "white, so give a mask of black and white if that is not what you mean"
            )
    missing = float(hole.mean())
    if missing > SUSPICIOUS_HOLE_RATIO:
        doubts.append(
            f"{missing:.0%} of the image is marked as missing; {'white' if white_is_hole else 'black'} means "
            "missing, so invert the mask if that part is what should stay"
        )
    return hole, tuple(doubts)


def check_size(hole: npt.NDArray[np.bool_], size: tuple[int, ...]) -> None:
    """Refuse a hole (H, W) of another size than its image.

    Raises:
        DataError: it has.
    """
    if hole.shape != size:
        raise DataError(
            f"the image is {size[1]}×{size[0]} pixels but its hole mask is "
            f"{hole.shape[1]}×{hole.shape[0]}; make a mask of the image's size"
        )


def as_guide(guide: Guide, size: tuple[int, ...], label_space: LabelSpace) -> Guide:
    """Check a guide: (H, W) of uint8 class ids, 255 = the network decides.

    Raises:
        DataError: it has another type, another size than the image, or ids that are no classes.
    """
    if not isinstance(guide, np.ndarray) or guide.dtype != np.uint8 or guide.shape != size:
        found = f"{guide.shape} of {guide.dtype}" if isinstance(guide, np.ndarray) else type(guide).__name__
        raise DataError(
            f"a guide must be an array (height, width) = {size} of uint8 class ids like the image, found {found}"
        )
    strangers = np.unique(guide[(guide >= label_space.num_classes) & (guide != IGNORE_ID)])
    if strangers.size:
        raise DataError(
            f"the guide holds the class id {strangers[0]}, but there are the classes 0 to "
            f"{label_space.num_classes - 1}; use {IGNORE_ID} where the network should decide"
        )
    return guide


def _as_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Grey levels (H, W)."""
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        if levels.max(initial=0) <= 1:
            return levels.clip(0).astype(np.uint8)
    elif image.mode not in _EIGHT_BIT_MODES:
        raise DataError(f"the hole mask has the pixel format {image.mode}; save it as black and white")
    return grey_levels(image, "the hole mask")


def _whites(mask: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A mask of 0 and 1 as it is; grey levels are white from 128 on, so that a soft edge is cut in its middle."""
    brightest = mask.max()
    if mask.dtype == np.bool_ or brightest <= 1:
        return mask.astype(np.bool_)
    if brightest < _WHITE:
        raise DataError(
            f"the hole mask has no white pixels, its brightest value is {brightest}; draw it with the values 0 and 255"
        )
    return mask >= _WHITE
