"""What a served model answers: images as base64 text."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.inference.images import encode_filled, encode_png
from pipelines.inference.server.pairs import PhotoWithHole
from sgenet.inpainter import Inpainted

Answer = dict[str, str | float | None]


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
