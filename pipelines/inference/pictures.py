"""Pictures at the outer doors: bytes from files and requests in, PNG bytes out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from sgenet.errors import DataError
from sgenet.label_space import LabelSpace

if TYPE_CHECKING:
    from sgenet.inpainter import Inpainted

_PNG_MODES = frozenset({"1", "L", "LA", "RGB", "RGBA", "I", "I;16"})
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")


def read_picture(path: Path, name: str) -> Image.Image:
    """Read and decode a picture file; see :func:`decode_picture`.

    Args:
        name: what it is to the user, such as ``photo``, for the error.

    Raises:
        DataError: the file cannot be read, or is no whole picture.
    """
    try:
        return decode_picture(path.read_bytes(), f"the {name} {path}")
    except OSError as error:
        raise DataError(f"the {name} {path} cannot be read ({error.strerror}); check its path") from error


class OversizedPicture(DataError):
    """A picture that claims to be larger than memory allows."""


def decode_picture(
    content: bytes,
    where: str,
    *,
    formats: tuple[str, ...] = _FORMATS,
    inspect: Callable[[Image.Image], None] | None = None,
) -> Image.Image:
    """Decode a whole picture; nothing cut off is accepted, nor what claims to be larger than memory allows.

    Args:
        formats: Pillow's names of the formats to understand.
        inspect: called with the picture before its pixels are decoded; what it raises is passed on.

    Raises:
        DataError: ``where``, and what is wrong with it.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns at the size where it should be refused here.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=formats)
            if inspect is not None:
                inspect(picture)
            picture.load()
    except UnidentifiedImageError as error:
        raise DataError(f"{where} is not a picture in a known format; use PNG or JPEG") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise OversizedPicture(f"{where} has more than {limit} million pixels; scale it down") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{where} is damaged ({error}); save it again") from error
    return picture


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB or (H, W) grey uint8 as PNG."""
    return _png(Image.fromarray(pixels))


def encode_inpainted(inpainted: Inpainted) -> bytes:
    """The filled picture as PNG, in the depth of the photo and with its alpha channel and colour profile.

    What PNG does not know, such as CMYK, becomes RGB.
    """
    picture = inpainted.picture
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    return _png(picture if picture.mode in _PNG_MODES else Image.fromarray(inpainted.image))


def encode_label(label: npt.NDArray[np.uint8], label_space: LabelSpace) -> bytes:
    """(H, W) class ids as a palette PNG: the ids are the indices, and viewers show the classes' colours."""
    picture = Image.fromarray(label).convert("L")
    coloured = Image.frombytes("P", picture.size, picture.tobytes())
    palette = label_space.colourise(np.arange(256, dtype=np.uint8)[None])
    coloured.putpalette(palette.tobytes())
    return _png(coloured)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
