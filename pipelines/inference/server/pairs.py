"""From image files that anybody may have sent to an image and its hole, within the limits; and the answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.inference.images import OversizedImage, Photo, decode_image, decode_photo, encode_filled, encode_png
from pipelines.inference.server.limits import ENVIRONMENT, ServingLimits
from pipelines.inference.server.refusal import Refusal
from pipelines.inference.server.rows import RequestRow, read_row
from sgenet.errors import DataError
from sgenet.inpainter import Inpainted
from sgenet.inpainter.masks import read_hole

Answer = dict[str, str | float | None]
Decoded = TypeVar("Decoded", Photo, Image.Image)

_PADDED_TO = 32
"""The network sees sides that are multiples of 16 or 32: a strip one pixel wide costs as much as a strip of 32."""


@dataclass(frozen=True)
class PhotoWithHole:
    """An image and its hole, ready to be filled.

    Attributes:
        photo: as it was sent.
        hole: (H, W) bool, True = missing.
        warnings: what looks wrong though it can be filled.
    """

    photo: Photo
    hole: npt.NDArray[np.bool_]
    warnings: tuple[str, ...] = ()

    @property
    def cost(self) -> int:
        """Pixels that the network sees."""
        height, width = self.hole.shape
        return _cost(width, height)


def decode_rows(records: Sequence[Any], limits: ServingLimits, first: int = 0) -> list[PhotoWithHole]:
    """The images of several objects with base64 texts.

    Args:
        first: number of the first row.

    Raises:
        Refusal: 400 or 413, with the row's number, the key and what is wrong with it.
    """
    pairs: list[PhotoWithHole] = []
    left = limits.pixels
    for number, record in enumerate(records, first):
        try:
            pairs.append(decode_row(read_row(record), limits, left))
        except Refusal as refusal:
            raise Refusal(refusal.status, f"row {number}: {refusal}", refusal.headers) from refusal
        left -= pairs[-1].cost
    return pairs


def decode_row(row: RequestRow, limits: ServingLimits, pixels_left: int | None = None) -> PhotoWithHole:
    """The image and the hole of one row.

    Args:
        pixels_left: of ``limits.pixels``, where other images of the request had their share.

    Raises:
        Refusal: 413 for an image beyond the limits, 400 for what cannot be decoded or does not fit together.
    """
    left = limits.pixels if pixels_left is None else pixels_left
    photo = _decode(decode_photo, row.image, "the image", limits, left)
    # Of the image's size, so it fits where the image does.
    mask = _decode(decode_image, row.hole_mask, "the hole mask", limits, left)
    try:
        hole, doubts = read_hole(mask)
    except DataError as error:
        raise Refusal(400, str(error)) from error
    # Orientation, palette and transparency are read here, by code that trusts the file.
    except Exception as error:
        raise Refusal(400, f"the hole mask cannot be read ({type(error).__name__}); save it again") from error
    if hole.shape != photo.size:
        (height, width), (hole_height, hole_width) = photo.size, hole.shape
        raise Refusal(
            400,
            f"the image is {width}×{height} pixels but its hole mask is {hole_width}×{hole_height}; "
            "make a mask of the image's size",
        )
    return PhotoWithHole(photo, hole, photo.warnings + doubts)


def _decode(
    decode: Callable[..., Decoded], content: bytes, where: str, limits: ServingLimits, pixels_left: int
) -> Decoded:
    def inspect(image: Image.Image) -> None:
        width, height = image.size
        if max(width, height) > limits.side:
            raise Refusal(413, f"{where} is {width}×{height} pixels; send sides of at most {limits.side}")
        if _cost(width, height) > pixels_left:
            raise _too_many_pixels(f"{where} ({width}×{height})", limits)

    try:
        return decode(content, where, inspect=inspect)
    except Refusal:
        raise
    except OversizedImage as error:
        raise _too_many_pixels(where, limits) from error
    except DataError as error:
        raise Refusal(400, str(error)) from error
    # Decoders meet bytes here that were made to break them; whatever they raise says that the file is bad.
    except Exception as error:
        raise Refusal(400, f"{where} cannot be decoded ({type(error).__name__}); save it again") from error


def _too_many_pixels(where: str, limits: ServingLimits) -> Refusal:
    most = f"{limits.pixels / 1e6:.3g} million in a request"
    return Refusal(413, f"{where} has too many pixels; send at most {most}, or set pixels in {ENVIRONMENT}")


def _cost(width: int, height: int) -> int:
    return -(-width // _PADDED_TO) * -(-height // _PADDED_TO) * _PADDED_TO**2


def answer(pair: PhotoWithHole, inpainted: Inpainted) -> Answer:
    """One row of an answer.

    Args:
        pair: what was sent.
        inpainted: what was made of it.

    Returns:
        ``inpainted``, a base64 PNG, as :func:`~pipelines.inference.images.encode_photo` makes it;
        ``segmentation``, a base64 PNG of class ids, or None for a method without; ``confidence``, the mean in the hole
        from 0 to 1, or None without a hole or a segmentation; ``warning``, what looks wrong with what was sent, or
        None.
    """
    return {
        "inpainted": _text(encode_filled(pair.photo, inpainted)),
        "segmentation": None if inpainted.label is None else to_base64(inpainted.label),
        "confidence": inpainted.hole_confidence,
        "warning": "; ".join(pair.warnings) or None,
    }


def to_base64(pixels: npt.NDArray[Any]) -> str:
    """(H, W, 3) RGB or (H, W) grey uint8 as the base64 text of a PNG."""
    return _text(encode_png(np.asarray(pixels, dtype=np.uint8)))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
