"""Pictures, holes and guides at the outer door: what is understood, and as which arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from sgenet.errors import DataError
from sgenet.label_space import IGNORE_ID, LabelSpace

Picture = Image.Image | npt.NDArray[np.uint8]
Hole = Image.Image | npt.NDArray[np.uint8] | npt.NDArray[np.bool_]

_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


def as_pixels(image: Picture) -> npt.NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 RGB, upright.

    Raises:
        DataError: when it is not an 8-bit picture, or an array of another shape or type.
    """
    if isinstance(image, Image.Image):
        upright = _eight_bit(image, "picture")
        return np.asarray(upright.convert("RGB"))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(
            f"a picture must be an array (height, width, 3) of uint8, found {tuple(image.shape)} of {image.dtype}; "
            "convert it to 8-bit RGB"
        )
    return image


def as_hole(hole_mask: Hole) -> npt.NDArray[np.bool_]:
    """A hole mask as (H, W) bool, True = missing.

    Raises:
        DataError: when it is not an 8-bit mask with one channel, or has transparent pixels.
    """
    if isinstance(hole_mask, Image.Image):
        upright = _eight_bit(hole_mask, "hole mask")
        if upright.has_transparency_data and upright.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise DataError("the hole mask has transparent pixels; save it opaque, white where pixels are missing")
        hole_mask = np.asarray(upright.convert("L"), dtype=np.uint8)
    if hole_mask.ndim != 2 or hole_mask.dtype not in (np.uint8, np.bool_) or hole_mask.size == 0:
        raise DataError(
            f"a hole mask must be an array (height, width) of bool or uint8, found {tuple(hole_mask.shape)} of "
            f"{hole_mask.dtype}; convert it to one 8-bit channel"
        )
    if hole_mask.dtype == np.bool_ or hole_mask.max() <= 1:
        return hole_mask.astype(np.bool_)
    return hole_mask >= 128


def as_guide(
    guide: npt.NDArray[np.uint8] | None, size: tuple[int, ...], label_space: LabelSpace
) -> npt.NDArray[np.uint8] | None:
    """A guide (H, W) of uint8 class ids, 255 = the network decides, checked; None stays None.

    Raises:
        DataError: it has another type, another size than the picture, or ids that are no classes.
    """
    if guide is None:
        return None
    if guide.dtype != np.uint8 or guide.shape != size:
        raise DataError(
            f"a guide must be an array (height, width) = {size} of uint8 class ids like the picture, "
            f"found {guide.shape} of {guide.dtype}"
        )
    strangers = np.unique(guide[(guide >= label_space.num_classes) & (guide != IGNORE_ID)])
    if strangers.size:
        raise DataError(
            f"the guide holds the class id {strangers[0]}, but there are the classes 0 to "
            f"{label_space.num_classes - 1}; use {IGNORE_ID} where the network should decide"
        )
    return guide


def _eight_bit(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode not in _EIGHT_BIT_MODES:
        raise DataError(f"the {name} has the pixel format {picture.mode}; save it with 8 bits a channel")
    # Painted masks match the picture as it is seen, so both are turned upright.
    return ImageOps.exif_transpose(picture)
