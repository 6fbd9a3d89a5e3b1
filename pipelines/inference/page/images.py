"""The images of the page as they are shown, uint8 RGB (H, W, 3): opened, shrunk for display, coloured, encoded."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_dilation

from pipelines.inference.images import Photo, decode_photo
from pipelines.inference.page.limits import PageLimits
from sgenet.errors import DataError
from sgenet.label_space import LabelSpace

Pixels = npt.NDArray[np.uint8]

DISPLAY_SIDE = 1280
"""The longer side of an image as the browser gets it, at most; it is filled at its own size."""

_WEBP_QUALITY = 88
_HEAT = np.array([(255, 238, 120), (250, 140, 50), (190, 45, 90), (85, 20, 110), (20, 12, 50)], np.float32)
"""Confidence 0 … 1: bright where the network is unsure."""
_OUTLINE = ((255, 255, 255), (20, 20, 20))


def open_upload(path: Path, limits: PageLimits) -> Photo:
    """An uploaded file, upright.

    Raises:
        DataError: it is no image, or larger than ``limits`` allow.
    """
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise DataError(
            f"the file has {size / 2**20:.1f} MiB, and at most {limits.file_bytes / 2**20:.0f} MiB are accepted; "
            "save it as JPEG or scale it down"
        )

    def check_size(image: Image.Image) -> None:
        if image.width * image.height > limits.pixels:
            raise DataError(
                f"the image has {image.width}×{image.height} = {image.width * image.height / 1e6:.1f} "
                f"million pixels, and at most {limits.pixels / 1e6:.1f} million are accepted; scale it down"
            )

    return decode_photo(path.read_bytes(), "the uploaded file", inspect=check_size)


def display_size(height: int, width: int, side: int = DISPLAY_SIDE) -> tuple[int, int]:
    """(height, width) of an image as it is shown: its own, or scaled down to ``side``."""
    ratio = min(1.0, side / max(height, width))
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def shrink(pixels: Pixels, side: int = DISPLAY_SIDE) -> Pixels:
    """The image at its :func:`display_size`."""
    height, width = display_size(pixels.shape[0], pixels.shape[1], side)
    if (height, width) == pixels.shape[:2]:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3))


def data_address(pixels: Pixels, *, exact: bool = False) -> str:
    """An image as a ``data:`` address: WebP, without loss where asked."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", quality=_WEBP_QUALITY, lossless=exact, method=2)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def heat(confidence: npt.NDArray[np.float32]) -> Pixels:
    """Confidence (H, W) in [0, 1] as colours: yellow = unsure, dark = sure."""
    stops = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(confidence, stops, _HEAT[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def heat_gradient() -> str:
    """The same colours as a CSS gradient, confidence 0 to 1 from left to right."""
    stops = ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in _HEAT)
    return f"linear-gradient(to right, {stops})"


def confidence_overlay(pixels: Pixels, confidence: npt.NDArray[np.float32]) -> Pixels:
    """The heat map with the image's shapes showing through in grey."""
    grey = np.asarray(Image.fromarray(pixels).convert("L"))[..., None].repeat(3, axis=2)
    return blend(grey, heat(confidence), 0.75)


def label_overlay(pixels: Pixels, label: Pixels, label_space: LabelSpace) -> Pixels:
    """The classes' colours over the image."""
    return blend(pixels, label_space.colourise(label), 0.62)


def blend(below: Pixels, above: Pixels, strength: float) -> Pixels:
    """``above`` over ``below``, 0 = invisible, 1 = opaque."""
    return np.rint(below * (1 - strength) + above * strength).astype(np.uint8)


def draw_outline(pixels: Pixels, hole: npt.NDArray[np.bool_]) -> Pixels:
    """A thin light and dark line along the hole's edge, outside it, visible on any ground."""
    inner = binary_dilation(hole) & ~hole
    outer = binary_dilation(hole, iterations=2) & ~hole & ~inner
    outlined = pixels.copy()
    outlined[inner], outlined[outer] = _OUTLINE
    return outlined
