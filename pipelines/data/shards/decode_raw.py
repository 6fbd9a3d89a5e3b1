"""Raw image and label files → upright RGB images and class ids, or a reason why not.

What is done to an image, in this order:

- 16-bit samples are scaled to 8 bits, palettes resolved, grey and CMYK converted to RGB (colour
  profiles are not applied); what is transparent is laid over mid-grey, the value a hole has too.
- The EXIF orientation is applied, to the label as well where its size shows that it was drawn
  on the image as stored.
- With ``jpeg_decoding: scaled`` a JPEG is decoded at a fraction of its size, no smaller than what is stored: faster,
  and less exact.
- Image and label are resized so that the shorter side is as set: bicubic with antialiasing,
  and nearest neighbour, which never invents a class.

Nothing is repaired: a truncated file is refused. A header that promises more than 100
megapixels is refused before any pixel is decoded.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from pipelines.data.adapters.labels import RawLabel
from sgenet.errors import DataError, one_line
from sgenet.transforms import Pixels, resize_pixels

MAX_PIXELS = 100_000_000

_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_LABEL_FORMATS = ("PNG", "BMP", "TIFF")
_MID_GREY = (128, 128, 128)
TOO_SMALL = "smaller than the crop"
"""How the reason of an image begins that no crop fits into."""

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_KEEPS_SIDES = {Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM}
# Pillow stretches grey PNGs of 2 and 4 bits to 0 … 255; ids must come back as they are.
_GREY_STRETCH = {2: 85, 4: 17}
_PNG_START = b"\x89PNG\r\n\x1a\n"
# What Pillow raises of damaged files; struct.error is of a metadata block that is cut off.
_DAMAGES = (OSError, SyntaxError, ValueError, EOFError, OverflowError, KeyError, TypeError, IndexError, struct.error)


@dataclass(frozen=True)
class DecodedImage:
    """An image, upright.

    Attributes:
        pixels: (H, W, 3) uint8 RGB; fewer than the image has where it was decoded scaled down.
        size: its width and height in pixels, whatever is decoded of it.
        turned: the transposition that made it upright, if any.
    """

    pixels: Pixels
    size: tuple[int, int]
    turned: Image.Transpose | None


def decode_image(content: bytes, least_side: int | None = None) -> DecodedImage:
    """Decode an image file.

    Args:
        least_side: a JPEG may be decoded at a fraction of its size, with sides of at least this many pixels; None
            decodes all of them.

    Raises:
        DataError: with the reason alone, for the quarantine table.
    """
    with _opened(content, _IMAGE_FORMATS) as image:
        pixels = _as_rgb(image, content, least_side or 0)
        turned = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
        if turned is None:
            return DecodedImage(pixels, image.size, None)
        size = image.size if turned in _KEEPS_SIDES else image.size[::-1]
        return DecodedImage(_transposed(pixels, turned), size, turned)


def decode_label(content: bytes, image: DecodedImage) -> RawLabel:
    """Decode a label file to (H, W) raw ids that lie on the upright image.

    Raises:
        DataError: it does not hold ids, or its size is neither the image's as shown nor as stored.
    """
    label = decode_ids(content)
    size = label.shape[::-1]
    if size != image.size and image.turned is not None:
        label = _transposed(label, image.turned)
    height, width = label.shape
    if (width, height) != image.size:
        raise DataError(
            f"label of another size: the label is {size[0]}×{size[1]}, the image {image.size[0]}×{image.size[1]}"
        )
    return label


def decode_ids(content: bytes) -> RawLabel:
    """Decode a label file to (H, W) raw ids as it is stored.

    Raises:
        DataError: it does not hold ids.
    """
    with _opened(content, _LABEL_FORMATS) as file:
        file.load()
        return _ids(file, content)


def check_fits(size: tuple[int, int], crop: int) -> None:
    """Refuse an image of (width, height) pixels that would have to be enlarged before a crop fits.

    Raises:
        DataError: with the reason.
    """
    if min(size) < crop:
        raise DataError(f"{TOO_SMALL}: the image is {size[0]}×{size[1]}, the crop {crop}×{crop}")


def resize_image(image: DecodedImage, side: int) -> Pixels:
    """Resize so that the shorter side has ``side`` pixels: bicubic, antialiased, the longer side rounded."""
    shorter = min(image.size)
    width, height = ((length * side + shorter // 2) // shorter for length in image.size)
    return resize_pixels(image.pixels, height, width)


def resize_label(label: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize class ids (H, W) to ``size`` = (width, height) by nearest neighbour."""
    return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))


@contextmanager
def _opened(content: bytes, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Open by header and refuse bombs; whatever fails in decoding the pixels then becomes a reason."""
    if not content:
        raise DataError("the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns below our limit already, and of metadata that is not used here.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except UnidentifiedImageError:
        raise DataError(f"not an image in any of the formats {', '.join(formats)}") from None
    except Image.DecompressionBombError:
        raise DataError(f"larger than {MAX_PIXELS // 1_000_000} megapixels by its header") from None
    except _DAMAGES as error:
        raise DataError(f"damaged or truncated: {one_line(error)}") from error


def _as_rgb(image: Image.Image, content: bytes, least_side: int) -> Pixels:
    if image.format in ("JPEG", "MPO") and image.mode == "RGB":
        # The same pixels as Pillow's in less time. What it takes for damaged is Pillow's to judge, and to name.
        with suppress(ValueError):
            # A least side of 0 stands for the full size.
            decoded: Pixels = simplejpeg.decode_jpeg(content, "RGB", False, False, least_side, least_side)
            return decoded
    image.load()
    return np.asarray(_converted(image))


def _converted(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise DataError(f"samples of 32 bits (Pillow mode {image.mode}) have no known range; store 8 or 16 bits")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        backdrop = Image.new("RGB", image.size, _MID_GREY)
        backdrop.paste(coloured, mask=coloured.getchannel("A"))
        return backdrop
    return image.convert("RGB")


def _transposed(array: npt.NDArray[Any], way: Image.Transpose) -> npt.NDArray[Any]:
    return np.asarray(Image.fromarray(array).transpose(way))


def _ids(image: Image.Image, content: bytes) -> RawLabel:
    values = np.asarray(image)
    match image.mode:
        case "1":
            return values.astype(np.uint8)
        case "P":
            return values
        case "L":
            # Byte 24 of a PNG: bits a sample.
            bits = content[24] if content.startswith(_PNG_START) else 8
            return values // np.uint8(_GREY_STRETCH.get(bits, 1))
        case "I;16" | "I;16B":
            return values.astype(np.uint16)
    raise DataError(f"the label holds colours (Pillow mode {image.mode}); store class ids in a grey or palette PNG")
