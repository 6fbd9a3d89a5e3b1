"""Images at the outer door: every kind that is understood, as RGB for the network, and back in its own kind."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from sgenet.errors import DataError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""(H, W) grey, (H, W, 2) grey with alpha, (H, W, 3) RGB or (H, W, 4) RGB with alpha, over the whole range of 8 or 16
bits."""

ImageLike = Image.Image | Pixels

_LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)
"""Of Rec. 601, as in Pillow."""

_GREY_MODES = frozenset({"1", "L", "LA"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "CMYK", "YCbCr"})
_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
_WITH_ALPHA = frozenset({"LA", "RGBA"})
_PALETTE_MODES = frozenset({"P", "PA"})


@dataclass(frozen=True)
class OpenedImage:
    """An image as it was given and as the network sees it.

    Attributes:
        given: the image or array, upright.
        rgb: (H, W, 3) uint8 or uint16.
        transparent: (H, W), the pixels nothing is seen of; None where there is no alpha channel.
    """

    given: ImageLike
    rgb: Pixels
    transparent: npt.NDArray[np.bool_] | None = None

    def replace(self, filled: Pixels, hole: npt.NDArray[np.bool_]) -> ImageLike:
        """The image as it was given, with the colours of ``filled`` (H, W, 3), typed as ``rgb``, in the hole.

        What lies outside the hole, and alpha everywhere, are bit for bit what was given.
        """
        if isinstance(self.given, np.ndarray):
            coloured = self.given.ndim == 3 and self.given.shape[2] > 2
            return _replace(self.given, filled if coloured else to_grey(filled), hole)
        mode = self.given.mode
        match mode:
            case "RGB" | "RGBA":
                colours: npt.NDArray[Any] = filled
            case "CMYK" | "YCbCr":
                colours = np.asarray(Image.fromarray(filled).convert(mode))
            case _:
                colours = to_grey(filled)
        replaced = _replace(_pixels_of(self.given), colours, hole)
        if mode == "1":
            image = Image.fromarray(np.where(replaced >= 128, 255, 0).astype(np.uint8)).convert("1")
        else:
            image = Image.frombytes(mode, self.given.size, replaced.tobytes())
        # The colour profile, the resolution, the EXIF data without its orientation.
        image.info = dict(self.given.info)
        return image


def open_image(image: ImageLike) -> OpenedImage:
    """Understand an image.

    Pillow images are turned upright by their EXIF orientation. Palettes and colour keys become RGB, or
    grey, with an alpha channel where something is transparent, since a palette has no room for new colours.

    Raises:
        DataError: it is no image, cannot be decoded, or has a pixel format that is not understood.

    Warns:
        UserWarning: a file of 16 bits a channel was opened by Pillow, which reads 8 of them.
    """
    if isinstance(image, Image.Image):
        if image.mode in _COLOUR_MODES and ";16" in str(getattr(image, "tile", "")):
            warnings.warn(
                "Pillow reads the colours of this image with 8 of its 16 bits; give an array of uint16 to keep them",
                stacklevel=3,
            )
        return _open_pillow(upright(image, "image"))
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"an image must be a Pillow image or a NumPy array, found {type(image).__name__}; "
            "open a file with PIL.Image.open first"
        )
    shape_is_known = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (2, 3, 4))
    if image.dtype not in (np.uint8, np.uint16) or not shape_is_known or image.size == 0:
        raise DataError(
            "an image must be an array (height, width) or (height, width, 2 to 4 bands) of uint8 or "
            f"uint16, found {tuple(image.shape)} of {image.dtype}; convert it, floats by scaling them to 0 to 255"
        )
    return _open_array(image, image)


def as_pixels(image: ImageLike) -> npt.NDArray[np.uint8]:
    """An image as the (H, W, 3) uint8 RGB that is seen, upright.

    Raises:
        DataError: as :func:`open_image`.
    """
    return to_eight_bits(open_image(image).rgb)


def upright(image: Image.Image, name: str) -> Image.Image:
    """Decode a Pillow image and turn it by its EXIF orientation: painted masks match what is seen.

    Raises:
        DataError: its file is damaged, or it has no pixels.
    """
    try:
        turned = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, struct.error) as error:  # the last of EXIF data that are cut off
        raise DataError(f"the {name} cannot be decoded ({error}); save it again") from error
    if 0 in turned.size:
        raise DataError(f"the {name} has no pixels, its size is {turned.width}×{turned.height}")
    return turned


def to_grey(rgb: Pixels) -> Pixels:
    """(…, 3) → (…) luminance, in the same type."""
    return np.rint(rgb @ _LUMINANCE).astype(rgb.dtype)


def to_eight_bits(rgb: Pixels) -> npt.NDArray[np.uint8]:
    """The same image in 8 bits, rounded to nearest; an 8-bit one passes as it is."""
    if rgb.dtype == np.uint8:
        return rgb.view(np.uint8)
    return ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _open_pillow(image: Image.Image) -> OpenedImage:
    if image.mode in _PALETTE_MODES or ("transparency" in image.info and image.mode in ("1", "L", "RGB")):
        image = _without_palette(image)
    if image.mode in _SIXTEEN_BIT_MODES:
        pixels = _pixels_of(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise DataError(
                f"the image has values from {pixels.min()} to {pixels.max()}; scale them to 16 bits, 0 to 65535"
            )
        return _open_array(image, pixels.astype(np.uint16))
    if image.mode in ("CMYK", "YCbCr"):
        return OpenedImage(image, np.asarray(image.convert("RGB")))
    if image.mode not in _GREY_MODES | _COLOUR_MODES:
        raise DataError(
            f"the image has the pixel format {image.mode}, which is not understood; save it as RGB or grey, "
            "with 8 or 16 bits"
        )
    pixels = np.asarray(image.convert("RGBA" if image.mode in _WITH_ALPHA else "RGB"))
    return _open_array(image, pixels)


def _without_palette(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    converted = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    converted.info.pop("transparency", None)
    return converted


def _open_array(given: ImageLike, pixels: Pixels) -> OpenedImage:
    planes: npt.NDArray[Any] = pixels if pixels.ndim == 3 else pixels[..., None]
    bands = planes.shape[2]
    rgb = planes[..., :3] if bands > 2 else planes[..., :1].repeat(3, axis=2)
    return OpenedImage(given, rgb, planes[..., -1] == 0 if bands in (2, 4) else None)


def _pixels_of(image: Image.Image) -> npt.NDArray[Any]:
    """(H, W) or (H, W, bands) in the order of the image's own bytes; a 1-bit image as 0 and 255."""
    return np.asarray(image.convert("L") if image.mode == "1" else image)


def _replace(pixels: npt.NDArray[Any], colours: npt.NDArray[Any], hole: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """A copy of pixels with the colours in the hole; what bands there are beyond theirs, alpha, are left alone."""
    replaced = pixels.copy()
    if pixels.ndim == 2:
        np.copyto(replaced, colours, where=hole)
    else:
        colours = colours if colours.ndim == 3 else colours[..., None]
        np.copyto(replaced[..., : colours.shape[2]], colours, where=hole[..., None])
    return replaced
